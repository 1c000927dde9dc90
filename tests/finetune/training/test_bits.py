"""Held-out bits per byte are what an independent computation gives, and marks count in neither."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.bundle import Bundle
from finetune.dataset.example import Example, ExampleMessage
from finetune.dataset.rendering import Renderer
from finetune.training import bits, encoding, stage
from tests.finetune.training.trainings import rows

CPU = torch.device("cpu")


def test_bits_per_byte_are_those_of_the_words_alone(
    bundles: Callable[..., Path], checkpoints: Callable[..., Path]
) -> None:
    answers = ("Yes, of course. — ü", "No")
    messages = [ExampleMessage("user", "Really?"), ExampleMessage("assistant", answers[0], 0.5)]
    messages += [ExampleMessage("user", "Sure?"), ExampleMessage("assistant", answers[1], 1.0)]
    renderer, model = Renderer.open(Bundle.open(bundles())), stage.load(checkpoints())
    [row] = bits.words(encoding.encoded([Example("e", "c", "log", tuple(messages))], renderer), renderer)
    tokenizer = stage.tokenizer(checkpoints())
    learnt = [id for id, weight in zip(row.ids, row.weights, strict=True) if weight]
    assert tokenizer.decode(learnt) == "".join(answers)
    with torch.no_grad():
        scores = torch.log_softmax(model(torch.tensor([row.ids])).logits[0].double(), -1)
    nats = -sum(scores[n - 1, row.ids[n]].item() for n in range(len(row.ids)) if row.weights[n])
    found = bits.bits_per_byte(bits.total_nats(model, [row], CPU), row.num_bytes)
    assert found == pytest.approx(nats / math.log(2) / len("".join(answers).encode()), rel=1e-5)


def test_a_row_without_a_word_is_not_measured(bundles: Callable[..., Path]) -> None:
    messages = (ExampleMessage("user", "Hm?"), ExampleMessage("assistant", "", 1.0))
    renderer = Renderer.open(Bundle.open(bundles()))
    assert bits.words(encoding.encoded([Example("e", "c", "log", messages)], renderer), renderer) == []


def test_the_sum_depends_neither_on_the_order_nor_on_weights(checkpoints: Callable[..., Path]) -> None:
    model, given = stage.load(checkpoints()), rows(40)
    heavier = [replace(row, weights=tuple(3.0 * (weight > 0) for weight in row.weights)) for row in reversed(given)]
    expected = sum(bits.total_nats(model, [row], CPU) for row in given)
    assert bits.total_nats(model, given, CPU) == pytest.approx(expected, rel=1e-6)
    assert bits.total_nats(model, heavier, CPU) == pytest.approx(expected, rel=1e-6)
