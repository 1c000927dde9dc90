"""Writes every setting into README.md and .env.example, from the settings classes themselves.

`python docs/write_settings.py` writes, `--check` only tells whether the files are up to date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from bots.settings import BotSettings
from engine.settings import EngineSettings
from exporters.settings import ExporterSettings

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
CLASSES: tuple[type[BaseSettings], ...] = (BotSettings, EngineSettings, ExporterSettings)

ENV_HEAD = """\
# Copy to .env and change what you need. Every setting is listed with its default, commented out.
# The environment wins over this file. Made by `make docs` from the settings classes.
"""


def main(arguments: list[str]) -> int:
    """Write or check both files; returns the exit code."""
    stale = [path for path, text in _files().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} is out of date; run: make docs", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for path in stale:
        path.write_text(_files()[path])
    return 0


def _files() -> dict[Path, str]:
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        readme: f"{before}{BEGIN}\n{_table()}\n{END}{after}",
        ROOT / ".env.example": _env_example(),
    }


def _table() -> str:
    rows = [f"| `{name}` | `{default}` | {text} |" for kind in CLASSES for name, default, text in _settings(kind)]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _env_example() -> str:
    blocks = [ENV_HEAD]
    for kind in CLASSES:
        for name, default, text in _settings(kind):
            blocks.append(f"# {text}\n# {name}={default}\n")
    return "\n".join(blocks)


def _settings(kind: type[BaseSettings]) -> Iterator[tuple[str, str, str]]:
    """Name, default as one would write it, and meaning of each setting of a class."""
    prefix = kind.model_config.get("env_prefix", "")
    for name, field in kind.model_fields.items():
        yield f"{prefix}{name}".upper(), _shown(field), " ".join((field.description or "").split())


def _shown(field: Any) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    return str(field.default)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
