"""Which replies are asked for, and that a model which knows them finds them."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from engine.bundle import Bundle
from finetune.dataset.example import Example
from finetune.dataset.rendering import Renderer
from finetune.evaluation.ranking import MAX_TOKENS, Ranking, questions, rank
from finetune.evaluation.torchscoring import TorchScorer
from tests.finetune.evaluation.conversations import (
    TOPICS,
    asked_and_answered,
    example,
    log_probabilities,
    taught,
)

STEPS = 40


@pytest.fixture(scope="module")
def renderer(bundles: Callable[..., Path]) -> Renderer:
    return Renderer.open(Bundle.open(bundles()))


@pytest.fixture(scope="module")
def untaught(checkpoints: Callable[..., Path]) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoints())


def test_the_true_reply_comes_first_and_the_others_are_of_other_conversations() -> None:
    asked = questions(asked_and_answered())
    assert len(asked) == len(TOPICS)
    for question in asked:
        topic = question.context[-1].content.removeprefix("what about ").rstrip("?")
        assert f"the {topic} of" in question.candidates[0]
        assert len(set(question.candidates)) == 10
        assert not any(message.is_target for message in question.context)


def test_the_questions_do_not_depend_on_the_order_and_differ_in_their_other_replies() -> None:
    shuffled = asked_and_answered()
    random.Random(1).shuffle(shuffled)
    key = str
    assert sorted(questions(shuffled), key=key) == sorted(questions(asked_and_answered()), key=key)
    assert len({frozenset(question.candidates) for question in questions(shuffled)}) > len(TOPICS) / 2


def test_a_conversation_is_asked_for_its_last_reply_and_once() -> None:
    two = [
        example("x", ("user", "a", 0.0), ("assistant", "b", 1.0), ("user", "c", 0.0), ("assistant", "d", 0.5), id=id)
        for id in ("x1", "x2")
    ]
    asked = questions([*two, *asked_and_answered()])
    (mine,) = [question for question in asked if question.candidates[0] == "d"]
    assert [message.content for message in mine.context] == ["a", "b", "c"]
    assert len(asked) == len(TOPICS) + 1


def test_a_reply_that_others_give_too_is_no_wrong_one() -> None:
    same = [example(f"s{n}", ("user", f"{n}", 0.0), ("assistant", "Yes  please", 1.0)) for n in range(20)]
    for question in questions([*same, *asked_and_answered()]):
        assert sum(candidate.casefold() == "yes  please" for candidate in question.candidates) <= 1


def test_with_fewer_than_ten_replies_nothing_is_asked_and_nothing_known() -> None:
    assert questions(asked_and_answered()[:9]) == []
    assert questions(asked_and_answered(), 9) == []
    assert len(questions(asked_and_answered(), 10)) == 10


def test_where_nothing_is_asked_there_is_no_number(renderer: Renderer, untaught: Any) -> None:
    found = rank(TorchScorer(untaught), renderer, [])
    assert math.isnan(found.hits_at_1)
    assert found.num_questions == 0


def test_a_model_that_has_learnt_the_replies_finds_them_and_one_that_has_not_guesses(
    renderer: Renderer, checkpoints: Callable[..., Path], untaught: Any
) -> None:
    asked = questions(asked_and_answered())
    done: list[None] = []
    # Every reply to its question, and to none: so that none is the likely one without a question.
    said = [*asked_and_answered(), *map(without_question, asked_and_answered())]
    model = taught(checkpoints(), renderer, said, STEPS)
    learnt = rank(TorchScorer(model), renderer, asked, lambda: done.append(None))
    assert learnt.hits_at_1 > 0.8
    assert learnt.num_questions == len(TOPICS)
    assert len(done) == len(TOPICS)
    assert rank(TorchScorer(untaught), renderer, asked).hits_at_1 <= 0.5


def without_question(talk: Example) -> Example:
    persona, question, reply = talk.messages
    return replace(talk, messages=(persona, replace(question, content=""), reply))


def test_what_counts_is_what_the_context_adds_to_each_token(renderer: Renderer, untaught: Any) -> None:
    long = [
        example(f"l{n}", ("user", f"number {n}", 0.0), ("assistant", " ".join([topic] * (1 + 2 * n)), 1.0))
        for n, topic in enumerate(TOPICS)
    ]
    asked = questions(long)

    def nats(messages: tuple[Any, ...], reply: str) -> tuple[float, int]:
        """By transformers, of the whole text: of the reply's first tokens, and how many they are."""
        encoded = renderer.encode(example("", *((m.role, m.content, 0.0) for m in messages), _said(reply)).messages)
        places = renderer.word_places(encoded)[:MAX_TOKENS]
        known = log_probabilities(untaught, list(encoded.ids))
        return -sum(known[place - 1, encoded.ids[place]] for place in places), len(places)

    hits, hits_by_sum = [], []
    for question in asked:
        nothing = example("", ("user", "", 0.0)).messages
        both = [(nats(nothing, reply), nats(question.context, reply)) for reply in question.candidates]
        gains = [alone - after for (alone, _), (after, _) in both]
        by_token = [gain / number for gain, ((_, number), _) in zip(gains, both, strict=True)]
        hits.append(float(by_token[0] == max(by_token)))
        hits_by_sum.append(float(gains[0] == max(gains)))
    assert sum(hits) != sum(hits_by_sum), "that it is for each token makes a difference here"
    assert rank(TorchScorer(untaught), renderer, asked) == Ranking(sum(hits) / len(asked), len(asked))
    assert 0 < sum(hits) < len(asked)


def _said(reply: str) -> tuple[str, str, float]:
    return ("assistant", reply, 1.0)


def test_examples_without_a_reply_are_not_asked(renderer: Renderer) -> None:
    silent: list[Example] = [example("q", ("user", "hello", 0.0))]
    assert len(questions([*silent, *asked_and_answered()])) == len(TOPICS)
