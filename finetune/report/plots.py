"""From the report's figures to plots: what is drawn, what is said about it in words, and the numbers as a table.

Each returns None where there is nothing to draw. Knows nothing of the page that they stand on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from finetune.conversation import LinkKind
from finetune.report.charts import Bar, Curve, Step, bars, columns, curves, funnel
from finetune.report.drawing import Drawing
from finetune.report.figures import Preferences, SplitLine, StageLine
from finetune.report.measures import Concentration, Histogram, Times
from finetune.report.wording import count, plural, ranked, share, short

_MAX_BARS = 20  # rules and reasons are few; a mapping that holds one entry for each message would be a mistake
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot.

    Attributes:
        note: What to see in it, in words, or nothing.
        alt: What it shows, for who cannot see it.
        columns: Headings of the table with its numbers; `rows` are its cells.
    """

    title: str
    note: str
    alt: str
    drawing: Drawing
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def funnel_plot(stages: Sequence[StageLine], title: str = "Funnel") -> Plot | None:
    """What went on and what was dropped, stage by stage."""
    if not stages:
        return None
    groups = [(unit.value, list(lines)) for unit, lines in groupby(stages, key=lambda stage: stage.unit)]
    first, last = stages[0], stages[-1]
    return Plot(
        title=title,
        note=f"{count(first.went_in)} {first.unit} in, {count(last.came_out)} {last.unit} out.",
        alt=f"Horizontal bars, one for each of {plural(len(stages), 'stage')}: what went on, and what was dropped.",
        drawing=funnel("funnel", [(unit, _steps(lines)) for unit, lines in groups]),
        columns=("stage", "unit", "in", "dropped", "added", "out"),
        rows=tuple(
            (s.name, s.unit.value, *map(count, (s.went_in, s.num_dropped, s.num_added, s.came_out))) for s in stages
        ),
    )


def histogram_plot(title: str, sizes: Histogram, unit: str, things: str) -> Plot | None:
    """How many things there are of each size, in bins."""
    if not sizes.total:
        return None
    median, p95, largest = (_or_dash(size) for size in (sizes.median, sizes.p95, sizes.largest))
    note = f"Median {median} {unit}, 95 % at most {p95}, longest {largest}."
    cells = [Bar(count(start), n) for start, n in zip(sizes.starts, sizes.counts, strict=True)]
    return Plot(
        title=title,
        note=note,
        alt=f"Columns: {count(sizes.total)} {things} by number of {unit}. {note}",
        drawing=columns(title, cells, across=f"{unit}, from", up=things),
        columns=(unit, things, "share"),
        rows=tuple(
            (label, count(n), share(n, sizes.total)) for label, n in zip(_ranges(sizes), sizes.counts, strict=True)
        ),
    )


def largest_plot(title: str, spread: Concentration, holder: str) -> Plot | None:
    """Which share the largest have, by rank."""
    if not spread.holders:
        return None
    note = f"{plural(spread.holders, holder)}; the largest has {share(spread.largest[0], spread.total)}."
    if len(spread.largest) > 1:
        note = f"{note[:-1]}, the first {len(spread.largest)} have {share(sum(spread.largest), spread.total)}."
    ranks = [(str(i), n, share(n, spread.total)) for i, n in enumerate(spread.largest, start=1)]
    return Plot(
        title=title,
        note=f"{note} Gini {spread.gini:.2f}.",
        alt=f"Horizontal bars: shares of the largest, by rank. {note}",
        drawing=bars(title, [Bar(f"{holder} {rank}", n, part) for rank, n, part in ranks]),
        columns=("rank", "bytes", "share"),
        rows=tuple((rank, count(n), part) for rank, n, part in ranks),
    )


def concentration_plot(authors: Concentration, chats: Concentration) -> Plot | None:
    """Lorenz curves with the largest first (Lorenz, 1905, has the smallest first)."""
    spreads = [(label, spread) for label, spread in (("authors", authors), ("chats", chats)) if spread.holders > 1]
    if not spreads:
        return None
    return Plot(
        title="How evenly it is spread",
        note="The further a curve is above the dotted line, the fewer have most of it.",
        alt="Curves: what share of all the largest holders have together. "
        + " ".join(f"Gini of {label}: {spread.gini:.2f}." for label, spread in spreads),
        drawing=curves(
            "concentration",
            [Curve(label, _in_percent(spread)) for label, spread in spreads],
            across="% of them, largest first",
            up="% of bytes to be learnt",
        ),
        columns=("largest first", "have together"),
        rows=tuple(
            (f"{count(rank)} of {count(spread.holders)} {label}", share(together, spread.total))
            for label, spread in spreads
            for rank, together in spread.curve[1:]
        ),
    )


def times_plots(times: Times | None) -> tuple[Plot, ...]:
    """Messages over the calendar, over the week, and over the day."""
    if times is None or not times.days:
        return ()
    weekdays = [0] * 7
    for day, n in times.days.items():
        weekdays[date.fromisoformat(day).weekday()] += n
    unknown = f" {plural(times.unknown, 'message')} without a time." if times.unknown else ""
    note = f"{min(times.days)} to {max(times.days)}, in UTC.{unknown}"
    return (
        _times_plot("Over time", list(_calendar(times.days)), note),
        _times_plot("By day of the week", list(zip(_WEEKDAYS, weekdays, strict=True)), ""),
        _times_plot("By hour of the day", [(f"{hour:02}", n) for hour, n in enumerate(times.hours)], "In UTC."),
    )


