"""The scheduler: asks for runs when they are due, has them carried out, and answers operators, until it is told to end.

It never trains itself, nor does it load what that needs: what may take long is done by processes of their own. Knows
nothing of training.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from bots.chatlog import ChatLog, DatabaseError
from finetune.errors import FinetuneError
from finetune.schedule import news
from finetune.schedule.asking import Said, ask
from finetune.schedule.complaints import complain
from finetune.schedule.queue import RunQueue
from finetune.schedule.requests import Desk
from finetune.schedule.supervisor import Supervisor
from finetune.schedule.times import Times
from finetune.schedule.triggers import Due, Facts

logger = logging.getLogger(__name__)

# Operators wait for answers, and nobody for anything else.
POLL_S = 2.0
# A machine that was asleep has missed when to look at the clock.
LOOK_S = 60.0
FACTS = "facts"
# Given to what finds out the facts: see to deadlines alone.
UPKEEP = "--upkeep"
# The drift of the default model takes minutes on two cores; whatever takes this long hangs.
LIMIT_S = 30 * 60.0


@dataclass
class Service:
    """Everything that goes on in the scheduler's process.

    Attributes:
        log: Whose mailbox those hear from who want to know what became of runs.
        facts_command: What prints the facts that triggers go by, as a line of JSON; with `--upkeep` it only sees to
            deadlines.
        judge: What is due, given those.
        check_s: How often those are asked for, in seconds.
        poll_s: How often the queue and the mailbox are looked into.
        limit_s: How long the facts may take, in seconds.
    """

    queue: RunQueue
    log: ChatLog
    supervisor: Supervisor
    desk: Desk
    times: Times
    facts_command: Sequence[str]
    judge: Callable[[Facts, datetime], Due | None]
    now: Callable[[], datetime]
    check_s: float
    poll_s: float = POLL_S
    limit_s: float = LIMIT_S
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_closing(self) -> bool:
        """Whether it was told to end."""
        return self._closing.is_set()

    def close(self) -> None:
        """Let `run` end: the run under way writes a checkpoint, and waits to be taken up."""
        self._closing.set()

    async def run(self) -> None:
        """See to everything until `close`."""
        await self.desk.reclaim()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._supervise, self.poll_s))
            group.create_task(self._repeat(self._serve, self.poll_s))
            group.create_task(self._repeat(self._check, self.check_s))
            group.create_task(self._repeat(self._look, LOOK_S))

    async def _repeat(self, work: Callable[[], Awaitable[None]], pause_s: float) -> None:
        """Do something again and again; what cannot be done now may be possible later."""
        while not self.is_closing:
            try:
                await work()
            except (FinetuneError, DatabaseError) as error:
                logger.warning("%s; it is tried again in %g s", error, pause_s)
            except Exception:
                # The outermost loop: a fault in one of the things must not end the others, nor the run under way.
                logger.exception("a fault; it is tried again in %g s", pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._closing.wait()

    async def _supervise(self) -> None:
        await self.supervisor.step(self._closing)

    async def _serve(self) -> None:
        await self.desk.serve()
        await news.tell(self.queue, self.log)

    async def _look(self) -> None:
        self.times.look()

    async def _check(self) -> None:
        """Find out the facts, and ask for a run if they make one due; one that waits is going to change them.

        Whoever finds them out sees to deadlines, too, so that is done also while runs are paused; while one is under
        way that is all that is done.
        """
        if self.queue.running() is not None:
            await self._see_to_deadlines()
        elif (facts := await self._facts()) is not None:
            self.queue.keep(FACTS, {"at": self.now().isoformat(), "facts": facts.to_json()})
            if not self.queue.waiting() and (found := self.judge(facts, self.now())) is not None:
                record = self.queue.add(found.trigger, found.reason, now=self.now())
                logger.info("run %s is due: %s", record.id, record.reason)

    async def _facts(self) -> Facts | None:
        """What the triggers go by; None if that could not be found out, or if we are to end."""
        said = await self._heard(self.facts_command)
        try:
            facts = Facts.from_json(json.loads(said.answer.splitlines()[-1]))
        except (IndexError, ValueError, KeyError, TypeError):
            await self._complain(f"what triggers go by could not be found out ({said.last_problem})")
            return None
        for error in said.errors:
            await self._complain(error)
        return facts

    async def _see_to_deadlines(self) -> None:
        for error in (await self._heard([*self.facts_command, UPKEEP])).errors:
            await self._complain(error)

    async def _heard(self, command: Sequence[str]) -> Said:
        """What a command says; whatever its problems are, they are logged."""
        said = await ask(command, self.limit_s, self._closing)
        for line in said.problems:
            logger.warning("of what triggers go by: %s", line)
        return said

    async def _complain(self, reason: str) -> None:
        """Let operators know; not of what has failed because we are to end."""
        if not self.is_closing:
            logger.warning("%s", reason)
            await complain(self.queue, self.log, reason, self.now())
