"""The times of a cron, over restarts."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from finetune.flywheel.record import Trigger
from finetune.schedule.cron import CronError
from finetune.schedule.database import open_engine
from finetune.schedule.queue import RunQueue
from finetune.schedule.times import JOB, open_times

GRACE = timedelta(hours=12)
HOURLY = "0 * * * *"


def stored(database: Path, at: datetime | None = None) -> datetime | None:
    """When the next run is due as it is kept; `at` lets it be another time, as if the clock had gone on since."""
    scheduler = AsyncIOScheduler()
    scheduler.add_jobstore(SQLAlchemyJobStore(engine=open_engine(database)))
    scheduler.start(paused=True)
    try:
        job = scheduler.get_job(JOB)
        if at is not None:
            job.modify(next_run_time=at)
        next_at: datetime | None = job and job.next_run_time
        return next_at
    finally:
        scheduler.shutdown()


async def for_a_moment(database: Path, cron: str = HOURLY, *, until: Callable[[], bool] = lambda: True) -> None:
    """Be a scheduler until something is so."""
    with open_times(database, cron, GRACE) as times:
        async with asyncio.timeout(30):
            times.look()
            await asyncio.sleep(0)
            while not until():
                await asyncio.sleep(0.01)
    await asyncio.sleep(0)  # it ends with the next turn of the loop


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


async def test_times_that_passed_while_nobody_was_there_are_made_up_for_by_one_run(tmp_path: Path) -> None:
    database = tmp_path / "schedule.db"
    await for_a_moment(database)
    stored(database, ago(hours=5))
    await for_a_moment(database, until=lambda: bool(RunQueue(database).newest(9)))
    (run,) = RunQueue(database).newest(9)
    assert run.trigger is Trigger.CRON
    next_at = stored(database)
    assert next_at is not None
    assert next_at > datetime.now(UTC)
    # It is not made up for once more.
    await for_a_moment(database)
    assert len(RunQueue(database).newest(9)) == 1


async def test_a_time_that_is_longer_ago_than_the_grace_is_given_up(tmp_path: Path) -> None:
    database, weekly = tmp_path / "schedule.db", "0 4 * * 0"
    await for_a_moment(database, weekly)
    passed = stored(database)
    assert passed is not None
    # The last Sunday may be within the grace today; the one before is not.
    stored(database, passed - timedelta(days=14))
    late = datetime.now(UTC) - (passed - timedelta(days=7)) > GRACE
    await for_a_moment(database, weekly, until=lambda: stored(database) == passed)
    assert len(RunQueue(database).newest(9)) == (0 if late else 1)


async def test_other_times_take_the_place_of_those_before_and_none_end_them(tmp_path: Path) -> None:
    database = tmp_path / "schedule.db"
    await for_a_moment(database, "0 4 1 1 *")
    assert (before := stored(database)) is not None
    assert (before.month, before.day) == (1, 1)
    await for_a_moment(database, "0 4 2 2 *")
    assert (after := stored(database)) is not None
    assert (after.month, after.day) == (2, 2)
    await for_a_moment(database, "")
    assert stored(database) is None
    await for_a_moment(database, "")


async def test_a_schedule_that_has_moved_asks_in_its_new_place(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "schedule.db", tmp_path / "new" / "schedule.db"
    await for_a_moment(old)
    stored(old, ago(hours=1))
    old.parent.rename(new.parent)
    await for_a_moment(new, until=lambda: bool(RunQueue(new).newest(9)))
    assert not old.exists()


async def test_a_cron_that_makes_no_sense_changes_nothing(tmp_path: Path) -> None:
    database = tmp_path / "schedule.db"
    await for_a_moment(database)
    with pytest.raises(CronError):
        await for_a_moment(database, "every day")
    assert stored(database) is not None
