"""`python -m engine`: look at the model registry, add a bundle to it, promote a version, roll back."""

import argparse
import sys
from pathlib import Path

from engine.errors import EngineError
from engine.registry import Registry
from engine.settings import EngineSettings, load_settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        registry = Registry(options.registry or load_settings(EngineSettings).registry)
        for line in COMMANDS[options.command](registry, options):
            print(line)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _list(registry: Registry, _: argparse.Namespace) -> list[str]:
    champion = registry.champion()
    lines = [f"{'*' if v == champion else ' '} {v}" for v in registry.versions()]
    return lines or [f"{registry.root} holds no versions yet; make one with: make model"]


def _history(registry: Registry, _: argparse.Namespace) -> list[str]:
    return [f"{c.at:%Y-%m-%d %H:%M:%S} {c.action:8} {c.version}  ({c.reason})" for c in registry.history()]


def _add(registry: Registry, options: argparse.Namespace) -> list[str]:
    version = registry.add(options.bundle)
    if options.promote and registry.champion() != version:
        registry.promote(version, options.reason)
    return [version]


def _promote(registry: Registry, options: argparse.Namespace) -> list[str]:
    registry.promote(options.version, options.reason)
    return [options.version]


def _rollback(registry: Registry, options: argparse.Namespace) -> list[str]:
    return [registry.rollback(options.reason)]


COMMANDS = {"list": _list, "history": _history, "add": _add, "promote": _promote, "rollback": _rollback}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    parser.add_argument("--registry", type=Path, help="folder of the registry (default: ENGINE_REGISTRY)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all versions; the champion is marked with *")
    commands.add_parser("history", help="all changes of champion")
    add = commands.add_parser("add", help="take a bundle into the registry")
    add.add_argument("bundle", type=Path)
    add.add_argument("--promote", action="store_true", help="make it the champion too")
    promote = commands.add_parser("promote", help="make a version the champion; running engines switch to it")
    promote.add_argument("version")
    rollback = commands.add_parser("rollback", help="return to the champion before this one")
    for command in (add, promote, rollback):
        command.add_argument("--reason", default="by hand", help="kept in the history")
    return parser


if __name__ == "__main__":
    sys.exit(main())
