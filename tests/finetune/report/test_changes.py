"""What changed between two texts."""

import time

import pytest

from finetune.report.changes import MAX_CHARS, Part, compare, whole


def joined(parts: tuple[Part, ...]) -> str:
    return "".join(part.text for part in parts)


def changed(parts: tuple[Part, ...]) -> list[str]:
    return [part.text for part in parts if part.is_changed]


@pytest.mark.parametrize(
    ("before", "after", "went", "came"),
    [
        ("mail ines@example.org now", "mail [EMAIL] now", "ines@example.org", "[EMAIL]"),
        ("same words", "same words", "", ""),
        ("", "new", "", "new"),
        ("all gone", "", "all gone", ""),
        ("", "", "", ""),
    ],
)
def test_what_went_and_what_came_is_marked_and_the_texts_are_whole(
    before: str, after: str, went: str, came: str
) -> None:
    old, new = compare(before, after)
    assert (joined(old), joined(new)) == (before, after)
    assert ("".join(changed(old)), "".join(changed(new))) == (went, came)


def test_a_character_that_cannot_be_seen_is_shown_where_it_went() -> None:
    old, new = compare("yes\u200b they did\n", "yes they did\n")
    assert changed(old) == ["[U+200B]"]
    assert joined(new) == "yes they did\n"


def test_a_very_long_text_is_cut_and_says_so() -> None:
    text = "word, " * 1_000
    assert joined(whole(text)) == text[:MAX_CHARS] + " … (5,400 more characters)"
    old, new = compare(text, text)
    assert joined(old) == joined(new) == joined(whole(text))


def test_two_long_texts_with_nothing_but_repetition_are_compared_quickly() -> None:
    """A few words over and over, in another order: the worst that matching can meet."""
    began = time.process_time()
    compare("a b " * MAX_CHARS, "b  a " * MAX_CHARS)
    assert time.process_time() - began < 10
