"""What people are told of the schedule."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from finetune.flywheel.record import RunRecord, State, Trigger
from finetune.schedule.queue import Pause
from finetune.schedule.triggers import Facts, Votes
from finetune.schedule.words import NO_RUNS, Status, in_short, notice, status, table

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
WAITING = RunRecord("20261121-040000-0002", Trigger.VOLUME, "there is much", State.WAITING, NOW)
FAILED = replace(
    WAITING,
    id="20261120-040000-0001",
    trigger=Trigger.CRON,
    state=State.FAILED,
    started_at=NOW - timedelta(hours=2),
    ended_at=NOW - timedelta(minutes=55),
    outcome="the disk is full",
)
CALM = Status(
    has_scheduler=True, pause=None, running=None, waiting=(), newest=None, next_at=None, facts=None, champion=None
)


def test_a_run_is_one_line_with_what_became_of_it() -> None:
    waits, failed = table([WAITING, FAILED])
    assert failed.startswith("20261120-040000-0001  cron    failed ")
    assert failed.endswith("1 h 05 min  the disk is full")
    assert waits.endswith("-           there is much")
    assert table([]) == in_short([]) == [NO_RUNS]
    assert in_short([FAILED]) == ["20261120-040000-0001 (cron): failed: the disk is full"]


def test_a_notice_says_in_one_line_what_became_of_a_run_and_why() -> None:
    assert notice(FAILED) == "Run 20261120-040000-0001 (cron) has failed; the model stays: the disk is full"
    for state in State:
        if state.is_over:
            assert "\n" not in notice(replace(FAILED, state=state, outcome=""))


def test_a_calm_status_says_that_nothing_is_under_way() -> None:
    assert status(CALM, NOW) == ["Now: no run", "Next by the clock: never, or not known", "Model: none yet"]


def test_a_status_says_all_that_is_out_of_the_ordinary() -> None:
    running = replace(WAITING, state=State.RUNNING, started_at=NOW - timedelta(minutes=70), step="train 3/120")
    facts = Facts(1200, 0.031, Votes(8, 2), Votes(9, 1), tainted_since=NOW)
    known = Status(False, Pause("somebody", NOW), running, (WAITING,), FAILED, NOW, (NOW, facts), "v1")
    said = "\n".join(status(known, NOW))
    for words in (
        "The scheduler is not running",
        "Paused by somebody",
        "volume) for 1 h 10 min: train 3/120",
        "Waiting: 20261121-040000-0002 (volume: there is much)",
        "has failed",
        "1,200 new answers, drift +3.1%, thumbs down 20.0% of 10 votes this week (10.0% of 10 the week before)",
        "taken back on 2026-11-21",
        "Model: v1",
    ):
        assert words in said
