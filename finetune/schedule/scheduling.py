"""The scheduler of an installation, and what commands and chats are told of it.

Puts the parts together; each of them stands in a module of its own.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bots.chatlog import Request
from bots.signals import closed_by_signals
from finetune.flywheel.folder import REPORT
from finetune.flywheel.record import State
from finetune.installation import Installation
from finetune.schedule import requests, triggers, words
from finetune.schedule.cron import trigger_of
from finetune.schedule.queue import Pause, RunQueue
from finetune.schedule.requests import Desk
from finetune.schedule.service import FACTS, POLL_S, Service
from finetune.schedule.supervisor import GRACE_S, Supervisor
from finetune.schedule.times import open_times
from finetune.schedule.triggers import Facts
from finetune.schedule.words import Status

NUM_IN_CHATS = 5
RUN = (sys.executable, "-m", "finetune", "run", "--id")
GATHER = (sys.executable, "-m", "finetune.schedule.facts")


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Processes:
    """What the scheduler starts, and how long it waits for it.

    Attributes:
        run: Carries out the run whose id it is given as its last argument.
        facts: Prints the facts that triggers go by.
        grace_s: How long a run may take to end when it is told to, in seconds.
        poll_s: How often the queue and the mailbox are looked into, in seconds.
    """

    run: tuple[str, ...] = RUN
    facts: tuple[str, ...] = GATHER
    grace_s: float = GRACE_S
    poll_s: float = POLL_S


@dataclass(frozen=True)
class Scheduling:
    """The schedule of an installation.

    Attributes:
        cron: When a run is due in any case.
    """

    at: Installation
    cron: str
    processes: Processes = field(default_factory=Processes)
    now: Callable[[], datetime] = utc_now

    @classmethod
    def of(cls, at: Installation, cron: str | None = None) -> "Scheduling":
        """The schedule as it is set, or with a cron of its own."""
        return cls(at, at.schedule.cron if cron is None else cron)

    @property
    def queue(self) -> RunQueue:
        """The runs."""
        return RunQueue(self.at.schedule.database)

    def serve(self) -> None:
        """Be the scheduler until SIGTERM or Ctrl-C.

        Raises:
            CronError: The cron makes no sense.
            StoreError: Another scheduler is at it, or the queue cannot be used.
            DatabaseError: The chat log cannot be used.
        """
        trigger_of(self.cron)
        queue = self.queue
        # Told to end twice, it ends at once: what is cancelled then has nothing more to say.
        with queue.scheduling_alone(), suppress(asyncio.CancelledError):
            asyncio.run(self._serve(queue))

    async def _serve(self, queue: RunQueue) -> None:
        settings = self.at.schedule
        grace = timedelta(hours=settings.misfire_hours)
        async with self.at.log() as log:
            with open_times(queue.path, self.cron, grace) as times:
                supervisor = Supervisor(
                    queue,
                    self.at.finetune.trainings,
                    self.processes.run,
                    nice=self.at.train.nice,
                    attempts=settings.attempts,
                    now=self.now,
                    grace_s=self.processes.grace_s,
                )
                service = Service(
                    queue,
                    log,
                    supervisor,
                    Desk(queue, log, self._answers(), self.now),
                    times,
                    self.processes.facts,
                    judge=lambda facts, now: triggers.due(facts, settings, now),
                    now=self.now,
                    check_s=settings.check_minutes * 60,
                    poll_s=self.processes.poll_s,
                )
                async with closed_by_signals(service):
                    await service.run()

    def _answers(self) -> dict[str, requests.Answer]:
        """What is said to operators who ask in chats."""

        async def status(_: Request) -> str:
            return "\n".join(self.status())

        async def runs(_: Request) -> str:
            return "\n".join(words.in_short(self.queue.newest(NUM_IN_CHATS)))

        async def report(_: Request) -> str:
            return self.report()

        return {requests.STATUS: status, requests.RUNS: runs, requests.REPORT: report}

    def runs(self, number: int) -> list[str]:
        """The newest runs, a line each."""
        return words.table(self.queue.newest(number))

    def status(self) -> list[str]:
        """How things are, a line for each."""
        queue, now = self.queue, self.now()
        newest = next((record for record in queue.newest(NUM_IN_CHATS) if record.state.is_over), None)
        trigger, kept = trigger_of(self.cron), queue.recall(FACTS)
        known = Status(
            has_scheduler=queue.has_scheduler,
            pause=queue.pause,
            running=queue.running(),
            waiting=tuple(queue.waiting()),
            newest=newest,
            next_at=trigger.get_next_fire_time(None, now) if trigger else None,
            facts=kept and (datetime.fromisoformat(kept["at"]), Facts.from_json(kept["facts"])),
            champion=self.at.registry.champion(),
        )
        return words.status(known, now)

    def report(self) -> str:
        """What became of the newest run that is over, and where its report is."""
        newest = self.queue.newest_of(*(state for state in State if state.is_over))
        if newest is None:
            return words.NO_RUNS
        path = self.at.finetune.trainings / newest.id / REPORT
        where = f"its report is {path}" if path.exists() else "it has no report"
        return f"{words.notice(newest)}; {where}."

    def pause(self, who: str) -> list[str]:
        """Begin no runs from now on; `who` says so, in words."""
        queue = self.queue
        queue.set_pause(Pause(who, self.now()))
        running = queue.running()
        said = "no run begins until: python -m finetune resume"
        return [said, f"run {running.id} goes on"] if running else [said]

    def resume(self) -> list[str]:
        """Begin runs again."""
        queue = self.queue
        queue.set_pause(None)
        hint = [] if queue.has_scheduler else ["no scheduler is running; start it with: python -m finetune schedule"]
        return ["runs begin again when they are due", *hint]
