"""Whatever scores tokens gives the figures that transformers' own logits give."""

import functools
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.bundle import Bundle
from finetune.evaluation import scoring
from finetune.evaluation.scoring import Scorer, SessionScorer, TooLongError
from finetune.evaluation.torchscoring import TorchScorer
from tests.tiny_models import CONTEXT, VOCABULARY

# Places by index, windows that are shorter than the texts, positions that are learnt.
ARCHITECTURES = ("llama", "gemma3", "gpt2")
# Of the tiny models' fp32 graphs; a token has about 6 nats.
TOLERANCE = 1e-3

Logits = Callable[[Sequence[int]], Any]


def text(number: int, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(3, VOCABULARY) for _ in range(number)]


@pytest.fixture(params=ARCHITECTURES, scope="module")
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(architecture: str, checkpoints: Callable[..., Path]) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoints(architecture)).eval()


@pytest.fixture(scope="module")
def reference(model: Any) -> Logits:
    """[S, V] log-probabilities of the next token, by transformers, all of the text at once."""

    @functools.cache
    def log_probabilities(ids: tuple[int, ...]) -> Any:
        with torch.inference_mode():
            return torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1).numpy()

    return lambda ids: log_probabilities(tuple(ids))


@pytest.fixture(scope="module")
def session_scorer(architecture: str, bundles: Callable[..., Path]) -> SessionScorer:
    return SessionScorer.open(Bundle.open(bundles(architecture)), provider="cpu", threads=1)


@pytest.fixture(params=["session", "torch"])
def scorer(request: pytest.FixtureRequest, session_scorer: SessionScorer, model: Any) -> Scorer:
    return session_scorer if request.param == "session" else TorchScorer(model)


def test_tokens_have_the_likelihoods_that_transformers_gives(scorer: Scorer, reference: Logits) -> None:
    ids = text(90)
    places = [1, 2, 30, 31, 60, 89]
    scored = scorer.score(ids, places)
    expected = reference(ids)
    np.testing.assert_allclose(scored.nats, [-expected[p - 1, ids[p]] for p in places], atol=TOLERANCE)
    assert scored.best.tolist() == [int(expected[p - 1].argmax()) for p in places]
    assert [array.dtype.name for array in (scored.nats, scored.best)] == ["float64", "int64"]


def test_continuations_have_the_likelihoods_that_they_have_in_the_whole_text(scorer: Scorer, reference: Logits) -> None:
    prefix = text(40)
    continuations = [text(12, 1), text(1, 2), text(30, 3), text(12, 1)]
    for continuation, scored in zip(continuations, scorer.score_after(prefix, continuations), strict=True):
        whole = [*prefix, *continuation]
        expected = reference(whole)[len(prefix) - 1 : -1]
        np.testing.assert_allclose(
            scored.nats, [-row[id] for row, id in zip(expected, continuation, strict=True)], atol=TOLERANCE
        )
        assert scored.best.tolist() == expected.argmax(axis=1).tolist()


def test_windows_change_nothing(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, places = text(70), [1, 7, 8, 9, 40, 69]
    whole = scorer.score(ids, places).nats
    after = scorer.score_after(ids[:33], [ids[33:]])[0].nats
    monkeypatch.setattr(scoring, "WINDOW", 8)
    np.testing.assert_allclose(scorer.score(ids, places).nats, whole, atol=TOLERANCE)
    np.testing.assert_allclose(scorer.score_after(ids[:33], [ids[33:]])[0].nats, after, atol=TOLERANCE)


def test_where_nothing_is_asked_nothing_is_said(scorer: Scorer) -> None:
    assert scorer.score(text(10), []).nats.size == 0
    assert scorer.score_after(text(10), []) == []


def test_a_text_that_fills_the_context_is_scored_and_a_longer_one_refused(scorer: Scorer) -> None:
    ids = text(CONTEXT + 2)
    assert scorer.score(ids, [CONTEXT]).nats.size == 1, "the last token is scored, and not run"
    assert scorer.score_after(ids[:200], [ids[200 : CONTEXT + 1]])[0].nats.size == CONTEXT + 1 - 200
    with pytest.raises(TooLongError, match=f"{CONTEXT + 1} tokens and the model has room for {CONTEXT}"):
        scorer.score(ids, [CONTEXT + 1])
    with pytest.raises(TooLongError):
        scorer.score_after(ids[:200], [ids[:5], ids[200:]])


def test_the_first_token_is_given_by_nothing(scorer: Scorer) -> None:
    with pytest.raises(AssertionError):
        scorer.score(text(10), [0, 1])


def test_dropout_has_no_part_in_a_score(checkpoints: Callable[..., Path]) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoints("gpt2")).train()  # its dropout is 0.1
    scorer = TorchScorer(model)
    assert scorer.score(text(20), [5, 19]).nats.tolist() == scorer.score(text(20), [5, 19]).nats.tolist()


def test_a_broken_model_has_no_likelihoods() -> None:
    logits = np.array([[1.0, np.inf], [np.nan, 0.0], [np.log(3.0), 0.0]], np.float32)
    nats = scoring.scored([logits[:1], logits[1:]], [0, 1, 0]).nats
    assert np.isnan(nats[:2]).all()
    assert nats[2] == pytest.approx(np.log(4 / 3))
