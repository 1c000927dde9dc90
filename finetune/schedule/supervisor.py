"""Carries out the runs that wait, one after the other, each in a process of its own.

All that it knows stands in the queue, so that another one can go on where this one was killed. Its looks into the queue
take milliseconds, and hold up nobody but itself. Knows nothing of training.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from finetune.durable import explained
from finetune.errors import StoreError
from finetune.flywheel.record import RunRecord, State
from finetune.locking import LOCK as TRAININGS_LOCK
from finetune.schedule.lastline import last_line
from finetune.schedule.locks import is_held
from finetune.schedule.queue import RunQueue
from finetune.training.job import LOG

logger = logging.getLogger(__name__)

# A checkpoint of the default model takes a second; service managers kill after 90.
GRACE_S = 60.0
# How a process ends that was told to: with the code that shells give for the signal, or by the signal.
STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM)


class Supervisor:
    """Sees to the runs of a queue."""

    def __init__(
        self,
        queue: RunQueue,
        trainings: Path,
        command: Sequence[str],
        *,
        nice: int,
        attempts: int,
        now: Callable[[], datetime],
        grace_s: float = GRACE_S,
    ) -> None:
        """Carry out runs with `command`, which is given the id of the run as its last argument.

        Args:
            queue: Where runs wait.
            trainings: The folders of runs, in which their output goes.
            nice: How far a run stands back behind other processes.
            attempts: How often a run is begun at most.
            now: The time, with a time zone.
            grace_s: How long a run may take to end when it is told to.
        """
        self._queue, self._trainings, self._command = queue, trainings, tuple(command)
        self._nice, self._attempts, self._now, self._grace_s = nice, attempts, now, grace_s
        self._put_off = ""  # the run that was said to wait for somebody

    async def step(self, closing: asyncio.Event) -> None:
        """Take up what has died, and carry out the next run that waits, until it has ended or `closing` is set."""
        for record in self._queue.adopt_orphans(self._attempts, self._now()):
            logger.warning("the process of the run %s has died; it is %s", record.id, record.state)
        if closing.is_set() or self._queue.pause is not None or self._queue.running() is not None:
            return
        if (due := self._queue.next_waiting()) is not None and not self._is_put_off(due):
            await self._carry_out(due, closing)

    def _is_put_off(self, record: RunRecord) -> bool:
        """Whether a run has to wait, as somebody trains by hand, or has just asked for it to carry it out."""
        is_put_off = is_held(self._trainings / TRAININGS_LOCK)
        if is_put_off and record.id != self._put_off:
            logger.info("run %s waits, as another process is at work in %s", record.id, self._trainings)
            self._put_off = record.id
        return is_put_off

    async def _carry_out(self, record: RunRecord, closing: asyncio.Event) -> None:
        logger.info("run %s begins: %s", record.id, record.reason)
        try:
            process = await self._begin(record)
        except (OSError, StoreError) as error:
            logger.warning("run %s could not be started: %s", record.id, error)
            self._queue.finish(record.id, State.FAILED, f"it could not be started ({error})", None, self._now())
            return
        try:
            async with asyncio.TaskGroup() as group:
                stopping = group.create_task(self._stop_when(closing, process))
                code = await process.wait()
                stopping.cancel()
        finally:
            _kill(process)  # what it has started goes with it, and it itself if we are cancelled
        self._settle(record.id, code, is_stopping=closing.is_set())

    async def _begin(self, record: RunRecord) -> asyncio.subprocess.Process:
        """Start a run; it outlives us if we are killed, and goes on."""
        path = self._trainings / record.id / LOG
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                record.id,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            os.close(output)
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + self._nice))
        return process

    async def _stop_when(self, closing: asyncio.Event, process: asyncio.subprocess.Process) -> None:
        """Once we are told to end, let a run write a checkpoint and end, too; kill it if it does not."""
        await closing.wait()
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.sleep(self._grace_s)
        logger.warning("a run has not ended in %g s and is killed; it goes on after its last checkpoint", self._grace_s)
        _kill(process)

    def _settle(self, id: str, code: int, *, is_stopping: bool) -> None:
        """Write down what the process of a run has not written down itself."""
        record = self._queue.get(id)
        if record.state.is_over or self._queue.is_carried_out(id):
            level = logging.WARNING if record.state is State.FAILED else logging.INFO
            logger.log(level, "run %s is %s: %s", id, record.state, record.outcome or record.step)
        elif is_stopping:
            if record.state is State.RUNNING:
                self._queue.give_back(id)
        elif record.state is State.WAITING and code in STOPPED:
            logger.info("run %s was told to stop, and waits", id)
        elif record.state is State.RUNNING and (code < 0 or code in STOPPED):
            logger.warning("run %s was killed (%d)", id, code)  # an orphan, which the next step takes up
        else:
            said = last_line(self._trainings / id / LOG) or f"its process ended with {code} and said nothing"
            logger.warning("run %s has failed: %s", id, said)
            with suppress(StoreError):  # it may be over by now
                self._queue.finish(id, State.FAILED, said, None, self._now())


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill a process and all that it has started, which are in one group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
