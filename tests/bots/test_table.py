import random

import pytest
from wcwidth import wcswidth

from bots import table


def columns(source: str, max_width: int = table.MAX_WIDTH) -> str | None:
    return table.aligned(table.read(source), max_width)


def test_cells_stand_below_each_other_as_they_are_aligned() -> None:
    assert columns("| Name | Qty | Mid |\n|:--|--:|:-:|\n| a | 1 | x |\n| long one | 1000 | middle |") == (
        "Name     |  Qty |  Mid\n---------+------+-------\na        |    1 |   x\nlong one | 1000 | middle"
    )


def test_wide_characters_take_two_columns() -> None:
    written = columns("|a|b|\n|-|-|\n|日本|x|\n|👩🏽\u200d🚀|y|\n|e\u0301|z|")
    assert written
    assert {wcswidth(line[: line.index("|")]) for line in written.split("\n") if "|" in line} == {5}


def test_marks_in_cells_are_left_out() -> None:
    written = columns("|a|b|\n|-|-|\n|**x** *y*|`z`|")
    assert written
    assert written.split("\n")[2] == "x y | z"


def test_a_pipe_in_code_or_behind_a_backslash_is_no_border() -> None:
    written = columns("|a|b|\n|-|-|\n|`x|y`|1|\n|x \\| y|2|\n|`x \\| y`|3|")
    assert written
    assert written.split("\n")[2:] == ["x|y   | 1", "x | y | 2", "x | y | 3"]


def test_a_cell_without_a_column_goes_into_the_last_one() -> None:
    assert columns("|a|b|\n|-|-|\n|1|2|3|4|\n|5|") == "a | b\n--+----------\n1 | 2 | 3 | 4\n5 |"


def test_the_marks_of_a_quote_are_no_part_of_its_table() -> None:
    assert columns("> |a|\n> |-|\n> |1|") == columns("|a|\n|-|\n|1|")


def test_cells_are_wrapped_where_there_is_no_room() -> None:
    written = columns("|k|text|\n|-|-|\n|a|some words that need room|\n|b|few|", 20)
    assert written == (
        "k | text\n--+-----------------\na | some words that\n  | need room\n--+-----------------\nb | few"
    )


def test_a_word_wider_than_its_column_is_broken() -> None:
    written = columns("|k|text|\n|-|-|\n|a|" + "x" * 40 + "|", 24)
    assert written
    assert written.partition("\n")[2].count("x") == 40
    assert max(map(len, written.split("\n"))) <= 24


@pytest.mark.parametrize(
    "source",
    ["|" + "some words|" * 12 + "\n|" + "-|" * 12, "|a|b|\n|-|-|\n|x|" + "many words " * 100 + "|"],
    ids=["columns", "text"],
)
def test_what_can_not_be_read_in_columns_is_not_written_in_columns(source: str) -> None:
    assert columns(source) is None


def test_a_table_with_links_is_not_written_in_columns() -> None:
    assert columns("|a|\n|-|\n|[x](http://y)|") is None


def test_records_have_what_is_not_empty() -> None:
    read = table.read("| |a|b|\n|-|-|-|\n|x|1||\n||||\n|y||2|")
    assert [[(head.text, cell.text) for head, cell in row] for row in table.records(read)] == [
        [("", "x"), ("a", "1")],
        [("", "y"), ("b", "2")],
    ]


def test_records_of_a_table_without_rows_are_its_header() -> None:
    read = table.read("|a|b|\n|-|-|")
    assert [[head.text for head, _ in row] for row in table.records(read)] == [["a", "b"]]


def test_no_line_is_too_wide_and_no_word_is_lost() -> None:
    for seed in range(500):
        rng = random.Random(seed)
        count = rng.randint(1, 6)
        words = ["a", "word", "日本語", "👍🏽", "longer-word", "é", "x" * 30]
        rows = [
            [" ".join(rng.choices(words, k=rng.randint(0, 6))) for _ in range(count)] for _ in range(rng.randint(1, 6))
        ]
        source = "\n".join("|" + "|".join(row) + "|" for row in [rows[0], ["-"] * count, *rows[1:]])
        max_width = rng.choice([20, 40, 60])
        written = columns(source, max_width)
        if written is not None:
            assert all(wcswidth(line) <= max_width for line in written.split("\n"))
            assert sorted("".join(written.split()).replace("|", "").replace("+", "").replace("-", "")) == sorted(
                "".join("".join(map("".join, rows)).split()).replace("-", "")
            )
