"""The four shapes of the report's plots: bars, columns, curves, and the funnel.

Made to be read on a phone: narrow, with large letters. Knows how to draw numbers, and nothing of what they count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from finetune.report.drawing import Drawing
from finetune.report.wording import count, short

WIDTH_PX = 460

# Of Okabe and Ito (2008), who chose them to be told apart by the colour-blind; all three do on white and on black.
BLUE, ORANGE, SKY = "#0072B2", "#D55E00", "#56B4E9"

_ROW_PX = 26


@dataclass(frozen=True, slots=True)
class Bar:
    """One row or column.

    Attributes:
        text: What stands at the end of a row, or nothing.
    """

    label: str
    value: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a funnel: what it let through, of which it added some itself, and what it dropped."""

    label: str
    kept: int
    dropped: int = 0
    added: int = 0


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points, with its name in the legend."""

    label: str
    points: Sequence[tuple[float, float]]


def bars(name: str, rows: Sequence[Bar]) -> Drawing:
    """Horizontal bars from top to bottom, each with its text at its end."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _rows(axes, [row.label for row in rows])
        axes.barh(range(len(rows)), [row.value for row in rows], height=0.7, color=BLUE)
        longest = max((row.value for row in rows), default=0) or 1
        for place, row in enumerate(rows):
            axes.text(row.value + longest * 0.02, place, short(row.text), va="center")
        axes.set_xlim(0, longest * 1.5)  # room for the text

    return Drawing(name, paint, WIDTH_PX, _ROW_PX * len(rows) + 16)


def columns(name: str, cells: Sequence[Bar], across: str, up: str) -> Drawing:
    """Vertical bars from left to right; as many of the labels are written as there is room for."""
    label_px = (max((len(cell.label) for cell in cells), default=0) + 2) * 7.0
    every = math.ceil(len(cells) * label_px / (WIDTH_PX - 60)) or 1

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.bar(range(len(cells)), [cell.value for cell in cells], width=0.86, color=BLUE)
        places = range(0, len(cells), every)
        axes.set_xticks(places, [short(cells[place].label, 12) for place in places])
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(_brief))
        axes.grid(axis="y")
        axes.tick_params(left=False, bottom=False)

    return Drawing(name, paint, WIDTH_PX, 230)


def curves(name: str, lines: Sequence[Curve], across: str, up: str) -> Drawing:
    """Lines in a square of 0 to 100 % both ways, with the diagonal for comparison."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], color="#888888", linestyle=":", label="all alike", clip_on=False)
        for line, colour, style in zip(lines, (BLUE, ORANGE), ("-", "--"), strict=False):
            x, y = zip(*line.points, strict=True)
            axes.plot(x, y, color=colour, linestyle=style, linewidth=2, label=line.label, clip_on=False)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid()
        axes.tick_params(left=False, bottom=False)
        axes.legend(loc="lower right")

    return Drawing(name, paint, WIDTH_PX, 300)


def funnel(name: str, groups: Sequence[tuple[str, Sequence[Step]]]) -> Drawing:
    """Stages from top to bottom, in groups of one unit each, which have a scale of their own."""
    num_steps = sum(len(steps) for _, steps in groups)

    def paint(figure: Figure) -> None:
        heights = [len(steps) + 0.6 for _, steps in groups]
        grid = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)
        for axes, (unit, steps) in zip(grid[:, 0], groups, strict=True):
            _steps(axes, steps)
            axes.set_title(unit)
        colours = [("went on", BLUE), ("dropped", ORANGE)]
        if any(step.added for _, steps in groups for step in steps):
            colours.append(("added", SKY))
        figure.legend(
            handles=[Patch(color=colour, label=label) for label, colour in colours],
            loc="outside lower left",
            ncols=len(colours),
        )

    return Drawing(name, paint, WIDTH_PX, _ROW_PX * num_steps + 34 * len(groups) + 34)


def _steps(axes: Axes, steps: Sequence[Step]) -> None:
    _rows(axes, [step.label for step in steps])
    widest = max(step.kept + step.dropped for step in steps) or 1
    for place, step in enumerate(steps):
        own = step.kept - step.added
        axes.barh(place, own, height=0.7, color=BLUE)
        axes.barh(place, step.added, left=own, height=0.7, color=SKY)
        axes.barh(place, step.dropped, left=step.kept, height=0.7, color=ORANGE)
        text = count(step.kept) + (f"  (-{count(step.dropped)})" if step.dropped else "")
        axes.text(step.kept + step.dropped + widest * 0.02, place, text, va="center")
    axes.set_xlim(0, widest * 1.75)  # room for the text


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    """Names at the left, the first on top, and nothing else around."""
    axes.set_yticks(range(len(labels)), [short(label, 22) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines["bottom"].set_visible(False)


def _brief(value: float, _place: int | None = None) -> str:
    """`12k`, `1.5M`: for an axis, where room is short."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
