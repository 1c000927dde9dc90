"""What is left of a conversation that outgrows the context."""

import hashlib
import itertools
import math
import random
import struct
from collections.abc import Sequence

import pytest

from engine import ChatMessage, ChatTemplateError, PromptTooLongError
from engine.prompt import DROP_STEP, PromptBuilder
from tests.engine.chat_styles import PIECES, STYLES, Served, make_tokenizer, random_text, serve

LIMIT = 400
PERSONA = ChatMessage("system", "You are a parrot who likes nuts.")


@pytest.fixture(scope="module", params=["chatml", "llama3", "mistral", "phi3"])
def served(request: pytest.FixtureRequest) -> Served:
    """Templates that differ in where they put the persona."""
    return serve(make_tokenizer(STYLES[request.param]))


@pytest.fixture
def builder(served: Served) -> PromptBuilder:
    """The builder under test."""
    return PromptBuilder(served.template, served.tokenizer)


def talk(number: int, words: int = 3) -> list[ChatMessage]:
    """A question and its answer."""
    filler = "word " * words
    return [ChatMessage("user", f"question {number} {filler}"), ChatMessage("assistant", f"answer {number} {filler}")]


def history(turns: int, words: int = 3) -> list[ChatMessage]:
    return [message for number in range(turns) for message in talk(number, words)]


def shared_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def test_a_conversation_that_fits_is_whole(builder: PromptBuilder, served: Served) -> None:
    messages = [PERSONA, *history(3), ChatMessage("user", "last")]
    ids = served.ids(messages)
    prompt = builder.build(messages, len(ids))
    assert (prompt.ids, prompt.dropped_turns) == (tuple(ids), 0)
    assert builder.build(messages, len(ids) - 1).dropped_turns > 0


def test_the_hash_is_that_of_the_token_ids(builder: PromptBuilder) -> None:
    prompt = builder.build([ChatMessage("user", "Hello")], LIMIT)
    packed = struct.pack(f"<{len(prompt.ids)}i", *prompt.ids)
    assert prompt.sha256 == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize("persona", [(PERSONA,), ()], ids=["with a persona", "without"])
def test_what_is_dropped_is_whole_turns_from_the_front(
    builder: PromptBuilder, served: Served, persona: tuple[ChatMessage, ...]
) -> None:
    turns = history(60)
    last = ChatMessage("user", "last")
    prompt = builder.build([*persona, *turns, last], LIMIT)
    assert 0 < prompt.dropped_turns < 60
    kept = [*persona, *turns[2 * prompt.dropped_turns :], last]
    assert list(prompt.ids) == served.ids(kept)


def test_as_few_turns_are_dropped_as_pass_the_next_step(builder: PromptBuilder, served: Served) -> None:
    turns = history(60)
    last = ChatMessage("user", "last")
    for number in range(20, 60):
        messages = [PERSONA, *turns[: 2 * number], last]
        sizes = [len(served.ids([PERSONA, *messages[1 + 2 * n :]])) for n in range(number + 1)]
        step = LIMIT * DROP_STEP
        to_lose = math.ceil((sizes[0] - LIMIT) / step) * step
        expected = next(n for n, size in enumerate(sizes) if sizes[0] - size >= to_lose)
        assert builder.build(messages, LIMIT).dropped_turns == expected


def test_answers_go_with_the_question_that_they_answer(builder: PromptBuilder, served: Served) -> None:
    """Also where a chat opens with an answer, or has several answers to one question."""
    answers = [ChatMessage("assistant", f"part {number}") for number in range(3)]
    turns = [answers[:1], *([ChatMessage("user", f"question {n}"), *answers] for n in range(30))]
    last = ChatMessage("user", "last")
    prompt = builder.build([PERSONA, *(m for turn in turns for m in turn), last], LIMIT)
    assert prompt.dropped_turns > 0
    kept = [m for turn in turns[prompt.dropped_turns :] for m in turn]
    assert list(prompt.ids) == served.ids([PERSONA, *kept, last])


