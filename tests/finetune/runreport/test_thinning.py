"""Many points in a small plot."""

import math
from statistics import fmean

import pytest

from finetune.runreport.thinning import evenly, extremes, finite, smooth

WAVE = [(float(i), math.sin(i * i)) for i in range(1_003)]


@pytest.mark.parametrize("spike", [0, 1, 500, 777, 1_002])
@pytest.mark.parametrize("height", [9.0, -9.0])
def test_thinning_keeps_every_spike_and_the_order(spike: int, height: float) -> None:
    points = [*WAVE[:spike], (float(spike), height), *WAVE[spike + 1 :]]
    thin = extremes(points, 50)
    assert len(thin) <= 50
    assert (float(spike), height) in thin
    assert thin == sorted(thin)


@pytest.mark.parametrize("thin", [extremes, evenly])
def test_few_points_stay_as_they_are(thin: object) -> None:
    assert callable(thin)
    assert thin(WAVE[:50], 50) == WAVE[:50]


def test_even_thinning_ends_with_the_last_point() -> None:
    thin = evenly(WAVE, 40)
    assert len(thin) == 40
    assert thin[-1] == WAVE[-1]


def test_smoothing_gives_the_mean_of_the_neighbourhood() -> None:
    expected = [fmean(y for _, y in WAVE[max(0, i - 3) : i + 4]) for i in range(len(WAVE))]
    assert [y for _, y in smooth(WAVE, 3)] == pytest.approx(expected, abs=1e-9)


def test_only_finite_points_are_drawn() -> None:
    assert finite([(1, math.nan), (2, 3.0), (3, math.inf), (4, -math.inf)]) == [(2, 3.0)]
