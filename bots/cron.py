"""Times by five cron fields, as cron itself reads them. Knows nothing of what is due then."""

import re

from apscheduler.triggers.cron import CronTrigger

# By cron's numbers, in which 0 and 7 are Sunday. APScheduler 3 counts from Monday (agronholm/apscheduler#286), so that
# numbers have to become names.
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
NUM_FIELDS = 5


def cron_trigger(cron: str) -> CronTrigger:
    """The times of five fields (minute, hour, day, month, weekday), in the machine's time zone.

    Raises:
        ValueError: They make no sense; quotes them and says why.
    """
    fields = cron.split()
    if len(fields) != NUM_FIELDS:
        raise ValueError(f"{cron!r} has to have 5 fields, as in 0 4 * * 0")
    *_, day, _, weekday = fields
    if day != "*" and weekday != "*":
        # Cron takes either of both then, and APScheduler only days that are both.
        raise ValueError(f"{cron!r} has to name a day of the month or a weekday, not both")
    try:
        return CronTrigger.from_crontab(" ".join([*fields[:-1], _named(weekday)]))
    except ValueError as error:
        raise ValueError(f"{cron!r} is not good: {error}") from error


def _named(weekdays: str) -> str:
    """Weekdays by name, each for itself: a range of APScheduler's may not go over the end of its week."""
    return ",".join(name for part in weekdays.split(",") for name in _names(part))


def _names(part: str) -> list[str]:
    match = re.fullmatch(r"(?:\*|([0-7])(?:-([0-7]))?)(?:/([1-9]))?", part)
    if match is None or part == "*":
        return [part]
    first, last, step = (int(group) if group else None for group in match.groups())
    if first is None:
        numbers = range(0, 7, step or 1)
    elif last is None:
        numbers = range(first, 7 if step else first + 1, step or 1)
    else:
        numbers = range(first, last + 1, step or 1)
    if not numbers:
        raise ValueError(f"of the weekdays {part} the first has to come before the last")
    return list(dict.fromkeys(WEEKDAYS[number] for number in numbers))
