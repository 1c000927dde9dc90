"""The bound on how much worse a model may be, held against what statistics say of it."""

import math

import numpy as np

from finetune.evaluation.bootstrap import upper_bound
from finetune.evaluation.figures import Loss


def losses(nats: "np.ndarray[tuple[int], np.dtype[np.float64]]", bytes: int = 100) -> dict[str, Loss]:
    return {f"c{number}": Loss(float(each), bytes, 30) for number, each in enumerate(nats)}


def test_equal_models_differ_by_nothing() -> None:
    same = losses(np.linspace(10, 500, 60))
    assert upper_bound(same, same) == 0


def test_a_model_that_is_better_everywhere_by_as_much_is_surely_so_however_different_the_conversations() -> None:
    champion = np.geomspace(1, 1000, 50)
    bound = upper_bound(losses(champion * 0.99), losses(champion))
    assert math.isclose(bound, -0.01, rel_tol=1e-9)


def test_the_bound_is_that_of_a_normal_distribution_where_there_are_many_conversations() -> None:
    rng = np.random.default_rng(1)
    champion = rng.gamma(4, 25, 500)
    challenger = champion * rng.normal(1.0, 0.2, 500)
    ratio = challenger.sum() / champion.sum()
    # Delta method for a ratio of sums.
    error = math.sqrt(((challenger - ratio * champion) ** 2).sum()) / champion.sum()
    bound = np.mean([upper_bound(losses(challenger), losses(champion), seed) for seed in range(8)])
    assert abs(bound - (ratio - 1 + 1.645 * error)) < 0.1 * error


def test_models_that_are_as_good_are_said_to_differ_once_in_twenty_times() -> None:
    rng = np.random.default_rng(2)
    told = 0
    for _ in range(100):
        champion = rng.gamma(4, 25, 60)
        told += upper_bound(losses(champion * rng.normal(1.0, 0.1, 60)), losses(champion)) < 0
    assert 1 <= told <= 11  # of 5 that are expected; one more or less in 100 seeds


def test_long_conversations_count_for_as_much_as_they_say() -> None:
    champion = {"short": Loss(10.0, 10, 3), "long": Loss(1000.0, 1000, 300)}
    challenger = {"short": Loss(20.0, 10, 3), "long": Loss(1000.0, 1000, 300)}
    # The worst of four resamples has the short one twice; it is one of four, so the bound is its.
    assert upper_bound(challenger, champion) == 1.0
    many = {f"{name} {n}": loss for name, loss in champion.items() for n in range(100)}
    worse = {f"{name} {n}": loss for name, loss in challenger.items() for n in range(100)}
    assert 0.009 < upper_bound(worse, many) < 0.02


def test_the_order_of_conversations_does_not_matter_and_the_seed_hardly() -> None:
    rng = np.random.default_rng(3)
    champion = losses(rng.gamma(4, 25, 80))
    challenger = losses(rng.gamma(4, 25, 80))
    turned = dict(reversed(challenger.items()))
    assert upper_bound(turned, champion) == upper_bound(challenger, champion)
    other = upper_bound(challenger, champion, seed=7)
    assert other != upper_bound(challenger, champion)
    assert abs(other - upper_bound(challenger, champion)) < 0.03


def test_what_is_no_number_gives_no_bound() -> None:
    champion = losses(np.full(20, 5.0))
    assert math.isnan(upper_bound(champion | {"c3": Loss(math.nan, 100, 3)}, champion))
    assert math.isnan(upper_bound(losses(np.full(20, 5.0), bytes=0), champion) * 0)
