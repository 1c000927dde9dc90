"""Writes what the code knows best into the documents: every setting and every command.

`python docs/generate.py` writes, `--check` only tells whether the files are up to date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from bots.chatlog import DatabaseSettings
from bots.commands import COMMANDS, Command
from bots.discord.settings import DiscordSettings
from bots.settings import BotSettings
from bots.telegram.settings import TelegramSettings
from engine.settings import EngineSettings
from exporters.settings import ExporterSettings

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
CLASSES: tuple[type[BaseSettings], ...] = (
    BotSettings,
    DiscordSettings,
    TelegramSettings,
    DatabaseSettings,
    EngineSettings,
    ExporterSettings,
)

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
        ROOT / "docs" / "commands.md": _commands(),
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


COMMANDS_HEAD = """\
# Commands

What people can ask of the bot besides talking to it. On Discord these are slash commands, with the choices shown; on
Telegram they stand in the menu, and in a group that several bots share, `/help@name_of_the_bot` calls the right one. In
the console they are typed. Made by `make docs` from `bots/commands.py`.
"""


def _commands() -> str:
    return "\n".join([COMMANDS_HEAD, *(_command(command) for command in COMMANDS.values())])


def _command(command: Command) -> str:
    lines = [f"## `{command.usage}`", "", f"{command.summary[0].upper()}{command.summary[1:]}.", ""]
    for parameter in command.parameters:
        must = "needed" if parameter.is_required else "may be left out"
        values = ", ".join(f"`{value}`" for value in parameter.choices)
        one_of = f"; one of {values}" if values else ""
        lines.append(f"- `{parameter.name}` ({must}): {parameter.summary}{one_of}")
    if command.is_for_moderators:
        lines.append("- In a group, only those who look after it may change this.")
    if command.is_immediate:
        lines.append("- Acts at once, even while an answer is being written.")
    if not command.is_listed:
        lines.append("- Not in the menus: Telegram sends it when someone first opens the chat.")
    return "\n".join([*lines, ""] if lines[-1] else lines)


def _settings(kind: type[BaseSettings]) -> Iterator[tuple[str, str, str]]:
    """Name, default as one would write it, and meaning of each setting of a class."""
    prefix = kind.model_config.get("env_prefix", "")
    for name, field in kind.model_fields.items():
        yield f"{prefix}{name}".upper(), _shown(field), " ".join((field.description or "").split())


def _shown(field: Any) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    if isinstance(field.default, SecretStr):
        return field.default.get_secret_value()
    return str(field.default)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
