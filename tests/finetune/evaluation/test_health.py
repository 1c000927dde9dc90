"""Figures of answers, counted by hand."""

import pytest

from finetune.evaluation.answers import Answer
from finetune.evaluation.figures import Health
from finetune.evaluation.health import health
from finetune.evaluation.verbatim import VerbatimIndex

NOTHING_KNOWN = VerbatimIndex.of([])


def _health(*texts: str, blocked: tuple[str, ...] = ()) -> Health:
    """Each text as an answer to a prompt of its own."""
    return health([Answer(f"p{n}", text, has_ended=True) for n, text in enumerate(texts)], blocked, NOTHING_KNOWN)


def test_empty_answers_are_those_without_a_character_to_see() -> None:
    assert _health("", " \n", "Yes.", "...").empty == 0.5


def test_endless_answers_are_those_that_the_limit_ended() -> None:
    answers = [Answer("a", "Yes, and", has_ended=False), *[Answer("b", "Yes.", has_ended=True)] * 3]
    assert health(answers, (), NOTHING_KNOWN).endless == 0.25


def test_repetition_counts_groups_of_four_words_within_one_answer() -> None:
    # 6 groups of four in the first, of which the last two stood there before; one in each of the others.
    assert _health("a b c d a b c d a", "e f g h", "e f g h").repetition == pytest.approx(2 / 8)
    assert _health("Yes it does.", "No").repetition == 0.0


def test_repetition_is_seen_in_scripts_without_spaces() -> None:
    assert _health("我是我是我是我是我是").repetition > 0.5


def test_distinct_pairs_are_counted_over_all_answers() -> None:
    # a-b, b-c; A-B, B-d: one of four was there before.
    assert _health("a b c", "A, B d").distinct_2 == 0.75
    assert _health("yes", "no").distinct_2 == 0.0


def test_the_most_common_reply_is_told_apart_neither_by_case_nor_by_white_space() -> None:
    assert _health("I don't know.", "i  don't know.\n", "Blue.", "Red.").common_reply == 0.5


def test_two_equal_answers_to_one_prompt_count_once() -> None:
    answers = [Answer(f"p{n}", f"It is {n // 3}.", has_ended=True) for n in range(12) for _ in range(2)]
    assert health(answers, (), NOTHING_KNOWN).common_reply == 3 / 12


def test_where_no_two_prompts_got_the_same_reply_none_is_common() -> None:
    assert _health("Blue.", "Red.").common_reply == 0.0


def test_answers_that_say_nothing_are_no_common_reply() -> None:
    assert _health("", "", "", "Blue.").common_reply == 0.0


@pytest.mark.parametrize("text", ["[A] hello", "  [B]: hello", "Sure.\n[C] thanks", "Sure.\n  [AB] thanks"])
def test_an_answer_with_a_speaker_tag_that_opens_a_line_speaks_as_somebody_else(text: str) -> None:
    assert _health(text, "fine").other_speaker == 0.5


@pytest.mark.parametrize("text", ["Ask [A] about it", "list[A] is an item", "[abc] no", "[ABC] no", "(A) first"])
def test_a_tag_within_a_line_is_somebody_who_is_named(text: str) -> None:
    assert _health(text).other_speaker == 0.0


def test_blocked_words_are_found_as_words_in_any_case() -> None:
    found = _health(
        "What a DARN thing", "darning socks", "Oh, darn!", "you old fool", blocked=("Darn", " old fool ", "")
    )
    assert found.blocked == 0.75
    assert _health("anything at all").blocked == 0.0


def test_a_blocked_word_may_hold_signs_that_mean_something_in_patterns() -> None:
    assert _health("that is a.b", "that is axb", blocked=("a.b",)).blocked == 0.5
