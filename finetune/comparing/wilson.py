"""The interval in which a share lies of which a sample is known.

Knows nothing of what is counted.
"""

from math import sqrt
from statistics import NormalDist


def interval(successes: float, trials: int, confidence: float = 0.9) -> tuple[float, float]:
    """Wilson's score interval, without correction for continuity.

    Unlike the normal approximation it stays within 0 and 1 and keeps its coverage where trials are few or nearly all
    come out alike, which is how people's votes are (Wilson, "Probable inference, the law of succession, and
    statistical inference", JASA 22, 1927; compared in Newcombe, Statistics in Medicine 17, 1998).

    Args:
        successes: From 0 to `trials`. Halves may be among them: they vary less than the formula takes for granted, so
            that the interval is, if anything, too wide.
        trials: At least 1.
        confidence: With which the share is within both bounds, in (0, 1).

    Returns:
        The lower and the upper bound.
    """
    return _bounds(successes, trials, NormalDist().inv_cdf((1 + confidence) / 2))


def lower_bound(successes: float, trials: int, confidence: float = 0.9) -> float:
    """What the share is at least, with that confidence: the one-sided bound of `interval`."""
    return _bounds(successes, trials, NormalDist().inv_cdf(confidence))[0]


def _bounds(successes: float, trials: int, z: float) -> tuple[float, float]:
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} of {trials} is no share; wanted is 0 to all, of at least 1")
    share = successes / trials
    centre = share + z * z / (2 * trials)
    reach = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Rounding must not carry the bounds of none or all out of the range.
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)
