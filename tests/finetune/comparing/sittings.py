"""Invented pairs of answers, sittings over them, and the page served on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from bots.chatlog import FileCipher
from engine.generation import ChatMessage
from finetune.comparing.judging import Judging
from finetune.comparing.pairs import Pair, pair
from finetune.comparing.questions import Question, general
from finetune.comparing.server import app
from finetune.comparing.store import ComparisonStore
from tests.finetune.workplace import KEY

VERSION, AGAINST = "tiny-bbbbbbbbbbbb", "tiny-aaaaaaaaaaaa"


def questions(number: int) -> tuple[Question, ...]:
    return general([f"What is {n}?" for n in range(number)], "You are kind.", number)


def pairs(number: int, equal: int = 0) -> tuple[Pair, ...]:
    """Pairs of which the last few are the same on both sides."""
    asked = questions(number)
    version = [f"new {n}" for n in range(number - equal)] + ["same"] * equal
    against = [f"old {n}" for n in range(number - equal)] + ["same"] * equal
    return pair(asked, version, against)


def quoting(text: str) -> tuple[Pair, ...]:
    """One pair with that text everywhere."""
    question = Question("q", (ChatMessage("user", text),))
    return pair([question], [f"{text} 1"], [f"{text} 2"])


def store(folder: Path) -> ComparisonStore:
    return ComparisonStore(folder, VERSION, AGAINST, FileCipher(KEY))


def judging(folder: Path, made: tuple[Pair, ...], judge: str = "ann") -> Judging:
    return Judging(store(folder), "general", made, judge)


@asynccontextmanager
async def served(one: Judging) -> AsyncIterator[str]:
    """The page on a port of its own; gives its address."""
    runner = web.AppRunner(app(one), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/{one.address}/"
    finally:
        await runner.cleanup()
