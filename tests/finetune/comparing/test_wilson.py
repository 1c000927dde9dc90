"""The interval against figures of the literature, and against its definition."""

from math import sqrt

import pytest

from finetune.comparing import wilson


# Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I,
# method 3, to its four digits.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_the_literature(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson.interval(successes, trials, 0.95) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(20, 40), (3, 40), (39, 40), (1, 1)])
def test_a_bound_is_where_the_share_found_is_as_far_off_as_the_confidence_allows(successes: int, trials: int) -> None:
    z, found = 1.2815515655446004, successes / trials  # nine tenths of a normal distribution are below
    bound = wilson.lower_bound(successes, trials, 0.9)
    assert bound < found
    assert (found - bound) / sqrt(bound * (1 - bound) / trials) == pytest.approx(z)


@pytest.mark.parametrize("trials", [1, 7, 40])
def test_none_and_all_stay_between_0_and_1_and_mirror_each_other(trials: int) -> None:
    low, high = wilson.interval(0, trials)
    assert low == pytest.approx(0, abs=1e-12)
    assert 0 <= low < high < 1
    assert wilson.interval(trials, trials) == pytest.approx((1 - high, 1.0))


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 3), (4, 3)])
def test_what_is_no_share_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson.interval(successes, trials)
