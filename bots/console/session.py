"""One run of the console bot, from loading the model to the exit code."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bots.bot import Bot, BotRules, open_bot
from bots.chatlog import ChatLog, DatabaseSettings
from bots.console.local import LOCAL_CHAT
from bots.console.pipe import PipeAdapter
from bots.console.state import logging_to, open_history, state_folder
from bots.console.terminal import TerminalAdapter
from bots.conversation import Conversation
from bots.errors import DatabaseError
from bots.policy import Policy
from engine.errors import EngineError
from engine.generation import TextEngine

EXIT_REPLY_FAILED = 1
EXIT_NO_ENGINE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM

EngineOpener = Callable[[], AbstractAsyncContextManager[TextEngine]]


def run(open_engine: EngineOpener, *, rules: BotRules, database: DatabaseSettings, policy: Policy | None = None) -> int:
    """Talk until the input ends; returns the exit code. What is said in a terminal is kept in `database`.

    0, or 1 if a line of piped input got no reply, 2 if the model could not be loaded, 130 and 143 after
    SIGINT and SIGTERM.
    """
    try:
        return asyncio.run(_talk(open_engine, rules, database, policy or Policy()))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except asyncio.CancelledError:
        return EXIT_TERMINATED
    except (EngineError, DatabaseError) as exc:
        return _fail(str(exc))


def _fail(text: str) -> int:
    _say(f"mynah: {' '.join(text.split())}\n")
    return EXIT_NO_ENGINE


async def _talk(open_engine: EngineOpener, rules: BotRules, database: DatabaseSettings, policy: Policy) -> int:
    is_interactive = _is_interactive()
    talk = _talk_in_terminal if is_interactive else _talk_through_pipes
    opening = ChatLog.open(database, policy=policy) if is_interactive else _passing_log()
    async with (
        _cancelled_by_sigterm(),
        _announced(open_engine) as engine,
        opening as log,
        open_bot(engine, log, rules) as bot,
    ):
        return await talk(bot)


@contextlib.asynccontextmanager
async def _passing_log() -> AsyncIterator[ChatLog]:
    """A log that is kept no longer than it is open: whoever pipes text in expects the same answers the next time."""
    with tempfile.TemporaryDirectory(prefix="mynah-") as folder:
        settings = DatabaseSettings(url=f"sqlite:///{folder}/chat.db", key_file=Path(folder, "keys"))
        async with ChatLog.open(settings) as log:
            yield log


async def _talk_in_terminal(bot: Bot) -> int:
    folder = state_folder(os.environ, Path.home())
    greeting, history = await _greeting(bot), open_history(folder)
    with logging_to(folder):
        async with TerminalAdapter(greeting=greeting, commands=bot.plugins.commands, history=history) as terminal:
            await bot.dispatcher(terminal).run()
    return 0


async def _talk_through_pipes(bot: Bot) -> int:
    # Python leaves a standard stream that was closed by the caller as None; its number may be taken by now.
    stdin, stdout, stderr = (
        os.open(os.devnull, os.O_RDWR) if stream is None else stream.fileno()
        for stream in (sys.stdin, sys.stdout, sys.stderr)
    )
    async with PipeAdapter(stdin=stdin, stdout=stdout, stderr=stderr, is_live=os.isatty(stdout)) as pipe:
        dispatcher = bot.dispatcher(pipe)
        await dispatcher.run()
    return EXIT_REPLY_FAILED if dispatcher.num_failed_replies else 0


@contextlib.asynccontextmanager
async def _cancelled_by_sigterm() -> AsyncIterator[None]:
    """Leave all contexts on SIGTERM, so that a terminal gets back the state it was in."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # a coroutine runs in a task
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


@contextlib.asynccontextmanager
async def _announced(open_engine: EngineOpener) -> AsyncIterator[TextEngine]:
    """Open the engine and say so on the error output: it takes seconds."""
    started_s = time.monotonic()
    _say("loading model ... ")
    async with contextlib.AsyncExitStack() as stack:
        try:
            engine = await stack.enter_async_context(open_engine())
        except BaseException:
            _say("\n")
            raise
        _say(f"ready in {time.monotonic() - started_s:.1f} s\n")
        yield engine


def _say(text: str) -> None:
    if sys.stderr is not None:  # the caller may have closed it
        sys.stderr.write(text)
        sys.stderr.flush()


def _is_interactive() -> bool:
    """Whether a person sits at both ends, in a terminal that can do more than print."""
    ends = (sys.stdin, sys.stdout)
    return all(end is not None and end.isatty() for end in ends) and os.environ.get("TERM") != "dumb"


async def _greeting(bot: Bot) -> str:
    persona = await Conversation(LOCAL_CHAT, bot.log, is_private=True, persona=bot.rules.persona).persona()
    has_talked = await bot.log.history(LOCAL_CHAT, limit_turns=1)
    lines = [
        f"Mynah, talking with {bot.engine.version}",
        f"Persona: {persona or 'none'}",
        *(["I remember what we said the last time; /reset forgets it."] if has_talked else []),
        "Type a message and press Enter. Ctrl-C stops a reply, Ctrl-D quits, /help lists the commands.",
    ]
    return "\n".join(lines)
