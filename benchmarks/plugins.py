"""`python -m benchmarks.plugins`: what a hook costs with none, one and ten handlers, and what loading anew does.

The cases take turns, round by round; the table gives medians and, in brackets, the lowest and highest round.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bots.bot import Bot, BotRules, open_bot
from bots.chatlog import ChatLog, DatabaseSettings
from bots.message import ChatRef
from bots.plugins import Context, Plugin, PluginRules
from bots.testing import ScriptedEngine

ROUNDS, CALLS, RELOADS = 7, 3000, 50
CHAT = ChatRef("memory", "bot", "chat")
SOURCE = '''
from bots.plugins import Plugin

class Sample(Plugin):
    name = "sample"

    async def setup(self, ctx):
        ctx.command("sample", self.say)

    async def say(self) -> str:
        """Say something."""
        return "something"
'''


def with_handlers(number: int) -> type[Plugin]:
    """A plugin that looks at every piece of an answer, so many times, and changes nothing."""

    class Looking(Plugin):
        name = "looking"

        async def setup(self, ctx: Context[Any]) -> None:
            for _ in range(number):
                ctx.on_chunk(self.look)

        async def look(self, chat: ChatRef, text: str) -> None:
            pass

    return Looking


async def hook_us(bot: Bot) -> float:
    """Microseconds for one piece of an answer to pass through `on_chunk`."""
    hook, started_s = bot.plugins.hooks.on_chunk, time.perf_counter()
    for _ in range(CALLS):
        await hook.fold("text", lambda text: (CHAT, text))
    return (time.perf_counter() - started_s) / CALLS * 1e6


async def reload_ms(bot: Bot) -> float:
    """Milliseconds for a plugin of the folder to be loaded anew."""
    started_s = time.perf_counter()
    for _ in range(RELOADS):
        await bot.plugins.reload("sample")
    return (time.perf_counter() - started_s) / RELOADS * 1e3


@asynccontextmanager
async def a_bot(folder: Path, handlers: int) -> AsyncIterator[Bot]:
    """A bot with a plugin that has so many handlers, and one in a folder."""
    database = DatabaseSettings(url=f"sqlite:///{folder}/{handlers}/chat.db", key_file=folder / f"{handlers}.keys")
    rules = BotRules("", plugins=PluginRules(["sample"], folder))
    async with (
        ChatLog.open(database) as log,
        ScriptedEngine() as engine,
        open_bot(engine, log, rules) as bot,
    ):
        await bot.plugins.add(with_handlers(handlers))
        yield bot


async def measure() -> dict[str, list[float]]:
    """All figures by name, one per round."""
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sample.py").write_text(SOURCE)
        async with a_bot(folder, 0) as none, a_bot(folder, 1) as one, a_bot(folder, 10) as ten:
            for _ in range(ROUNDS):
                for label, bot in (("no handler", none), ("one handler", one), ("ten handlers", ten)):
                    figures.setdefault(f"on_chunk, {label}, us", []).append(await hook_us(bot))
                figures.setdefault("reload, ms", []).append(await reload_ms(none))
    return figures


def main() -> int:
    """Measure and print a Markdown table; returns the exit code."""
    print("| what | median | range |\n|---|---|---|")
    for what, rounds in asyncio.run(measure()).items():
        print(f"| {what} | {statistics.median(rounds):.1f} | {min(rounds):.1f} to {max(rounds):.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
