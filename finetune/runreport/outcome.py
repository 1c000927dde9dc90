"""What became of a run, in a sentence, and how far it came: what the page and the terminal begin with.

Knows nothing of the page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from finetune.flywheel.record import RunRecord, State
from finetune.report.wording import count, duration, plural, printable
from finetune.runreport.findings import Findings


@dataclass(frozen=True, slots=True)
class Milestone:
    """One thing that a run comes to.

    Attributes:
        note: How it went, or how far it is.
    """

    name: str
    is_reached: bool
    note: str = ""


def sentence(record: RunRecord) -> str:
    """What became of it and why, on one line."""
    version = record.version or "a new model"
    step = f" at “{record.step}”" if record.step else ""
    opening = {
        State.WAITING: "It has not begun yet",
        State.RUNNING: f"It is under way{step}",
        State.PROMOTED: f"Promoted: {version} is the champion",
        State.REFUSED: f"Refused: {version} was trained and does not serve",
        State.SKIPPED: "Skipped: nothing was trained",
        State.FAILED: f"Failed{step}",
    }[record.state]
    text = printable(f"{opening}: {record.outcome}" if record.outcome else opening)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def took_s(record: RunRecord) -> float | None:
    """Seconds from begin to end; None if it has not ended, or never begun."""
    if record.started_at is None or record.ended_at is None:
        return None
    return (record.ended_at - record.started_at).total_seconds()


def moment(at: datetime | None) -> str:
    """`2026-11-21 04:00 UTC`."""
    if at is None:
        return "-"
    return f"{at:%Y-%m-%d %H:%M}" if at.tzinfo is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def milestones(findings: Findings, record: RunRecord) -> tuple[Milestone, ...]:
    """How far it came, in order."""
    num_verdicts = len(findings.verdicts) - (len(findings.data.verdicts) if findings.data else 0)
    return (
        Milestone("data prepared", findings.data is not None, _learnt(findings)),
        Milestone("trained", findings.result is not None, "; ".join(_trained(findings))),
        Milestone("exported", findings.is_exported or record.version is not None, record.version or ""),
        Milestone("measured", findings.challenger is not None),
        Milestone("judged", num_verdicts > 0, plural(num_verdicts, "figure") if num_verdicts else ""),
        Milestone("promoted", record.state is State.PROMOTED),
    )


def _learnt(findings: Findings) -> str:
    tokens = learnt_tokens(findings)
    return "" if tokens is None else f"{count(tokens)} tokens to learn"


def learnt_tokens(findings: Findings) -> int | None:
    """Target tokens of what is learnt; None if that is not known."""
    splits = findings.data.splits if findings.data else ()
    return next((split.target_tokens for split in splits if split.name == "train"), None)


def _trained(findings: Findings) -> Iterator[str]:
    if findings.result:
        for stage in findings.result.stages:
            yield f"{stage.name}: {plural(stage.steps, 'step')} in {duration(stage.seconds)}"
        return
    for name in findings.course.stages:
        if steps := findings.course.steps_of(name):
            yield f"{name}: step {count(steps[-1].step)} of {count(steps[-1].steps)}"
