"""Exposure of planted secrets: the arithmetic, and models that know them and that do not."""

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.bundle import Bundle
from finetune.dataset.canaries import Canary, plant
from finetune.dataset.rendering import Renderer
from finetune.evaluation.memorisation import bits, exposure
from finetune.evaluation.scoring import SessionScorer
from finetune.evaluation.torchscoring import TorchScorer

CANARIES = plant(seed=0, authors=(), num=16)


@pytest.fixture(scope="module")
def renderer(bundles: Callable[..., Path]) -> Renderer:
    """The tiny model's."""
    return Renderer.open(Bundle.open(bundles()))


@pytest.fixture(scope="module")
def knowing(checkpoints: Callable[..., Path], renderer: Renderer) -> TorchScorer:
    """A model that has learnt the first canary by heart."""
    model = AutoModelForCausalLM.from_pretrained(checkpoints(), dtype=torch.float32)
    _learn(model, renderer, CANARIES[0])
    return TorchScorer(model)


def _learn(model: Any, renderer: Renderer, canary: Canary, steps: int = 40) -> None:
    encoded = renderer.encode(canary.example.messages)
    ids = torch.tensor([encoded.ids])
    labels = torch.where(torch.tensor([encoded.weights]) > 0, ids, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()


@pytest.mark.parametrize("deviations", [-8.0, -2.5, -1.0, 0.0, 0.7, 3.0])
def test_exposure_is_the_share_of_a_normal_distribution_in_bits(deviations: float) -> None:
    others = np.random.Generator(np.random.PCG64(1)).normal(20, 3, 99).tolist()
    mean, spread = statistics.fmean(others), statistics.stdev(others)
    places = np.linspace(deviations - 12, deviations, 200_001)
    share = np.trapezoid(np.exp(-(places**2) / 2), places) / math.sqrt(2 * math.pi)
    assert bits(mean + deviations * spread, others) == pytest.approx(-math.log2(share), rel=1e-6, abs=1e-9)


def test_exposure_goes_on_smoothly_where_the_share_is_too_small_for_a_number() -> None:
    others = [19.0, 20.0, 21.0]
    near, far = bits(20 - 29.999, others), bits(20 - 30.001, others)
    assert far == pytest.approx(near, rel=1e-3)
    assert far > near
    # The exponent rules: deviations squared, half, in bits.
    assert bits(20 - 1000, others) == pytest.approx(1000**2 / 2 / math.log(2), rel=1e-4)


def test_a_secret_like_any_other_has_about_1_44_bits_in_the_mean() -> None:
    chance = np.random.Generator(np.random.PCG64(2))
    found = [bits(own, others) for own, *others in chance.normal(20, 3, (2000, 100)).tolist()]
    assert statistics.fmean(found) == pytest.approx(1 / math.log(2), abs=0.1)


def test_what_is_not_a_number_is_not_taken_for_chance() -> None:
    assert math.isnan(bits(math.nan, [1.0, 2.0, 3.0]))
    assert math.isnan(bits(1.0, [1.0, math.nan, 3.0]))
    assert math.isnan(bits(1.0, [1.0, math.inf, 3.0]))


def test_where_all_secrets_are_equally_likely_none_is_exposed() -> None:
    assert bits(5.0, [5.0] * 99) == 1.0


def test_a_secret_that_was_learnt_by_heart_is_exposed_and_given_away(knowing: TorchScorer, renderer: Renderer) -> None:
    found = exposure(knowing, renderer, CANARIES[:1])
    assert found.mean is not None
    assert found.mean > 10
    assert (found.num_canaries, found.extracted) == (1, 1)
    assert (found.forgotten_mean, found.num_forgotten) == (None, 0)


def test_another_secret_is_not_exposed_by_it(knowing: TorchScorer, renderer: Renderer) -> None:
    found = exposure(knowing, renderer, (), CANARIES[1:3])
    assert found.forgotten_mean is not None
    assert found.forgotten_mean < 3
    assert (found.mean, found.num_canaries, found.extracted, found.num_forgotten) == (None, 0, 0, 2)


def test_a_secret_that_is_known_although_its_author_was_forgotten_is_seen(
    knowing: TorchScorer, renderer: Renderer
) -> None:
    found = exposure(knowing, renderer, CANARIES[1:2], CANARIES[:1])
    assert found.forgotten_mean is not None
    assert found.forgotten_mean > 10
    assert found.extracted == 1


def test_a_model_that_has_seen_nothing_is_at_chance(bundles: Callable[..., Path], renderer: Renderer) -> None:
    done: list[None] = []
    scorer = SessionScorer.open(Bundle.open(bundles()), threads=1)
    found = exposure(scorer, renderer, CANARIES, on_done=lambda: done.append(None))
    assert found.mean == pytest.approx(1 / math.log(2), abs=0.8)
    assert found.extracted == 0
    assert len(done) == found.num_canaries == len(CANARIES)


def test_what_is_scored_is_the_secret_alone_behind_what_training_shows(
    knowing: TorchScorer, renderer: Renderer
) -> None:
    shown: list[tuple[list[int], list[list[int]]]] = []

    class Watched:
        score = knowing.score

        def score_after(self, prefix: list[int], continuations: list[list[int]]) -> Any:
            shown.append((prefix, continuations))
            return knowing.score_after(prefix, continuations)

    canary = CANARIES[0]
    exposure(Watched(), renderer, [canary])  # type: ignore[arg-type]  # a list is a sequence
    ((prefix, (own, *others)),) = shown
    trained = renderer.encode(canary.example.messages).ids
    assert tuple(prefix) + tuple(own) == trained[: len(prefix) + len(own)]
    decode = renderer._tokenizer.decode
    assert decode(prefix).endswith(canary.prefix.rstrip()) or decode(prefix).endswith(canary.prefix)
    assert decode(own).strip() == canary.secret
    assert sorted(decode(other).strip() for other in others) == sorted(canary.alternatives())
