"""When a run is due."""

from datetime import UTC, datetime, timedelta

import pytest

from finetune.flywheel.record import Trigger
from finetune.schedule.triggers import Facts, Votes, due
from finetune.settings import ScheduleSettings

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
SETTINGS = ScheduleSettings.model_construct()


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.mark.parametrize(
    ("facts", "trigger"),
    [
        (Facts(), None),
        (Facts(new_targets=499), None),
        (Facts(new_targets=500), Trigger.VOLUME),
        (Facts(drift=0.049), None),
        (Facts(drift=0.05), Trigger.DRIFT),
        (Facts(drift=-0.5), None),
        (Facts(this_week=Votes(40, 10), last_week=Votes(43, 7)), Trigger.FEEDBACK),
        (Facts(this_week=Votes(41, 9), last_week=Votes(43, 7)), None),
        (Facts(this_week=Votes(39, 10), last_week=Votes(43, 7)), None),
        (Facts(this_week=Votes(40, 10), last_week=Votes(42, 7)), None),
        (Facts(this_week=Votes(40, 10)), None),
        (Facts(this_week=Votes(43, 7), last_week=Votes(40, 10)), None),
        (Facts(tainted_since=ago(days=4.9)), None),
        (Facts(tainted_since=ago(days=5)), Trigger.FORGET),
        (Facts(new_targets=500, drift=0.05, tainted_since=ago(days=8)), Trigger.FORGET),
        (Facts(new_targets=500, drift=0.05), Trigger.VOLUME),
    ],
)
def test_a_run_is_due_from_its_limit_on_the_most_urgent_first(facts: Facts, trigger: Trigger | None) -> None:
    found = due(facts, SETTINGS, NOW)
    assert (found and found.trigger) == trigger
    assert found is None or found.reason


@pytest.mark.parametrize(("hours", "is_due"), [(23.9, False), (24, True)])
def test_nothing_is_due_soon_after_a_run_but_to_forget_somebody(hours: float, is_due: bool) -> None:
    ended = ago(hours=hours)
    assert bool(due(Facts(new_targets=9999, drift=1.0, last_ended_at=ended), SETTINGS, NOW)) is is_due
    assert due(Facts(tainted_since=ago(days=8), last_ended_at=ended), SETTINGS, NOW)


@pytest.mark.parametrize(("hours", "is_due"), [(23.9, False), (24, True)])
def test_a_run_to_forget_somebody_that_came_to_nothing_is_not_repeated_at_once(hours: float, is_due: bool) -> None:
    facts = Facts(tainted_since=ago(days=8), last_ended_at=ago(hours=hours), last_forget_ended_at=ago(hours=hours))
    assert bool(due(facts, SETTINGS, NOW)) is is_due


def test_facts_come_back_from_json_as_they_were() -> None:
    for facts in (Facts(), Facts(3, 0.1, Votes(1, 2), Votes(3, 4), NOW, ago(days=1), ago(days=2))):
        assert Facts.from_json(facts.to_json()) == facts
