"""The plots of how a training went: loss, bits per byte, learning rate and speed over its steps.

Each is None where there is nothing to draw. Knows nothing of the page that they stand on.
"""

import math
from collections.abc import Callable
from operator import attrgetter

from finetune.report.courses import Panel, brief, courses
from finetune.report.plots import Plot
from finetune.report.wording import count, decimal
from finetune.runreport.events import Course, Step
from finetune.runreport.thinning import Points, evenly, extremes, finite, smooth
from finetune.training.job import Result

STAGE_NAMES = {"sft": "Fine-tuning (SFT)", "kto": "Ratings (KTO)"}

_MAX_ROWS = 40  # of the table under a plot
_NOISY = 30  # points from which on a mean says more than they do
_REACH = 0.04  # of all points, on either side of a mean


def loss_plot(course: Course) -> Plot | None:
    """What each step found before it changed anything."""
    units = {"sft": "nats per target token", "kto": "KTO loss"}
    return _steps_plot("Loss in training", "loss", course, attrgetter("loss"), units, is_noisy=True)


def learning_rate_plot(course: Course) -> Plot | None:
    """How far a step went."""
    units = dict.fromkeys(STAGE_NAMES, "learning rate")
    return _steps_plot("Learning rate", "learning rate", course, attrgetter("learning_rate"), units)


def speed_plot(course: Course) -> Plot | None:
    """How fast it was."""
    units = dict.fromkeys(STAGE_NAMES, "tokens per second")
    return _steps_plot("Speed", "tokens per second", course, attrgetter("tokens_per_second"), units, is_noisy=True)


def bits_per_byte_plot(course: Course, result: Result | None) -> Plot | None:
    """What the model needs for text that it has not learnt from, and where it was best."""
    panels = _evaluation_panels(course, result)
    if not panels:
        return None
    return Plot(
        title="Bits per byte, held out",
        note="Of the validation part, while it learnt; less is better.",
        alt=f"Curves: bits per byte after each evaluation. {_ends(panels)}",
        drawing=courses("bits per byte", panels, "step"),
        columns=("stage", "step", "bits per byte"),
        rows=tuple(
            (STAGE_NAMES[each.stage], count(each.step), decimal(each.bits_per_byte, 4)) for each in course.evaluations
        ),
    )


def _evaluation_panels(course: Course, result: Result | None) -> list[Panel]:
    before: dict[str, float] = {stage.name: stage.bits_per_byte_before for stage in result.stages} if result else {}
    measured = {stage: _evaluated(course, stage, before.get(stage)) for stage in course.stages}
    return [
        Panel(
            STAGE_NAMES[stage],
            "bits per byte",
            points,
            start=points[0][1] if points[0][0] == 0 else None,
            best=min(points, key=lambda point: point[1]),
            breaks=_breaks(course, stage),
        )
        for stage, points in measured.items()
        if points
    ]


def _steps_plot(
    title: str,
    name: str,
    course: Course,
    figure: Callable[[Step], float],
    units: dict[str, str],
    is_noisy: bool = False,
) -> Plot | None:
    panels, rows, lost = [], [], 0
    for stage in course.stages:
        measured = [(float(step.step), figure(step)) for step in course.steps_of(stage)]
        points = finite(measured)
        lost += len(measured) - len(points)
        if points:
            panels.append(_panel(stage, units[stage], points, _breaks(course, stage), is_noisy))
            rows += [(STAGE_NAMES[stage], count(int(x)), brief(y)) for x, y in evenly(points, _MAX_ROWS)]
    if not panels:
        return None
    return Plot(
        title=title,
        note=f"Of {count(lost)} steps it is not a finite number." if lost else "",
        alt=f"Curves: {name} over the steps. {_ends(panels)}",
        drawing=courses(title, panels, "step"),
        columns=("stage", "step", name),
        rows=tuple(rows),
    )


def _panel(stage: str, unit: str, points: Points, breaks: tuple[float, ...], is_noisy: bool) -> Panel:
    trend: Points = ()
    if is_noisy and len(points) >= _NOISY:
        trend = evenly(smooth(points, math.ceil(_REACH * len(points))))
    return Panel(STAGE_NAMES[stage], unit, extremes(points), trend, breaks=breaks)


def _breaks(course: Course, stage: str) -> tuple[float, ...]:
    return tuple(sorted({float(step) for name, step in course.resumed if name == stage}))


def _evaluated(course: Course, stage: str, before: float | None) -> Points:
    """What was measured, from step 0 on if that is known."""
    points = {each.step: each.bits_per_byte for each in course.evaluations_of(stage)}
    if before is not None and points:
        points.setdefault(0, before)
    return finite(sorted(points.items()))


def _ends(panels: list[Panel]) -> str:
    return " ".join(
        f"{panel.title}: from {brief(line[0][1])} to {brief(line[-1][1])}."
        for panel in panels
        for line in [panel.trend or panel.points]
    )
