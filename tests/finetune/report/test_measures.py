"""Sizes in bins, how unevenly something is spread, messages over the calendar."""

import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest

from finetune.report import Concentration, Histogram, Times


def numbers(count: int, below: int) -> list[int]:
    """Some that stand in no order, the same on every run."""
    return [int.from_bytes(hashlib.sha256(str(i).encode()).digest()[:4], "big") % below for i in range(count)]


def test_every_size_is_in_the_bin_that_starts_at_or_below_it() -> None:
    histogram = Histogram.of([0, 1, 1, 2, 3, 4, 7, 8, 5_000], starts=(0, 1, 2, 4, 8))
    assert histogram.starts == (0, 1, 2, 4, 8)
    assert histogram.counts == (1, 2, 2, 2, 2)
    assert histogram.total == 9
    assert histogram.largest == 5_000


def test_empty_bins_are_left_out_at_the_ends_and_kept_between() -> None:
    histogram = Histogram.of([2, 9], starts=(0, 1, 2, 4, 8, 16))
    assert (histogram.starts, histogram.counts) == ((2, 4, 8), (1, 0, 1))


@pytest.mark.parametrize("count", [1, 2, 3, 20, 99, 100, 1_000])
def test_median_and_95th_percentile_are_those_of_the_inverted_distribution(count: int) -> None:
    sizes = numbers(count, 500)
    histogram = Histogram.of(sizes)
    assert histogram.median == np.percentile(sizes, 50, method="inverted_cdf")
    assert histogram.p95 == np.percentile(sizes, 95, method="inverted_cdf")


def test_nothing_has_no_sizes() -> None:
    assert Histogram.of([]) == Histogram()
    assert Histogram().median is None


def test_gini_is_half_the_mean_difference_over_the_mean() -> None:
    amounts = [amount + 1 for amount in numbers(300, 10_000)]
    differences = np.abs(np.subtract.outer(amounts, amounts)).mean()
    assert Concentration.of(amounts).gini == pytest.approx(differences / 2 / np.mean(amounts), abs=1e-4)


@pytest.mark.parametrize(("amounts", "gini"), [([7], 0.0), ([7, 7, 7], 0.0), ([0, 0, 5], 0.0), ([1, 3], 0.25)])
def test_gini_is_nought_where_all_who_have_something_have_the_same(amounts: list[int], gini: float) -> None:
    assert Concentration.of(amounts).gini == gini


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 1_000])
def test_a_curve_goes_from_nothing_to_all_and_never_steeper(count: int) -> None:
    amounts = [amount + 1 for amount in numbers(count, 1_000)]
    curve = Concentration.of(amounts).curve
    assert curve[0] == (0, 0)
    assert curve[-1] == (count, sum(amounts))
    assert len(curve) <= 65
    assert all(together == sum(sorted(amounts, reverse=True)[:rank]) for rank, together in curve)


def test_the_largest_come_first_and_are_at_most_ten() -> None:
    assert Concentration.of(range(30)).largest == (29, 28, 27, 26, 25, 24, 23, 22, 21, 20)
    assert Concentration.of([]) == Concentration()


def test_times_are_counted_by_day_and_hour_in_utc() -> None:
    sent = [1_700_000_000_000 + n * 1_000 for n in numbers(500, 40_000_000)] + [-1]
    times = Times.of(sent)
    assert times is not None
    said = [datetime.fromtimestamp(ms / 1000, tz=UTC) for ms in sent]
    days = [when.date().isoformat() for when in said]
    assert times.days == {day: days.count(day) for day in sorted(set(days))}
    assert list(times.hours) == [sum(when.hour == hour for when in said) for hour in range(24)]
    assert times.unknown == 0


def test_a_time_that_no_calendar_has_counts_as_unknown() -> None:
    times = Times.of([0, None, 10**18, -(10**18)])
    assert times is not None
    assert times.days == {"1970-01-01": 1}
    assert times.unknown == 3


def test_sources_without_times_have_none() -> None:
    assert Times.of([None, None]) is None
    assert Times.of([]) is None
