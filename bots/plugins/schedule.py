"""When something is due that happens again and again.

The arithmetic is APScheduler's triggers; waiting is ours, so that a schedule ends with its plugin and follows a clock
that is passed in.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bots.budget import Sleep
from bots.cron import cron_trigger

LONGEST_SLEEP_S = 60.0
"""The clock on the wall may be set while we sleep."""


def trigger_of(now: datetime, interval_s: float | None, cron: str | None) -> BaseTrigger:
    """The trigger for an interval in seconds, from `now` on, or for five cron fields in the machine's time zone.

    Raises:
        ValueError: Neither or both are given, or one is not good; says what is wrong.
    """
    if (interval_s is None) == (cron is None):
        raise ValueError("a schedule has either interval_s or cron")
    if cron is not None:
        return cron_trigger(cron)
    assert interval_s is not None
    if interval_s <= 0:
        raise ValueError(f"interval_s is {interval_s}; it has to be more than 0")
    return IntervalTrigger(seconds=interval_s, start_date=now + timedelta(seconds=interval_s), timezone=UTC)


async def repeat(
    trigger: BaseTrigger, work: Callable[[], Awaitable[object]], *, now: Callable[[], datetime], sleep: Sleep
) -> None:
    """Do `work` whenever `trigger` says so, one after the other, until cancelled or until there is no next time.

    Times that pass while it works, or while the machine sleeps, are made up for by one.
    """
    last: datetime | None = None
    while (due := trigger.get_next_fire_time(last, now())) is not None:
        while (wait_s := (due - now()).total_seconds()) > 0:
            await sleep(min(wait_s, LONGEST_SLEEP_S))
        await work()
        last = max(due, now())
