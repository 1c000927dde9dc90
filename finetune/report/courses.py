"""One more shape of plot: how a figure went from step to step, in panels one below the other.

Knows how to draw numbers, and nothing of what they count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from finetune.report.charts import BLUE, ORANGE, WIDTH_PX
from finetune.report.drawing import Drawing

_GREY = "#888888"
_PANEL_PX = 220
_MAX_DOTS = 40  # more than that run into one another
_OFFSET: dict[str, Any] = {"textcoords": "offset points"}

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure over the steps of one stage. All numbers are finite.

    Attributes:
        up: What it is and in which unit.
        points: As measured, at least one.
        trend: The same without the noise; with it, the points are drawn faintly behind.
        start: What it was before, as a level to compare with.
        best: The point that counts.
        breaks: Steps at which it was interrupted and taken up again.
    """

    title: str
    up: str
    points: Points
    trend: Points = ()
    start: float | None = None
    best: tuple[float, float] | None = None
    breaks: Sequence[float] = ()


def courses(name: str, panels: Sequence[Panel], across: str) -> Drawing:
    """The panels from top to bottom, each with a scale of its own."""

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 1, squeeze=False)
        for axes, panel in zip(grid[:, 0], panels, strict=True):
            _breaks(axes, panel)
            _lines(axes, panel)
            _labels(axes, panel)
            _frame(axes, panel, across)

    return Drawing(name, paint, WIDTH_PX, _PANEL_PX * len(panels))


def brief(value: float) -> str:
    """Four digits: `1.687`, `251.3`, `0.0002`."""
    return f"{value:.4g}"


def _lines(axes: Axes, panel: Panel) -> None:
    x, y = zip(*panel.points, strict=True)
    marker = "o" if len(x) <= _MAX_DOTS and not panel.trend else ""
    faint = 0.35 if panel.trend else 1.0
    axes.plot(x, y, color=BLUE, alpha=faint, linewidth=1 if panel.trend else 2, marker=marker, markersize=4)
    if panel.trend:
        axes.plot(*zip(*panel.trend, strict=True), color=BLUE, linewidth=2)


def _labels(axes: Axes, panel: Panel) -> None:
    """Says at the lines themselves what they come to."""
    if panel.start is not None:
        axes.axhline(panel.start, color=_GREY, linestyle=":")
        right_end = (1.0, panel.start)
        across = axes.get_yaxis_transform()  # x is a share of the width
        axes.annotate(f"before {brief(panel.start)}", right_end, (0, 4), across, **_OFFSET, ha="right")
    if panel.best is None:
        last = (panel.trend or panel.points)[-1]
        axes.annotate(brief(last[1]), last, (5, 0), **_OFFSET, va="center", color=BLUE)
        return
    step, lowest = panel.best
    side = "right" if step > panel.points[-1][0] / 2 else "left"  # where there is room
    axes.plot(step, lowest, color=ORANGE, marker="o", markersize=8, linestyle="")
    axes.annotate(f"best {brief(lowest)}", panel.best, (0, -18), **_OFFSET, ha=side, color=ORANGE)


def _breaks(axes: Axes, panel: Panel) -> None:
    for step in panel.breaks:
        axes.axvline(step, color=_GREY, linestyle="--", linewidth=1)
        axes.annotate(
            "taken up again",
            (step, 1.0),
            (4, -2),
            xycoords=axes.get_xaxis_transform(),
            **_OFFSET,
            va="top",
            fontsize=10,
            color=_GREY,
        )


def _frame(axes: Axes, panel: Panel, across: str) -> None:
    axes.set_title(panel.title)
    axes.set_xlabel(across)
    axes.set_ylabel(panel.up)
    axes.margins(x=0.04, y=0.2)  # room for the labels
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: brief(value)))
    axes.grid(axis="y")
    axes.tick_params(left=False, bottom=False)
