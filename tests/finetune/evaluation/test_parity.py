"""Bundles beside their checkpoint, and beside another one's."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.bundle import TEMPLATE_NAME, TOKENIZER_NAME, Bundle, FileInfo
from finetune.dataset.rendering import Renderer
from finetune.evaluation import losses
from finetune.evaluation.figures import Parity
from finetune.evaluation.parity import RecordingScorer, parity
from finetune.evaluation.scoring import Scored, SessionScorer
from finetune.evaluation.torchscoring import TorchScorer
from tests.finetune.evaluation.material import example

TEST = [example(n) for n in range(5)]
SAID = [Scored(np.array([1.0, 2.0]), np.array([7, 8])), Scored(np.array([3.0]), np.array([9]))]


@pytest.fixture(scope="module")
def base(bundles: Callable[..., Path]) -> Bundle:
    """A tiny bundle in fp32."""
    return Bundle.open(bundles())


def _parity(bundle: Bundle, checkpoint: Path, base: Bundle) -> Parity:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    scorers = RecordingScorer(SessionScorer.open(bundle, threads=1)), RecordingScorer(TorchScorer(model))
    for scorer in scorers:
        losses.loss_of(scorer, Renderer.open(base), TEST)
    return parity(bundle, base, *(scorer.scored for scorer in scorers))


def test_a_bundle_says_what_its_checkpoint_says(base: Bundle, checkpoints: Callable[..., Path]) -> None:
    found = _parity(base, checkpoints(), base)
    assert found.perplexity == pytest.approx(1, abs=1e-4)
    assert found.top_1 == 1.0
    assert found.same_text
    assert (found.logits, found.greedy) == (base.manifest.evaluation.max_logit_difference, None)


def test_a_bundle_of_other_weights_is_found_though_its_own_export_was_sound(
    base: Bundle, checkpoints: Callable[..., Path]
) -> None:
    found = _parity(base, checkpoints(seed=1), base)
    assert abs(math.log(found.perplexity)) > 0.01
    assert found.top_1 < 0.5
    assert found.logits < 1e-3


def test_perplexity_and_best_tokens_are_taken_over_all_tokens_alike(base: Bundle) -> None:
    found = [Scored(np.array([1.0, 2.3]), np.array([7, 0])), Scored(np.array([3.3]), np.array([9]))]
    figures = parity(base, base, found, SAID)
    assert figures.perplexity == pytest.approx(math.exp(0.2))
    assert figures.top_1 == pytest.approx(2 / 3)


@pytest.mark.parametrize(("nats", "expected"), [(5000.0, math.inf), (math.inf, math.inf), (math.nan, math.nan)])
def test_what_a_number_cannot_hold_does_not_pass_for_equal(base: Bundle, nats: float, expected: float) -> None:
    found = parity(base, base, [replace(each, nats=each.nats + nats) for each in SAID], SAID)
    assert found.perplexity == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    "tokens", [{"stop_ids": (1,)}, {"stop_ids": (2, 0)}, {"stop_strings": ("\n",)}, {"special": {}}, {"adds_bos": True}]
)
def test_answers_that_end_otherwise_than_the_base_models_are_another_text(
    base: Bundle, tokens: dict[str, object]
) -> None:
    manifest = base.manifest
    changed = manifest.model_copy(update={"tokens": manifest.tokens.model_copy(update=tokens)})
    assert not parity(replace(base, manifest=changed), base, SAID, SAID).same_text


@pytest.mark.parametrize("name", [TOKENIZER_NAME, TEMPLATE_NAME])
def test_another_tokeniser_or_template_is_another_text(base: Bundle, name: str) -> None:
    files = base.manifest.files | {name: FileInfo(size=1, sha256="00" * 32)}
    changed = base.manifest.model_copy(update={"files": files})
    assert not parity(replace(base, manifest=changed), base, SAID, SAID).same_text


def test_a_scorer_that_is_recorded_says_what_it_says_unrecorded(base: Bundle) -> None:
    scorer = SessionScorer.open(base, threads=1)
    recording = RecordingScorer(scorer)
    for found, expected in (
        (recording.score([5, 6, 7], [1, 2]), scorer.score([5, 6, 7], [1, 2])),
        (recording.score_after([5, 6], [[7]])[0], scorer.score_after([5, 6], [[7]])[0]),
    ):
        np.testing.assert_array_equal(found.nats, expected.nats)
    assert len(recording.scored) == 1
