"""How numbers and foreign strings are written."""

import math

import pytest

from finetune.report.wording import (
    change,
    decimal,
    duration,
    percent,
    plain,
    plural,
    printable,
    ranked,
    share,
    short,
    size,
)


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


def test_a_figure_that_is_missing_or_no_number_is_written_as_such() -> None:
    figures = (1.68712, 1_234.5, None, math.nan, math.inf)
    assert [decimal(each) for each in figures] == ["1.687", "1,234.500", "-", "not finite", "not finite"]
    assert [percent(each) for each in (0.1234, None, math.nan)] == ["12.3 %", "-", "not finite"]


@pytest.mark.parametrize(
    ("after", "before", "written"),
    [
        (1.6871, 1.8283, "-7.7 %"),
        (0.31, 0.2, "+55.0 %"),
        (1.0, 1.0, "0.0 %"),
        (0.9999, 1.0, "0.0 %"),
        (1.0, 0.0, "-"),
        (math.nan, 1.0, "-"),
        (None, 1.0, "-"),
    ],
)
def test_a_change_is_a_share_of_what_was_before(after: float | None, before: float, written: str) -> None:
    assert change(after, before) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0.0 s"),
        (59.9, "59.9 s"),
        (59.97, "1 min 00 s"),
        (1_912.4, "31 min 52 s"),
        (3_599.6, "1 h 00 min"),
        (3_780, "1 h 03 min"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_a_duration_has_the_units_that_people_use(seconds: float | None, written: str) -> None:
    assert duration(seconds) == written


def test_a_size_is_counted_by_thousands() -> None:
    sizes = (0, 999, 1_000, 137_400_000, 2 * 10**12, None)
    assert [size(each) for each in sizes] == ["0 B", "999 B", "1.0 kB", "137.4 MB", "2,000.0 GB", "-"]


def test_plain_text_keeps_its_lines_and_loses_what_steers_a_terminal() -> None:
    assert plain("a\n\tb\x1b[2J\x00\ud800 \u200d友") == "a\n\tb\ufffd[2J\ufffd\ufffd \u200d友"
