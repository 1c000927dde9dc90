"""How well liked answers are told from others, counted pair by pair."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from engine.bundle import Bundle
from finetune.dataset.example import ExampleMessage, Label
from finetune.dataset.rendering import Renderer
from finetune.evaluation.figures import Preference
from finetune.evaluation.preference import auc, likelihoods, preference
from finetune.evaluation.torchscoring import TorchScorer
from tests.finetune.evaluation.conversations import TOPICS, asked_and_answered, log_probabilities, taught


@pytest.fixture(scope="module")
def renderer(bundles: Callable[..., Path]) -> Renderer:
    return Renderer.open(Bundle.open(bundles()))


@pytest.fixture(scope="module")
def base(checkpoints: Callable[..., Path]) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoints())


def labels() -> list[Label]:
    """To each question, a reply about its topic that is liked, and one about nothing that is not."""
    found = []
    for talk in asked_and_answered():
        prompt, reply = talk.messages[:-1], talk.messages[-1].content
        liked = Label(f"{talk.id} good", talk.id, prompt, reply, True, ("v",))
        found += [liked, replace(liked, id=f"{talk.id} bad", completion="no idea at all of that", is_good=False)]
    return found


def test_the_probability_is_the_share_of_pairs_and_ties_count_half() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        good = rng.integers(0, 6, rng.integers(1, 30)).astype(float)
        bad = rng.integers(0, 5, rng.integers(1, 30)).astype(float)
        pairs = [1.0 if g > b else 0.5 if g == b else 0.0 for g in good for b in bad]
        assert auc(good, bad) == pytest.approx(sum(pairs) / len(pairs))


def test_one_kind_alone_or_what_is_no_number_tells_nothing() -> None:
    one, none = np.array([1.0]), np.array([])
    for good, bad in ((one, none), (none, one), (np.array([1.0, np.nan]), one), (one, np.array([np.nan]))):
        assert math.isnan(auc(good, bad))


def test_the_likelihood_is_that_of_the_answer_and_of_its_end(renderer: Renderer, base: Any) -> None:
    label = labels()[0]
    done: list[None] = []
    (found,) = likelihoods(TorchScorer(base), renderer, [label], lambda: done.append(None))
    prompt = renderer.encode((*label.prompt, ExampleMessage("assistant", "x", 1.0)))
    start = prompt.weights.index(1.0)
    ids = list(renderer.encode((*label.prompt, ExampleMessage("assistant", label.completion, 1.0))).ids)
    assert ids[-1] == 2, "the token that ends it"
    known = log_probabilities(base, ids)
    assert found == pytest.approx(sum(known[at - 1, ids[at]] for at in range(start, len(ids))), rel=1e-5)
    assert len(done) == 1


def test_a_model_that_has_learnt_the_liked_answers_prefers_them_and_the_base_model_has_no_preference(
    renderer: Renderer, base: Any, checkpoints: Callable[..., Path]
) -> None:
    rated = labels()
    under_base = likelihoods(TorchScorer(base), renderer, rated)
    learnt = taught(checkpoints(), renderer, asked_and_answered(), 15)
    found = preference(rated, likelihoods(TorchScorer(learnt), renderer, rated), under_base)
    assert found == Preference(1.0, len(TOPICS), len(TOPICS))
    assert preference(rated, under_base, under_base).auc == 0.5
    turned = [replace(label, is_good=not label.is_good) for label in rated]
    assert preference(turned, likelihoods(TorchScorer(learnt), renderer, rated), under_base).auc == 0.0


def test_without_labels_nothing_is_known() -> None:
    found = preference([], np.array([]), np.array([]))
    assert math.isnan(found.auc)
    assert (found.num_good, found.num_bad) == (0, 0)
