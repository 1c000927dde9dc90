"""Writes what the code knows best into the documents: every setting and every command.

`python docs/generate.py` writes, `--check` only tells whether the files are up to date.
"""

import asyncio
import logging
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings

from bots.bot import BotRules, open_bot
from bots.chatlog import ChatLog, DatabaseSettings, PolicySettings
from bots.commands import Command, Permission
from bots.discord.settings import DiscordSettings
from bots.plugins import PluginHost
from bots.plugins.config import prefix_of
from bots.settings import BotSettings
from bots.telegram.settings import TelegramSettings
from bots.testing import ScriptedEngine
from engine.settings import EngineSettings
from exporters.settings import ExporterSettings
from finetune.settings import FinetuneSettings, GateSettings, ScheduleSettings, TrainSettings

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
CLASSES: tuple[type[BaseSettings], ...] = (
    BotSettings,
    DiscordSettings,
    TelegramSettings,
    DatabaseSettings,
    PolicySettings,
    EngineSettings,
    ExporterSettings,
    FinetuneSettings,
    TrainSettings,
    GateSettings,
    ScheduleSettings,
)

Setting = tuple[str, str, str]
"""Name, default as one would write it, and meaning."""

ENV_HEAD = """\
# Copy to .env and change what you need. Every setting is listed with its default, commented out.
# The environment wins over this file. Made by `make docs` from the settings classes.
"""


def main(arguments: list[str]) -> int:
    """Write or check both files; returns the exit code."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    files = asyncio.run(_files())
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} is out of date; run: make docs", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for path in stale:
        path.write_text(files[path])
    return 0


async def _files() -> dict[Path, str]:
    with tempfile.TemporaryDirectory() as folder:
        database = DatabaseSettings(url=f"sqlite:///{folder}/chat.db", key_file=Path(folder, "keys"))
        async with ChatLog.open(database) as log, open_bot(ScriptedEngine(), log, BotRules("")) as bot:
            return _texts(bot.plugins)


def _texts(plugins: PluginHost) -> dict[Path, str]:
    settings = [each for kind in CLASSES for each in _settings(kind, kind.model_config.get("env_prefix", ""))]
    settings += [each for name, kind in plugins.configs().items() for each in _settings(kind, prefix_of(name))]
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        readme: f"{before}{BEGIN}\n{_table(settings)}\n{END}{after}",
        ROOT / ".env.example": _env_example(settings),
        ROOT / "docs" / "commands.md": _commands(plugins.commands.values()),
    }


def _table(settings: Iterable[Setting]) -> str:
    rows = [f"| `{name}` | `{default}` | {text} |" for name, default, text in settings]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _env_example(settings: Iterable[Setting]) -> str:
    return "\n".join([ENV_HEAD, *(f"# {text}\n# {name}={default}\n" for name, default, text in settings)])


COMMANDS_HEAD = """\
# Commands

What people can ask of the bot besides talking to it. On Discord these are slash commands, with the choices shown; on
Telegram they stand in the menu, and in a group that several bots share, `/help@name_of_the_bot` calls the right one. In
the console they are typed. Plugins may add more. Made by `make docs` from what is registered.
"""


def _commands(commands: Iterable[Command]) -> str:
    return "\n".join([COMMANDS_HEAD, *(_command(command) for command in commands)])


def _command(command: Command) -> str:
    lines = [f"## `{command.usage}`", "", f"{command.summary[0].upper()}{command.summary[1:]}.", ""]
    for parameter in command.parameters:
        must = "needed" if parameter.is_required else "may be left out"
        values = ", ".join(f"`{value}`" for value in parameter.choices)
        one_of = f"; one of {values}" if values else ""
        lines.append(f"- `{parameter.name}` ({parameter.kind}, {must}): {parameter.summary}{one_of}")
    if command.permission is Permission.OPERATOR:
        lines.append("- For those who run the bot (`BOTS_OPERATORS`).")
    elif command.permission is Permission.CHAT_ADMIN:
        what = "change this" if command.shows_without_arguments else "do this"
        lines.append(f"- In a group, only those who look after it may {what}.")
    if command.is_immediate:
        lines.append("- Acts at once, even while an answer is being written.")
    if not command.is_listed:
        lines.append("- Not in the menus: Telegram sends it when someone first opens the chat.")
    return "\n".join([*lines, ""] if lines[-1] else lines)


def _settings(kind: type[BaseModel], prefix: str) -> Iterator[Setting]:
    own = ((name, field) for name, field in kind.model_fields.items() if field.validation_alias is None)
    for name, field in own:
        yield f"{prefix}{name}".upper(), _shown(field), " ".join((field.description or "").split())


def _shown(field: Any) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    if isinstance(field.default, SecretStr):
        return field.default.get_secret_value()
    return str(field.default)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
