"""The loop, closed without hands: what people say and make of it, a scheduled run, and a bot that answers anew.

With a tiny model. It is judged by the gates that every model is judged by, with limits for one that knows eight
sentences before and not many more afterwards.
"""

import asyncio
import fcntl
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bots.chatlog import ChatLog
from bots.policy import Policy
from engine.registry import Registry
from finetune.flywheel.record import RunRecord, State
from finetune.schedule.queue import RunQueue
from tests.bots.chatlog.chatlog_samples import Clock
from tests.finetune.dataset.dialogues import sentence
from tests.finetune.logged_chats import PEOPLE, Chat
from tests.finetune.workplace import ROOT, Workplace

# What a terminal is told that is not to be read.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
LIKED, TAUGHT = "by the seaside", "Nothing yet, but I am going to look."


@contextmanager
def running(workplace: Workplace, *arguments: str) -> Iterator["Program"]:
    """A program in a terminal, as an operator starts it; it ends in order when it is told to."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 250, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=workplace.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    program = Program(ours)
    try:
        yield program
    finally:
        process.send_signal(signal.SIGTERM)
        program.read_on()
        process.wait(timeout=90)
        os.close(ours)
    assert "Traceback" not in program.seen, program.seen


async def have_talked(workplace: Workplace, number: int) -> None:
    """Let three people have talked with the bot these weeks, a conversation every five hours, and have liked it."""
    clock = Clock(datetime.now(UTC) - timedelta(hours=5 * (number + 1)))
    policy = Policy(telegram_confirmed=True)
    async with ChatLog.open(workplace.database, policy=policy, now=clock) as log:
        chat = Chat(log)
        await chat.agree()
        for n in range(number):
            rng, user = random.Random(f"log {n}"), PEOPLE[n % len(PEOPLE)]
            for _ in range(2):
                post = await chat.turn(user, sentence(rng, 6), f"{sentence(rng, 5)} {LIKED}")
                await chat.rate(post, user=user)
            clock.time += timedelta(hours=5)


class Program:
    """A program that keeps running in a terminal, and somebody who types."""

    def __init__(self, terminal: int) -> None:
        self._terminal, self.seen = terminal, ""

    def say(self, text: str, until: str) -> str:
        """Type a line; returns what is shown then, up to some words."""
        start = len(self.seen)
        os.write(self._terminal, f"{text}\r".encode())
        return self.until(until, start)

    def until(self, words: str, start: int = 0) -> str:
        """Look on until some words have been shown, and the prompt after them."""
        while not (shown := CONTROL.sub("", self.seen[start:])).partition(words)[2].rstrip(" ").endswith("\n\n>"):
            assert self._read(), f"it has ended: {self.seen}"
        return shown

    def read_on(self) -> None:
        """Read what it says until it ends."""
        while self._read():
            pass

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], 60)
        assert ready, f"nothing happens any more: {self.seen}"
        try:
            said = os.read(self._terminal, 4096).decode("utf-8", "replace")
        except OSError:  # what Linux says when the other end is closed
            return False
        self.seen += said.replace("\r", "")
        return bool(said)


def wait_for(what: Callable[[], bool], timeout_s: float = 400) -> None:
    until = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < until, "nothing happens"
        time.sleep(0.2)  # processes of their own are at it


def over(queue: RunQueue) -> RunRecord | None:
    return next((record for record in queue.newest(1) if record.state.is_over), None)


@pytest.mark.timeout(900)  # four models are exported and measured in it
def test_what_people_say_and_correct_comes_to_be_what_the_running_bot_says(
    installation: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(have_talked(installation, 24))
    registry, queue = Registry(installation.folder / "models"), RunQueue(installation.folder / "data/schedule.db")
    base = registry.champion()
    assert base is not None
    monkeypatch.setenv("SCHEDULE_VOLUME", "2")
    with running(installation, "bots.console") as console:
        console.until("ready")
        console.say("/consent training yes", "Do you agree?")
        console.say("/consent training yes", "takes it back")
        for n in range(3):
            console.say(f"what do you know of the copper lantern number {n}?", "\n")
            console.say("/rate good" if n else f"/teach {TAUGHT}", "noted")
        console.say("/model", base)
        with running(installation, "finetune", "schedule", "--cron", ""):
            wait_for(lambda: over(queue) is not None)
        record = over(queue)
        assert record is not None
        log = (installation.folder / "data/trainings" / record.id / "log.txt").read_text(encoding="utf-8")
        assert record.state is State.PROMOTED, f"{record.outcome}\n{log}"
        assert registry.champion() == record.version != base
        wait_for(lambda: str(record.version) in console.say("/model", "Model version"), 30)
        console.say("what do you know of the copper lantern?", "\n")
    assert any(LIKED in target for example in installation.examples("train") for target in example.targets)
    assert TAUGHT in [target for example in installation.examples("validation") for target in example.targets]
    report = (installation.folder / "data/trainings" / record.id / "report.html").read_text(encoding="utf-8")
    assert record.version in report
    assert "copper lantern" not in report
