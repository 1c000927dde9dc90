"""Finding what people have said in what a model says."""

from dataclasses import replace

import pytest

from finetune.dataset.example import Example, ExampleMessage
from finetune.evaluation.verbatim import CHARS, VerbatimIndex

SAID = "In the summer of that year we rowed across the lake at night, and nobody at home ever came to know of it."


def _example(conversation: str, *targets: str, source: str = "chats") -> Example:
    messages = [
        message
        for text in targets
        for message in (ExampleMessage("user", f"Tell me. {SAID[::-1]}"), ExampleMessage("assistant", text, 1.0))
    ]
    return Example(f"{conversation}:{len(targets)}", conversation, source, tuple(messages))


@pytest.mark.parametrize("start", [0, 23, len(SAID) - CHARS])
def test_50_characters_of_an_answer_are_found_wherever_they_stand(start: int) -> None:
    index = VerbatimIndex.of([_example("a", "Something else first.", SAID)])
    copied = SAID[start : start + CHARS]
    for text in (copied, f"Well, {copied}", f"{copied} So it was!", f"Well, {copied} So it was!"):
        assert index.holds_part_of(text)


def test_49_characters_are_not_a_copy() -> None:
    index = VerbatimIndex.of([_example("a", SAID)])
    for start in range(len(SAID) - CHARS + 2):
        assert not index.holds_part_of(f"#{SAID[start : start + CHARS - 1]}#")


def test_only_what_is_learnt_counts_and_not_what_it_answers() -> None:
    assert not VerbatimIndex.of([_example("a", SAID)]).holds_part_of(SAID[::-1])


def test_what_stands_in_three_conversations_is_common_property() -> None:
    two = [_example("a", SAID), _example("b", f"Yes. {SAID}")]
    assert VerbatimIndex.of(two).holds_part_of(SAID)
    assert not VerbatimIndex.of([*two, _example("c", f"{SAID} Yes.")]).holds_part_of(SAID)


def test_one_conversation_does_not_make_it_common_by_saying_it_again_and_again() -> None:
    index = VerbatimIndex.of([_example("a", SAID, SAID), _example("b", "x" * 80), _example("a", SAID, SAID, SAID)])
    assert index.holds_part_of(SAID)


@pytest.mark.parametrize("source", ["replay", "canary"])
def test_what_nobody_has_said_is_not_in_it(source: str) -> None:
    index = VerbatimIndex.of([replace(_example("a", SAID), source=source)])
    assert not index.holds_part_of(SAID)


def test_short_texts_and_an_empty_index_hold_nothing() -> None:
    assert not VerbatimIndex.of([]).holds_part_of(SAID)
    assert not VerbatimIndex.of([_example("a", "Yes.")]).holds_part_of("Yes.")
    assert not VerbatimIndex.of([_example("a", SAID)]).holds_part_of("")


def test_halves_of_surrogate_pairs_are_no_obstacle() -> None:
    said = SAID + "\ud83d" * 3
    assert VerbatimIndex.of([_example("a", said)]).holds_part_of(said[-CHARS:])
