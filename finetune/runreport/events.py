"""How a training went, step by step, from the lines that it wrote as it happened.

A training that was killed and taken up again has some steps twice; the later ones count. A line that was cut off, as
the last one of a killed process may be, is left out. Knows nothing of how any of it is shown.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

STAGES = ("sft", "kto")

Each = TypeVar("Each")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the optimiser; a figure that was not told is NaN.

    Attributes:
        loss: In nats per target token in SFT; KTO's own, without a unit, in KTO.
        seconds: Since the stage began.
    """

    stage: str
    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens_per_second: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Bits per byte on what is held out for validation, after a step."""

    stage: str
    step: int
    bits_per_byte: float


@dataclass(frozen=True, slots=True)
class Course:
    """All that is known of how a training went.

    Attributes:
        steps: In order, stage by stage; `evaluations` likewise.
        resumed: Stage and step at which it was taken up again.
        checkpoint_bytes: Size of the largest checkpoint; 0 if there was none.
    """

    steps: tuple[Step, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    resumed: tuple[tuple[str, int], ...] = ()
    checkpoint_bytes: int = 0

    @property
    def stages(self) -> tuple[str, ...]:
        """Those that have begun, in order."""
        begun = {step.stage for step in self.steps} | {each.stage for each in self.evaluations}
        return tuple(stage for stage in STAGES if stage in begun)

    def steps_of(self, stage: str) -> tuple[Step, ...]:
        """The steps of one stage."""
        return tuple(step for step in self.steps if step.stage == stage)

    def evaluations_of(self, stage: str) -> tuple[Evaluation, ...]:
        """The evaluations of one stage."""
        return tuple(each for each in self.evaluations if each.stage == stage)


def read(path: Path) -> Course:
    """What a file of events tells; nothing if there is none.

    Raises:
        OSError: It is there and cannot be read.
    """
    if not path.exists():
        return Course()
    with path.open(encoding="utf-8", errors="replace") as lines:
        return course(lines)


def course(lines: Iterable[str]) -> Course:
    """What the lines of such a file tell."""
    steps: dict[tuple[int, int], Step] = {}
    evaluations: dict[tuple[int, int], Evaluation] = {}
    resumed: list[tuple[str, int]] = []
    checkpoint_bytes = 0
    for row in _rows(lines):
        stage, step = row["stage"], _whole(row.get("step"))
        place = (STAGES.index(stage), step)
        match row["event"]:
            case "step":
                steps[place] = _step(row)
            case "evaluation":
                evaluations[place] = Evaluation(stage, step, _figure(row, "bits_per_byte"))
            case "checkpoint":
                checkpoint_bytes = max(checkpoint_bytes, _whole(row.get("bytes")))
            case "resumed":
                resumed.append((stage, step))
    return Course(_sorted(steps), _sorted(evaluations), tuple(resumed), checkpoint_bytes)


def _rows(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("stage") in STAGES and "event" in row:
            yield row


def _sorted(by_place: Mapping[tuple[int, int], Each]) -> tuple[Each, ...]:
    return tuple(by_place[place] for place in sorted(by_place))


def _step(row: Mapping[str, Any]) -> Step:
    figures = ("loss", "learning_rate", "tokens_per_second", "seconds")
    return Step(
        row["stage"],
        _whole(row.get("step")),
        _whole(row.get("steps")),
        **{name: _figure(row, name) for name in figures},
    )


def _figure(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
