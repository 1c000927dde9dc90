"""Asks a process of its own, and waits for what it says, until it ends, takes too long, or nobody wants to know.

Knows nothing of what is asked.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from finetune.schedule.lastline import meaningful

ERROR = "error: "


@dataclass(frozen=True)
class Said:
    """What a process has said.

    Attributes:
        answer: On stdout.
        problems: On stderr, a line each; that it took too long, too.
        code: How it has ended, 0 if well.
    """

    answer: str
    problems: tuple[str, ...]
    code: int

    @property
    def errors(self) -> list[str]:
        """What did not work, in words; what else stands on stderr may be the chatter of a library."""
        named = [line.removeprefix(ERROR) for line in self.problems if line.startswith(ERROR)]
        return named or [self.last_problem] * bool(self.code)

    @property
    def last_problem(self) -> str:
        """The line that says best why there is no answer."""
        return meaningful("\n".join(self.problems)) or "it said nothing"


async def ask(command: Sequence[str], limit_s: float, closing: asyncio.Event) -> Said:
    """What a command says; it is killed, with all that it has started, after `limit_s` and upon `closing`.

    Raises:
        OSError: It cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    watch = asyncio.create_task(_kill_in_time(process, limit_s, closing))
    try:
        answer, problems = await process.communicate()
    finally:
        _kill(process)
        watch.cancel()
    is_late = watch.done() and not closing.is_set()
    late = [f"{ERROR}it took longer than {limit_s:g} s and was ended"] if is_late else []
    lines = problems.decode("utf-8", "replace").splitlines() + late
    assert process.returncode is not None  # it has ended
    return Said(answer.decode("utf-8", "replace"), tuple(filter(str.strip, lines)), process.returncode)


async def _kill_in_time(process: asyncio.subprocess.Process, limit_s: float, closing: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await closing.wait()
    _kill(process)


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
