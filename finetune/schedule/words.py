"""What people are told of the schedule: lines for commands, for chats and for notices.

Pure text; knows nothing of where figures come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from finetune.flywheel.record import RunRecord, State
from finetune.schedule.queue import Pause
from finetune.schedule.triggers import Facts

NO_RUNS = "There was no run yet."


@dataclass(frozen=True)
class Status:
    """All that is shown of the schedule.

    Attributes:
        has_scheduler: Whether one is running.
        next_at: When the cron says that a run is due; None for never, or if it is not known.
        facts: What the triggers have looked at last, and when that was.
        champion: Version that is served.
    """

    has_scheduler: bool
    pause: Pause | None
    running: RunRecord | None
    waiting: tuple[RunRecord, ...]
    newest: RunRecord | None
    next_at: datetime | None
    facts: tuple[datetime, Facts] | None
    champion: str | None


def notice(record: RunRecord) -> str:
    """What became of a run, in one line."""
    said = {
        State.PROMOTED: "made a new model, which answers from now on",
        State.REFUSED: "made a model that a gate has refused; the one before it stays",
        State.SKIPPED: "made no model",
        State.FAILED: "has failed; the model stays",
    }
    became, why = said.get(record.state, record.state), record.outcome or "no more is known"
    return f"Run {record.id} ({record.trigger}) {became}: {why}"


def table(records: Sequence[RunRecord]) -> list[str]:
    """Runs, a line each; columns stand below each other."""
    rows = [(each.id, each.trigger, each.state, _time(each.asked_at), _took(each), _what(each)) for each in records]
    widths = [max(len(row[column]) for row in rows) for column in range(5)] if rows else []
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:5], widths, strict=True)), row[5]]).rstrip()
        for row in rows
    ] or [NO_RUNS]


def in_short(records: Sequence[RunRecord]) -> list[str]:
    """Runs as sentences, for chats, where columns do not stand below each other."""
    return [f"{each.id} ({each.trigger}): {each.state}{_after(_what(each))}" for each in records] or [NO_RUNS]


def status(known: Status, now: datetime) -> list[str]:
    """How things are, a line for each."""
    lines = [] if known.has_scheduler else ["The scheduler is not running; start it with: python -m finetune schedule"]
    if known.pause is not None:
        lines.append(f"Paused by {known.pause.who} since {_time(known.pause.since)}: no run is begun")
    lines.append(f"Now: {_running(known.running, now)}")
    lines += [f"Waiting: {each.id} ({each.trigger}: {each.reason})" for each in known.waiting]
    if known.newest is not None:
        lines.append(f"Last: {notice(known.newest)}")
    lines.append(f"Next by the clock: {_time(known.next_at) if known.next_at else 'never, or not known'}")
    lines += _of_facts(known.facts)
    lines.append(f"Model: {known.champion or 'none yet'}")
    return lines


def _running(record: RunRecord | None, now: datetime) -> str:
    if record is None:
        return "no run"
    since = f" for {_span(now - record.started_at)}" if record.started_at else ""
    return f"run {record.id} ({record.trigger}){since}{_after(record.step)}"


def _of_facts(found: tuple[datetime, Facts] | None) -> list[str]:
    if found is None:
        return []
    at, facts = found
    drift = "not measured" if facts.drift is None else f"{facts.drift:+.1%}"
    dislikes = f"{facts.this_week.dislikes:.1%} of {facts.this_week.number} votes this week"
    lines = [
        f"Looked at {_time(at)}: {facts.new_targets:,} new answers, drift {drift}, thumbs down {dislikes} "
        f"({facts.last_week.dislikes:.1%} of {facts.last_week.number} the week before)"
    ]
    if facts.tainted_since is not None:
        lines.append(f"The model knows words that were taken back on {facts.tainted_since:%Y-%m-%d}")
    return lines


def _what(record: RunRecord) -> str:
    return record.outcome or record.step or record.reason


def _after(text: str) -> str:
    return f": {text}" if text else ""


def _took(record: RunRecord) -> str:
    if record.started_at is None or record.ended_at is None:
        return "-"
    return _span(record.ended_at - record.started_at)


def _span(length: timedelta) -> str:
    minutes = max(0, round(length.total_seconds() / 60))
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _time(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"
