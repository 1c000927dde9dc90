"""How numbers and foreign strings are written."""

import pytest

from finetune.report.wording import plural, printable, ranked, share, short


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [
        (1, 3, "33.3 %"),
        (2, 3, "66.7 %"),
        (1, 2_000, "0.1 %"),
        (0, 7, "0.0 %"),
        (7, 7, "100.0 %"),
        (1, 1_000_000, "< 0.1 %"),
        (999_999, 1_000_000, "> 99.9 %"),
        (3, 2, "150.0 %"),
        (0, 0, "-"),
    ],
)
def test_a_share_has_one_decimal_and_never_rounds_to_nothing_or_all(part: int, whole: int, written: str) -> None:
    assert share(part, whole) == written


def test_counts_are_ranked_by_number_then_name_whatever_order_they_come_in() -> None:
    counts = {"b": 2, "none": 0, "c": 9, "a": 2}
    assert ranked(counts) == [("c", 9), ("a", 2), ("b", 2)]
    assert ranked(dict(reversed(counts.items()))) == ranked(counts)


def test_counts_with_an_order_of_their_own_keep_it() -> None:
    assert ranked({"x": 5, "root": 9, "reply": 1}, ["reply", "root"]) == [("reply", 1), ("root", 9), ("x", 5)]


def test_nothing_that_steers_a_terminal_is_printable() -> None:
    assert printable("a\x1b[2J\nb\u202e\x00 \ud800") == "a\ufffd[2J b\ufffd\ufffd \ufffd"
    assert printable("дипломный чат 友達") == "дипломный чат 友達"


def test_a_long_name_is_cut_with_a_mark() -> None:
    assert short("x" * 28) == "x" * 28
    assert short("x" * 29) == "x" * 27 + "…"


def test_one_thing_is_no_plural() -> None:
    assert [plural(n, "voter") for n in (0, 1, 1_200)] == ["0 voters", "1 voter", "1,200 voters"]
