"""`python -m bots new-plugin NAME`: a plugin that works, with its tests, to begin with.

The templates lie in `bots/templates`. Knows nothing of how plugins are run.
"""

import argparse
import importlib.util
import keyword
import re
import sys
import unicodedata
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from bots.plugins.plugin import MAX_NAME

EXIT_NOT_WRITTEN = 2

RULE = f"a-z, 0-9 and _, a letter first, at most {MAX_NAME} long"

TAKEN = frozenset(
    {
        "access",
        "admin",
        "ask",
        "chat",
        "consent",
        "export",
        "feedback",
        "forget",
        "help",
        "model",
        "notices",
        "operators",
        "persona",
        "plugins",
        "privacy",
        "quota",
        "rate",
        "reset",
        "retrain",
        "retry",
        "rollback",
        "start",
        "stop",
        "teach",
        "trigger",
    }
)
"""What built-in plugins and their commands are called."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def new_plugin(arguments: Sequence[str]) -> int:
    """Write a plugin and its tests, and say what to do next; returns the exit code.

    0 if it was written, 2 if not: then nothing was changed.
    """
    asked = _parser().parse_args(arguments)
    name, folder = asked.name, asked.folder / asked.name
    problem = what_is_wrong_with(name)
    if problem is None and folder.exists():
        problem = f"{folder} is there already, and nothing of it was changed; take another name or folder"
    if problem is not None:
        sys.stderr.write(f"mynah: {problem}\n")
        return EXIT_NOT_WRITTEN
    try:
        _write(name, folder)
    except OSError as exc:
        sys.stderr.write(f"mynah: {folder} cannot be written: {exc.strerror}\n")
        return EXIT_NOT_WRITTEN
    sys.stdout.write(_next_steps(name, asked.folder))
    return 0


def what_is_wrong_with(name: str) -> str | None:
    """Why a plugin cannot be called that, with a name that it could have; None if it can."""
    problem = _problem_of(name)
    return problem and f"{problem}; how about {_suggested(name)}?"


def _problem_of(name: str) -> str | None:
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        return f"{name!r} is no name of a plugin; it has to be {RULE}"
    if name in TAKEN:
        return f"{name!r} is what a built-in plugin or command is called"
    if keyword.iskeyword(name) or _is_module(name):
        return f"{name!r} is something else in Python, and tests could not import the plugin"
    return None


def _is_module(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


def _suggested(name: str) -> str:
    """A good name that is like a bad one."""
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "_", plain).strip("_").lstrip("0123456789_")[:MAX_NAME].rstrip("_")
    candidates = (plain, f"my_{plain}"[:MAX_NAME].rstrip("_")) if plain else ()
    return next((each for each in candidates if _problem_of(each) is None), "my_plugin")


def _write(name: str, folder: Path) -> None:
    words = {"NAME": name, "UPPER": name.upper(), "CLASS": "".join(part.capitalize() for part in name.split("_"))}
    folder.mkdir(parents=True)
    for template, path in (("plugin.txt", folder / "__init__.py"), ("test_plugin.txt", folder / f"test_{name}.py")):
        text = files("bots").joinpath("templates", template).read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(words), encoding="utf-8")


def _next_steps(name: str, folder: Path) -> str:
    where = folder / name
    is_elsewhere = folder != Path("plugins")
    return "\n".join(
        [
            f"Written: {where}",
            "",
            f"Try it:   python -m pytest {where}",
            '          (needs pytest: pip install "mynah[testing]")',
            f"Load it:  BOTS_PLUGINS={name}   in .env; several names are separated by commas",
            *([f"          BOTS_PLUGINS_FOLDER={folder}"] if is_elsewhere else []),
            f"Use it:   python -m bots.console   and then: /{name}",
            f"Change it while the bot runs:   /plugins reload {name}",
            "",
            "The guide is docs/plugins.md.",
            "",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bots new-plugin", description="Write a plugin that works, with its tests, to begin with."
    )
    parser.add_argument("name", help=f"what it is called: {RULE}")
    parser.add_argument(
        "--folder", type=Path, default=Path("plugins"), help="where plugins lie; by default `plugins`, here"
    )
    return parser
