"""`python -m engine`: look at the model registry, add a bundle to it, promote or retire a version, roll back."""

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
    signs = {registry.challenger(): "?", registry.champion(): "*"}
    lines = [f"{signs.get(version, ' ')} {version}" for version in registry.versions()]
    return lines or [f"{registry.root} holds no versions yet; make one with: make model"]


def _history(registry: Registry, _: argparse.Namespace) -> list[str]:
    return [f"{c.at:%Y-%m-%d %H:%M:%S} {c.action:9} {c.version}  ({c.reason})" for c in registry.history()]


def _add(registry: Registry, options: argparse.Namespace) -> list[str]:
    version = registry.add(options.bundle)
    if options.promote and registry.champion() != version:
        registry.promote(version, options.reason)
    return [version]


def _promote(registry: Registry, options: argparse.Namespace) -> list[str]:
    registry.promote(options.version, options.reason)
    return [options.version]


def _challenge(registry: Registry, options: argparse.Namespace) -> list[str]:
    registry.challenge(options.version, options.reason)
    return [options.version]


def _retire(registry: Registry, options: argparse.Namespace) -> list[str]:
    registry.retire(options.version, options.reason)
    return [options.version]


def _rollback(registry: Registry, options: argparse.Namespace) -> list[str]:
    return [registry.rollback(options.reason)]


COMMANDS = {
    "list": _list,
    "history": _history,
    "add": _add,
    "challenge": _challenge,
    "promote": _promote,
    "rollback": _rollback,
    "retire": _retire,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    parser.add_argument("--registry", type=Path, help="folder of the registry (default: ENGINE_REGISTRY)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all versions; the champion is marked with *, the challenger with ?")
    commands.add_parser("history", help="all changes: promoted, rolled back, challenging, retired")
    add = commands.add_parser("add", help="take a bundle into the registry")
    add.add_argument("bundle", type=Path)
    add.add_argument("--promote", action="store_true", help="make it the champion too")
    challenge = commands.add_parser("challenge", help="let a version wait to be promoted")
    promote = commands.add_parser("promote", help="make a version the champion; running engines switch to it")
    rollback = commands.add_parser("rollback", help="return to the champion before this one")
    retire = commands.add_parser("retire", help="delete a version for good; nobody can go back to it")
    for command in (challenge, promote, retire):
        command.add_argument("version")
    for command in (add, challenge, promote, rollback, retire):
        command.add_argument("--reason", default="by hand", help="kept in the history")
    return parser


if __name__ == "__main__":
    sys.exit(main())
