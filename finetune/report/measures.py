"""What many numbers come to: sizes in bins, how unevenly something is spread, messages over the calendar.

All in whole numbers up to the last division, so that every machine gives the same. Knows nothing of what is measured.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Self

DOUBLING = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

_CURVE_POINTS = 64  # as many as can be told apart in a plot as wide as a phone
_LARGEST = 10
_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many there are of each size.

    Attributes:
        starts: Bin i holds the sizes from `starts[i]` up to the next one's start; the last bin has no upper end.
        median: The lower one of two; None if there is nothing, as are the others.
        p95: The smallest size that at least 95 % do not exceed.
    """

    starts: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    median: int | None = None
    p95: int | None = None
    largest: int | None = None

    @classmethod
    def of(cls, sizes: Iterable[int], starts: Sequence[int] = DOUBLING) -> Self:
        """Count sizes of at least `starts[0]`; empty bins at both ends are left out."""
        tally = sorted(Counter(sizes).items())
        if not tally:
            return cls()
        ends = (*starts[1:], math.inf)
        counts = [sum(n for size, n in tally if low <= size < high) for low, high in zip(starts, ends, strict=True)]
        filled = [i for i, n in enumerate(counts) if n]
        shown = slice(filled[0], filled[-1] + 1)
        return cls(tuple(starts[shown]), tuple(counts[shown]), _quantile(tally, 50), _quantile(tally, 95), tally[-1][0])

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Concentration:
    """How unevenly something is spread over authors, or chats; they have ranks and no names.

    Attributes:
        holders: How many there are.
        total: How much they have together.
        largest: What the first ten have, largest first.
        curve: (rank, what all down to that rank have together), at most 65 points from (0, 0) to (holders, total).
        gini: 0 if all have the same, near 1 if one has everything (Gini, 1912).
    """

    holders: int = 0
    total: int = 0
    largest: tuple[int, ...] = ()
    curve: tuple[tuple[int, int], ...] = ()
    gini: float = 0.0

    @classmethod
    def of(cls, amounts: Iterable[int]) -> Self:
        """Rank what each has; who has nothing is left out."""
        ranked = sorted((amount for amount in amounts if amount > 0), reverse=True)
        if not ranked:
            return cls()
        n, total = len(ranked), sum(ranked)
        together = (0, *accumulate(ranked))
        ranks = sorted({i * n // _CURVE_POINTS for i in range(_CURVE_POINTS + 1)})
        weighted = sum((n + 1 - 2 * rank) * amount for rank, amount in enumerate(ranked, start=1))
        gini = round(weighted / (n * total), 4)
        return cls(n, total, tuple(ranked[:_LARGEST]), tuple((rank, together[rank]) for rank in ranks), gini)


@dataclass(frozen=True, slots=True)
class Times:
    """When messages were sent, all in UTC.

    Attributes:
        days: Messages by ISO date; days without any are left out.
        hours: 24 counts.
        unknown: How many messages have no time, or none that a calendar has.
    """

    days: Mapping[str, int]
    hours: tuple[int, ...]
    unknown: int = 0

    @classmethod
    def of(cls, sent_at_ms: Iterable[int | None]) -> Self | None:
        """Count milliseconds since 1970; None if no message has a time."""
        hours: Counter[int] = Counter()
        unknown = 0
        for ms in sent_at_ms:
            hour = _hour(ms)
            if hour is None:
                unknown += 1
            else:
                hours[hour] += 1
        if not hours:
            return None
        days: Counter[int] = Counter()
        by_hour = [0] * 24
        for hour, n in hours.items():
            days[hour // 24] += n
            by_hour[hour % 24] += n
        return cls({date.fromordinal(day).isoformat(): days[day] for day in sorted(days)}, tuple(by_hour), unknown)


def _quantile(tally: Sequence[tuple[int, int]], percent: int) -> int:
    """The smallest size that so many do not exceed, of (size, how many) in order of size."""
    total = sum(n for _, n in tally)
    sums = accumulate(n for _, n in tally)
    return next(size for (size, _), so_far in zip(tally, sums, strict=True) if so_far * 100 >= total * percent)


def _hour(ms: int | None) -> int | None:
    """Hours since day 0 of the proleptic calendar; None outside of its years 1 to 9999."""
    if ms is None:
        return None
    day, rest = divmod(ms, _DAY_MS)
    day += _EPOCH
    return day * 24 + rest * 24 // _DAY_MS if 1 <= day <= date.max.toordinal() else None
