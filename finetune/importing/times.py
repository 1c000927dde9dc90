"""Moments as whole milliseconds since 1970 in UTC, from the ways in which files write them.

Knows nothing of messages. All that does not read as a time is a ValueError.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# As seconds this is the year 5138, as milliseconds 1973: what is larger counts milliseconds.
_FIRST_MILLISECONDS = 100_000_000_000
# The year 9999, the last that `datetime` knows.
_MAX_MS = 253_402_300_799_999
# A clock that goes back by more has passed midnight; one that goes back by less was set, or summer is over.
_MIDNIGHT_GAP_S = 12 * 60 * 60


def from_datetime(moment: datetime) -> int:
    """The milliseconds of a moment that knows its zone."""
    try:
        return (moment - _EPOCH) // _MILLISECOND
    except OverflowError as exc:
        raise ValueError(f"{moment} is out of range") from exc


def from_iso(text: str, zone: tzinfo) -> int:
    """ISO 8601; `zone` is for times that have none."""
    moment = datetime.fromisoformat(text.strip())
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=zone))


def from_seconds(seconds: int | str) -> int:
    """Unix time."""
    return _checked(int(seconds) * 1000)


def from_unix(number: float) -> int:
    """Unix time in seconds or milliseconds: they are told apart by their size."""
    if not abs(number) <= _MAX_MS:  # also if it is NaN
        raise ValueError(f"{number} is out of range")
    return _checked(int(number) if abs(number) >= _FIRST_MILLISECONDS else round(number * 1000))


class Clock:
    """Turns times of day into moments: knows the day, and when midnight passes."""

    def __init__(self, zone: tzinfo, day: date | None) -> None:
        """`day` is that of the first time, if it is known."""
        self._zone = zone
        self._day = day
        self._last_s: int | None = None

    @property
    def has_day(self) -> bool:
        """Whether the day is known, so that there are moments at all."""
        return self._day is not None

    def set_day(self, day: date) -> None:
        """The source says which day it is from here on."""
        if day != self._day:
            self._last_s = None
        self._day = day

    def at(self, now: time) -> int | None:
        """The moment of the next time of day, which comes after the last one; None if the day is not known."""
        if self._day is None:
            return None
        now_s = now.hour * 3600 + now.minute * 60 + now.second
        if self._last_s is not None and self._last_s - now_s > _MIDNIGHT_GAP_S:
            self._day = _next(self._day)
        self._last_s = now_s
        return from_datetime(datetime.combine(self._day, now, self._zone))


def _next(day: date) -> date:
    try:
        return day + timedelta(days=1)
    except OverflowError as exc:
        raise ValueError(f"there is no day after {day}") from exc


def _checked(milliseconds: int) -> int:
    if abs(milliseconds) > _MAX_MS:
        raise ValueError("out of range")
    return milliseconds
