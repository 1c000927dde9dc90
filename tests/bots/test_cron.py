"""Five cron fields, as cron reads them."""

from datetime import datetime, timedelta

import pytest

from bots.cron import cron_trigger
from bots.plugins.schedule import trigger_of

MONDAY = datetime(2026, 11, 16).astimezone()


def days(cron: str) -> str:
    """The weekdays on which it fires in one week, 0 for Sunday."""
    trigger, found, at = cron_trigger(cron), [], MONDAY
    while (at := trigger.get_next_fire_time(None, at)) < MONDAY + timedelta(days=7):
        found.append(at.isoweekday() % 7)
        at += timedelta(seconds=1)
    return "".join(map(str, sorted(found)))


@pytest.mark.parametrize(
    ("weekday", "expected"),
    [
        ("0", "0"),
        ("7", "0"),
        ("1", "1"),
        ("6", "6"),
        ("1-5", "12345"),
        ("5-7", "056"),
        ("0-2", "012"),
        ("0,3", "03"),
        ("*", "0123456"),
        ("*/2", "0246"),
        ("1-5/2", "135"),
        ("sun", "0"),
        ("mon-fri", "12345"),
        ("mon,6", "16"),
    ],
)
def test_weekdays_have_the_numbers_that_cron_gives_them(weekday: str, expected: str) -> None:
    assert days(f"0 4 * * {weekday}") == expected


def test_a_plugins_sunday_is_crons_sunday() -> None:
    at = trigger_of(MONDAY, None, "0 4 * * 0").get_next_fire_time(None, MONDAY)
    assert at is not None
    assert at.isoweekday() == 7


def test_the_time_of_day_is_the_machines() -> None:
    trigger = cron_trigger("30 4 1 * *")
    at = trigger.get_next_fire_time(None, MONDAY)
    assert (at.month, at.day, at.hour, at.minute) == (12, 1, 4, 30)
    assert at.utcoffset() == datetime(2026, 12, 1, 4, 30).astimezone().utcoffset()


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("", "has to have 5 fields"),
        ("0 4 * *", "has to have 5 fields"),
        ("61 4 * * *", "61"),
        ("0 4 * * 8", "8"),
        ("0 4 * * 5-2", "the first has to come before the last"),
        ("0 4 13 * 5", "not both"),
        ("nonsense * * * *", "nonsense"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(cron: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        cron_trigger(cron)
