"""When a run is due beyond the times of its cron: a person to forget, much that is new, drift, displeasure.

Rules over plain figures; knows nothing of where those come from.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from finetune.flywheel.record import Trigger
from finetune.settings import ScheduleSettings

TIMES = ("tainted_since", "last_ended_at", "last_forget_ended_at")

# A run takes hours on a slow machine, and may fail, and be tried again a day later.
FORGET_AHEAD = timedelta(days=2)


@dataclass(frozen=True)
class Votes:
    """Ratings of a week."""

    up: int
    down: int

    @property
    def number(self) -> int:
        """How many there are."""
        return self.up + self.down

    @property
    def dislikes(self) -> float:
        """Share of thumbs down."""
        return self.down / self.number if self.number else 0.0


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes:
        new_targets: Answers to learn from that no run has seen.
        drift: How many more bits per byte the champion needs for what was said lately than it needed for held-out
            data when it was promoted, as a share of those; None if there is too little to tell.
        this_week: Ratings of the last 7 days; `last_week` of the 7 before.
        tainted_since: Since when the champion knows words that somebody has taken back; None if it does not.
        last_ended_at: When a run ended last; `last_forget_ended_at` one that was to forget somebody.
    """

    new_targets: int = 0
    drift: float | None = None
    this_week: Votes = Votes(0, 0)
    last_week: Votes = Votes(0, 0)
    tainted_since: datetime | None = None
    last_ended_at: datetime | None = None
    last_forget_ended_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        row = asdict(self)
        return row | {name: row[name] and row[name].isoformat() for name in TIMES}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        times = {name: row[name] and datetime.fromisoformat(row[name]) for name in TIMES}
        votes = {name: Votes(**row[name]) for name in ("this_week", "last_week")}
        return cls(**{**row, **times, **votes})


@dataclass(frozen=True)
class Due:
    """A run that is due; `reason` says why, in words."""

    trigger: Trigger
    reason: str


def due(facts: Facts, settings: ScheduleSettings, now: datetime) -> Due | None:
    """What is due now, the most urgent first; None if nothing is.

    A person who wants to be forgotten does not wait for the cool-down, unless a run for that has just failed.
    """
    cooldown = timedelta(hours=settings.cooldown_hours)
    if (reason := _of_forgetting(facts, settings, now)) and _is_over(facts.last_forget_ended_at, cooldown, now):
        return Due(Trigger.FORGET, reason)
    if not _is_over(facts.last_ended_at, cooldown, now):
        return None
    found = (
        (Trigger.VOLUME, _of_volume(facts, settings)),
        (Trigger.DRIFT, _of_drift(facts, settings)),
        (Trigger.FEEDBACK, _of_feedback(facts, settings)),
    )
    return next((Due(trigger, reason) for trigger, reason in found if reason), None)


def _is_over(ended_at: datetime | None, cooldown: timedelta, now: datetime) -> bool:
    return ended_at is None or now - ended_at >= cooldown


def _of_forgetting(facts: Facts, settings: ScheduleSettings, now: datetime) -> str | None:
    wait = max(timedelta(), timedelta(days=settings.forget_days) - FORGET_AHEAD)
    if facts.tainted_since is None or now - facts.tainted_since < wait:
        return None
    return f"the champion knows words that were taken back on {facts.tainted_since:%Y-%m-%d}"


def _of_volume(facts: Facts, settings: ScheduleSettings) -> str | None:
    if facts.new_targets < settings.volume:
        return None
    return f"there are {facts.new_targets:,} new answers to learn from, {settings.volume:,} are enough"


def _of_drift(facts: Facts, settings: ScheduleSettings) -> str | None:
    if facts.drift is None or facts.drift < settings.drift:
        return None
    return f"for what was said lately the champion needs {facts.drift:.1%} more bits per byte than at its promotion"


def _of_feedback(facts: Facts, settings: ScheduleSettings) -> str | None:
    before, after = facts.last_week, facts.this_week
    growth = after.dislikes - before.dislikes
    if min(before.number, after.number) < settings.min_votes or growth < settings.dislikes:
        return None
    return f"thumbs down have grown from {before.dislikes:.1%} to {after.dislikes:.1%} of the votes in a week"