def test_a_last_turn_too_long_to_stand_alone_is_refused_with_the_numbers(
    builder: PromptBuilder, served: Served
) -> None:
    last = ChatMessage("user", "many words " * 500)
    alone = len(served.ids([PERSONA, last]))
    with pytest.raises(PromptTooLongError) as caught:
        builder.build([PERSONA, *history(5), last], LIMIT)
    assert (caught.value.num_tokens, caught.value.limit_tokens) == (alone, LIMIT)
    assert f"{alone} tokens, limit is {LIMIT}" in str(caught.value)
    assert len(builder.build([PERSONA, *history(5), last], alone).ids) == alone


def test_a_last_turn_that_just_fits_is_answered_without_the_rest(builder: PromptBuilder, served: Served) -> None:
    last = ChatMessage("user", "many words " * 60)
    alone = served.ids([PERSONA, last])
    prompt = builder.build([PERSONA, *history(5), last], len(alone))
    assert (prompt.ids, prompt.dropped_turns) == (tuple(alone), 5)


@pytest.mark.parametrize("messages", [[], [PERSONA]], ids=["nothing", "only a persona"])
def test_a_conversation_with_nothing_to_answer_is_refused(builder: PromptBuilder, messages: list[ChatMessage]) -> None:
    with pytest.raises(ChatTemplateError, match="no message to answer"):
        builder.build(messages, LIMIT)


def test_the_start_of_the_prompt_stays_unmoved_over_most_turns(builder: PromptBuilder, served: Served) -> None:
    """Only a start that stays where it was leaves a cached prefix to reuse; see DROP_STEP."""
    limit = 1000  # some 25 turns, six to a step
    messages: list[ChatMessage] = [PERSONA]
    dropped: list[int] = []
    total = 0
    for number in range(120):
        question, answer = talk(number)
        messages.append(question)
        dropped.append(builder.build(messages, limit).dropped_turns)
        total = len(served.ids(messages))
        messages.append(answer)
    moves = sum(a != b for a, b in itertools.pairwise(dropped))
    full = sum(d > 0 for d in dropped)
    assert full > 80, "the conversation hardly outgrew the context"
    assert dropped == sorted(dropped), "a turn that was dropped came back"
    # It moves once per step of tokens that the conversation grows by, and no more often.
    assert moves <= (total - limit) / (limit * DROP_STEP) + 1
    assert moves < full / 5


def test_between_two_moves_a_prompt_begins_with_the_one_before(builder: PromptBuilder, served: Served) -> None:
    messages: list[ChatMessage] = [PERSONA]
    before: tuple[int, tuple[int, ...]] = (0, ())
    num_compared = 0
    for number in range(80):
        question, answer = talk(number)
        messages.append(question)
        prompt = builder.build(messages, LIMIT)
        if prompt.dropped_turns == before[0] and number:
            # All but the place where the answer now stands, and the persona where a template puts it last.
            assert shared_prefix(prompt.ids, before[1]) >= len(before[1]) - 40
            num_compared += 1
        before = (prompt.dropped_turns, prompt.ids)
        messages.append(answer)
    assert num_compared > 50


def test_no_prompt_is_over_the_limit_and_none_that_could_fit_is_refused(builder: PromptBuilder, served: Served) -> None:
    rng = random.Random(5)
    outcomes = {"whole": 0, "trimmed": 0, "refused": 0}
    for _ in range(300):
        persona = [ChatMessage("system", random_text(rng))] if rng.random() < 0.5 else []
        turns = [
            [ChatMessage("user", random_text(rng)), ChatMessage("assistant", random_text(rng))]
            for _ in range(rng.randrange(12))
        ]
        last = ChatMessage("user", rng.choice(PIECES))
        limit = rng.randint(20, 600)
        messages = [*persona, *(m for turn in turns for m in turn), last]
        try:
            prompt = builder.build(messages, limit)
        except PromptTooLongError as error:
            assert error.num_tokens == len(served.ids([*persona, last])) > limit
            outcomes["refused"] += 1
            continue
        assert len(prompt.ids) <= limit
        kept = [m for turn in turns[prompt.dropped_turns :] for m in turn]
        assert list(prompt.ids) == served.ids([*persona, *kept, last])
        outcomes["trimmed" if prompt.dropped_turns else "whole"] += 1
    assert min(outcomes.values()) > 20, outcomes
