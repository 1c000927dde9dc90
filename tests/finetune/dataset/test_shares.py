"""Water-filling: shares of a whole that shrinks as parties are cut."""

import random

import pytest

from finetune.dataset.shares import level


def by_bisection(amounts: list[int], share: float) -> float:
    """The largest level that holds, found without algebra; the excess of `share * total` over it is concave."""
    low, high = 0.0, float(max(amounts))
    if high <= share * sum(amounts):
        return high
    for _ in range(200):
        middle = (low + high) / 2
        holds = middle <= share * sum(min(amount, middle) for amount in amounts)
        low, high = (middle, high) if holds else (low, middle)
    return low


@pytest.mark.parametrize("seed", range(50))
def test_the_level_is_the_largest_that_holds_for_what_is_left(seed: int) -> None:
    rng = random.Random(seed)
    amounts = [int(rng.paretovariate(0.7) * 10) for _ in range(rng.randint(1, 40))]
    share = rng.choice([0.02, 0.1, 0.2, 0.4, 0.55])
    assert level(amounts, share) == pytest.approx(by_bisection(amounts, share), rel=1e-9, abs=1e-6)


def test_nobody_is_cut_who_has_no_more_than_the_share() -> None:
    assert level([20, 20, 20, 20, 20], 0.2) == 20


def test_one_who_has_too_much_is_cut_to_a_share_of_what_is_left() -> None:
    assert level([1000, 10, 10], 0.5) == pytest.approx(20)


def test_too_few_parties_leave_nothing() -> None:
    assert level([10, 10], 0.2) == 0
    assert level([], 0.2) == 0
