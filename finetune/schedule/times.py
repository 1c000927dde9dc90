"""Lets a run be asked for whenever the cron says so, also for times that passed while nobody was there to see.

The next time is kept in the queue's own file, by APScheduler's job store. All that the job does is to add a row to the
queue. Knows nothing of what becomes of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from finetune.flywheel.record import Trigger
from finetune.schedule.cron import trigger_of
from finetune.schedule.database import explained, open_engine
from finetune.schedule.queue import RunQueue

JOB = "cron"
REASON = "the schedule says so"


def enqueue(database: str) -> None:
    """Ask for a run; at the top of the module, as the job store keeps the job by this name."""
    RunQueue(Path(database)).add(Trigger.CRON, REASON, now=datetime.now(UTC))


class Times:
    """The times of a schedule, as long as it is open; `open_times` makes one."""

    def __init__(self, scheduler: AsyncIOScheduler) -> None:
        self._scheduler = scheduler

    def look(self) -> None:
        """Look at the clock: a machine that was asleep, or whose clock was set, has missed when to look."""
        self._scheduler.wakeup()

    def set(self, cron: str, grace: timedelta, database: Path) -> None:
        """Let runs be due at other times from now on.

        The same cron again leaves what is kept alone: when the next run was due is to be known, if that has passed.
        """
        trigger, job = trigger_of(cron), self._scheduler.get_job(JOB)
        rules = {"misfire_grace_time": max(1, round(grace.total_seconds())), "kwargs": {"database": str(database)}}
        if trigger is None:
            if job is not None:
                job.remove()
        elif job is None or job.name != cron:
            self._scheduler.add_job(
                enqueue, trigger, id=JOB, name=cron, replace_existing=True, coalesce=True, max_instances=1, **rules
            )
        else:
            job.modify(**rules)


@contextmanager
def open_times(database: Path, cron: str, grace: timedelta) -> Iterator[Times]:
    """See to the times of a cron, in the running event loop; a time that has passed is made up for once.

    Args:
        cron: Five fields; empty for never.
        grace: How late a run may still be asked for.

    Raises:
        CronError: The cron makes no sense.
        StoreError: The file cannot be used.
    """
    trigger_of(cron)
    scheduler = AsyncIOScheduler()
    scheduler.add_jobstore(SQLAlchemyJobStore(engine=open_engine(database)))
    # It runs the job before the next time is written down, so that a crash between the two asks again rather than
    # never; all others do that after. The job takes milliseconds.
    scheduler.add_executor(DebugExecutor())
    with explained(database):
        scheduler.start(paused=True)
    times = Times(scheduler)
    try:
        with explained(database):
            times.set(cron, grace, database.resolve())
            scheduler.resume()
        yield times
    finally:
        scheduler.shutdown(wait=False)
