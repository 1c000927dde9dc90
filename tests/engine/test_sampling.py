"""The sampler against transformers' own processors and against arithmetic done by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.errors import NonFiniteLogitsError
from engine.sampling import SamplerState, SamplingParams, sample

VOCABULARY = 200
NUM_DRAWS = 4000


def _logits(seed: int = 0, rows: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 3, (rows, VOCABULARY)).astype(np.float32)


def _draws(row: Any, params: SamplingParams, count: int = NUM_DRAWS) -> list[int]:
    state = SamplerState(params, [])
    return [sample(row[None], [state])[0].token_id for _ in range(count)]


def _expected(row: Any, *steps: Callable[[Any, Any], Any]) -> Any:
    """Probabilities after transformers' processors."""
    scores = torch.tensor(row)[None]
    for step in steps:
        scores = step(torch.tensor([[0]]), scores)
    return scores.softmax(-1)[0].numpy()


WARPED = {
    "temperature": (SamplingParams(temperature=0.5, top_p=1), [TemperatureLogitsWarper(0.5)]),
    "top-k": (SamplingParams(temperature=1, top_p=1, top_k=7), [TopKLogitsWarper(7)]),
    "top-p": (SamplingParams(temperature=1, top_p=0.8), [TopPLogitsWarper(0.8)]),
    "min-p": (SamplingParams(temperature=1, top_p=1, min_p=0.1), [MinPLogitsWarper(0.1)]),
    "all": (
        SamplingParams(temperature=1.5, top_k=20, top_p=0.9, min_p=0.05),
        [TemperatureLogitsWarper(1.5), TopKLogitsWarper(20), TopPLogitsWarper(0.9), MinPLogitsWarper(0.05)],
    ),
    "top-p and min-p": (
        SamplingParams(temperature=2.0, top_p=0.9, min_p=0.02),
        [TemperatureLogitsWarper(2.0), TopPLogitsWarper(0.9), MinPLogitsWarper(0.02)],
    ),
}


@pytest.mark.parametrize(("params", "warpers"), WARPED.values(), ids=WARPED)
def test_draws_follow_the_distribution_of_transformers(params: SamplingParams, warpers: list[Any]) -> None:
    row = _logits()[0]
    expected = _expected(row, *warpers)
    seeded = SamplingParams(**{**vars(params), "seed": 1})
    counts = np.bincount(_draws(row, seeded), minlength=VOCABULARY)
    assert not counts[expected == 0].any(), "a token was drawn that transformers would have cut off"
    share = counts / NUM_DRAWS
    # Five standard deviations of a binomial share; a very rare token may still turn up a few times.
    assert (np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / NUM_DRAWS) + 3 / NUM_DRAWS).all()


def test_repetition_penalty_is_that_of_transformers() -> None:
    row, prompt = _logits(3)[0], [4, 9, 9, 33]
    state = SamplerState(SamplingParams(repetition_penalty=1.7), prompt)
    state.record(50)
    expected = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([[*prompt, 50]]), torch.tensor(row)[None])
    np.testing.assert_allclose(state.reshape(row), expected[0].numpy(), rtol=1e-6)


def test_presence_and_frequency_penalties_count_the_answer_and_not_the_prompt() -> None:
    row = np.zeros(VOCABULARY, np.float32)
    state = SamplerState(SamplingParams(presence_penalty=0.5, frequency_penalty=0.25), [7])
    for token in (3, 3, 5):
        state.record(token)
    shaped = state.reshape(row)
    assert (shaped[3], shaped[5], shaped[7]) == (-1.0, -0.75, 0.0)


def test_a_banned_token_is_never_drawn_and_a_bias_decides() -> None:
    row = _logits(5)[0]
    best = int(row.argmax())
    banned = SamplingParams(temperature=0, logit_bias={best: -math.inf})
    assert _draws(row, banned, 1) != [best]
    pushed = SamplingParams(temperature=1, seed=0, logit_bias={11: 1000.0})
    assert set(_draws(row, pushed, 20)) == {11}


def test_temperature_zero_takes_the_best_token() -> None:
    logits = _logits(6, rows=5)
    states = [SamplerState(SamplingParams(temperature=0), []) for _ in range(5)]
    assert [s.token_id for s in sample(logits, states)] == logits.argmax(axis=1).tolist()


@pytest.mark.parametrize("temperature", [1e-50, 1e-7])
def test_next_to_no_temperature_takes_the_best_token(temperature: float) -> None:
    row = _logits(12)[0]
    assert set(_draws(row, SamplingParams(temperature=temperature), 5)) == {int(row.argmax())}


def test_a_seed_repeats_the_draws_whoever_shares_the_batch() -> None:
    logits = _logits(7, rows=4)
    params = SamplingParams(temperature=1.3, seed=42)
    alone = [
        s.token_id for state in [SamplerState(params, [])] for _ in range(50) for s in sample(logits[2:3], [state])
    ]
    states = [SamplerState(SamplingParams(temperature=0.9, seed=i), []) for i in range(4)]
    states[2] = SamplerState(params, [])
    together = [sample(logits, states)[2].token_id for _ in range(50)]
    assert alone == together
    assert len(set(alone)) > 5, "the draws vary"


def test_without_a_seed_two_requests_draw_differently() -> None:
    row = _logits(8)[0]
    params = SamplingParams(temperature=3, top_p=1)
    assert _draws(row, params, 30) != _draws(row, params, 30)


def test_logits_are_not_modified() -> None:
    logits = _logits(9, rows=2)
    before = logits.copy()
    params = SamplingParams(repetition_penalty=2, logit_bias={1: 5}, logprobs=2)
    sample(logits, [SamplerState(params, [1, 2]) for _ in range(2)])
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_that_are_not_finite_are_named_and_nothing_is_drawn(bad: float) -> None:
    logits = _logits(10, rows=3)
    logits[1, 4] = bad
    states = [SamplerState(SamplingParams(seed=0), []) for _ in range(3)]
    before = states[0].rng.bit_generator.state
    with pytest.raises(NonFiniteLogitsError) as caught:
        sample(logits, states)
    assert caught.value.rows == (1,)
    assert states[0].rng.bit_generator.state == before


def test_log_probabilities_are_those_of_the_model_itself() -> None:
    logits = _logits(11)
    params = SamplingParams(temperature=0, repetition_penalty=1.5, logprobs=3)
    found = sample(logits, [SamplerState(params, [])])[0]
    expected = torch.tensor(logits[0]).log_softmax(-1).numpy()
    assert found.logprob == pytest.approx(expected[found.token_id], abs=1e-5)
    assert [i for i, _ in found.top] == np.argsort(-expected)[:3].tolist()
    assert [p for _, p in found.top] == pytest.approx(np.sort(expected)[::-1][:3].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"presence_penalty": math.nan},
        {"frequency_penalty": math.inf},
        {"seed": -1},
        {"logprobs": -1},
    ],
)
def test_values_out_of_range_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingParams(**wrong)  # type: ignore[arg-type]