def counts_plot(
    title: str, counts: Mapping[str, int], what: str, things: str, order: Sequence[str] = ()
) -> Plot | None:
    """How many things there are of each kind, the most first or in the order given."""
    rows = ranked(counts, order)
    if not rows:
        return None
    total = sum(n for _, n in rows)
    shown = rows[:_MAX_BARS]
    rest = f" The {_MAX_BARS} most frequent of {len(rows)} are drawn." if len(rows) > len(shown) else ""
    return Plot(
        title=title,
        note=f"{count(total)} {things}.{rest}",
        alt=f"Horizontal bars: {count(total)} {things} by {what}; most are {short(max(rows, key=lambda r: r[1])[0])}.",
        drawing=bars(title, [Bar(name, n, f"{count(n)}  ({share(n, total)})") for name, n in shown]),
        columns=(what, things, "share"),
        rows=tuple((name, count(n), share(n, total)) for name, n in rows),
    )


def links_plot(links: Mapping[str, int]) -> Plot | None:
    """How it is known what turns answer, the surest first."""
    return counts_plot("What answers are known by", links, "link", "turns", [kind.value for kind in LinkKind])


def splits_plot(splits: Sequence[SplitLine]) -> Plot | None:
    """Target tokens of each split; the table has the rest."""
    total = sum(split.target_tokens for split in splits)
    if not total:
        return None
    parts = [f"{count(split.target_tokens)}  ({share(split.target_tokens, total)})" for split in splits]
    return Plot(
        title="Splits",
        note=f"{count(total)} tokens to be learnt or tested on.",
        alt="Horizontal bars: target tokens of each split.",
        drawing=bars("splits", [Bar(s.name, s.target_tokens, part) for s, part in zip(splits, parts, strict=True)]),
        columns=("split", "conversations", "examples", "target tokens"),
        rows=tuple((s.name, *map(count, (s.conversations, s.examples, s.target_tokens))) for s in splits),
    )


def preferences_plots(preferences: Preferences) -> tuple[Plot, ...]:
    """Answers that people liked or not, and pairs of a better and a worse one."""
    labels = {"good": preferences.good, "bad": preferences.bad}
    plots = (
        counts_plot("Answers that people rated", labels, "label", "labels", ["good", "bad"]),
        counts_plot("Better and worse answers", preferences.pairs, "reason", "pairs"),
    )
    return tuple(plot for plot in plots if plot)


def _steps(stages: Sequence[StageLine]) -> list[Step]:
    rest = [Step(stage.name, stage.came_out, stage.num_dropped, stage.num_added) for stage in stages]
    return [Step("(in)", stages[0].went_in), *rest]


def _times_plot(title: str, rows: Sequence[tuple[str, int]], note: str) -> Plot:
    most = max(rows, key=lambda row: row[1])
    total = sum(n for _, n in rows)
    return Plot(
        title=title,
        note=note,
        alt=f"Columns: messages, {title.lower()}; most, {count(most[1])}, in {most[0]}. {note}".rstrip(),
        drawing=columns(title, [Bar(label, n) for label, n in rows], "", "messages"),
        columns=("when", "messages", "share"),
        rows=tuple((label, count(n), share(n, total)) for label, n in rows if n),
    )


def _calendar(days: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Counts by day, month, year or century, as fits into some hundred columns, with the empty ones between."""
    first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
    span_days = (last - first).days + 1
    if span_days <= 100:
        labels = [(first + timedelta(n)).isoformat() for n in range(span_days)]
    elif span_days <= 20 * 366:
        months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
        labels = [f"{month // 12:04}-{month % 12 + 1:02}" for month in months]
    elif span_days <= 250 * 366:
        labels = [f"{year:04}" for year in range(first.year, last.year + 1)]
    else:  # somebody's clock was wrong
        labels = [f"{century:02}" for century in range(first.year // 100, last.year // 100 + 1)]
    counts = dict.fromkeys(labels, 0)
    for day, n in days.items():
        counts[day[: len(labels[0])]] += n
    for label, n in counts.items():
        yield label if len(label) > 2 else f"{label}00s", n


def _ranges(sizes: Histogram) -> list[str]:
    """`2 to 3`, and of the last bin, which has no upper end, up to the largest that there is."""
    ends = [*(start - 1 for start in sizes.starts[1:]), sizes.largest or sizes.starts[-1]]
    return [
        count(start) if start >= end else f"{count(start)} to {count(end)}"
        for start, end in zip(sizes.starts, ends, strict=True)
    ]


def _in_percent(spread: Concentration) -> list[tuple[float, float]]:
    return [(100 * rank / spread.holders, 100 * together / spread.total) for rank, together in spread.curve]


def _or_dash(number: int | None) -> str:
    return "-" if number is None else count(number)
