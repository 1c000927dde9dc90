"""What thousands of points come to in a plot as wide as a phone.

Plain arithmetic; knows nothing of what the points are.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

MAX_POINTS = 240  # a plot is 400 pixels wide

Points = Sequence[tuple[float, float]]


def finite(points: Points) -> Points:
    """Those of which both numbers are finite."""
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def extremes(points: Points, limit: int = MAX_POINTS) -> Points:
    """At most `limit` points, in order, among them the lowest and the highest of every stretch: no spike is lost.

    Args:
        limit: At least 2.
    """
    if len(points) <= limit:
        return points
    chosen: set[int] = set()
    for stretch in _stretches(len(points), limit // 2):
        chosen |= {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
    return [points[i] for i in sorted(chosen)]


def evenly(points: Points, limit: int = MAX_POINTS) -> Points:
    """At most `limit` points, the last one of every stretch."""
    if len(points) <= limit:
        return points
    return [points[stretch[-1]] for stretch in _stretches(len(points), limit)]


def smooth(points: Points, reach: int) -> Points:
    """Every point's mean with the `reach` points before and after it, as far as there are any."""
    sums = [0.0, *accumulate(y for _, y in points)]
    means = []
    for i, (x, _) in enumerate(points):
        first, end = max(0, i - reach), min(len(points), i + reach + 1)
        means.append((x, (sums[end] - sums[first]) / (end - first)))
    return means


def _stretches(length: int, number: int) -> list[range]:
    borders = [i * length // number for i in range(number + 1)]
    return [range(*pair) for pair in pairwise(borders)]
