"""The times at which a run is due in any case."""

from apscheduler.triggers.cron import CronTrigger

from bots.cron import cron_trigger
from finetune.errors import FinetuneError


class CronError(FinetuneError, ValueError):
    """The times of the schedule are no cron fields."""


def trigger_of(cron: str) -> CronTrigger | None:
    """The times of five cron fields, in the machine's time zone; None if there are none.

    Raises:
        CronError: They make no sense; says why.
    """
    if not cron.strip():
        return None
    try:
        return cron_trigger(cron)
    except ValueError as error:
        raise CronError(f"SCHEDULE_CRON {error}") from error
