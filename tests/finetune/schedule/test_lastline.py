"""Which line of an output says why it has ended."""

from pathlib import Path

import pytest

from finetune.schedule.lastline import last_line, meaningful


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\n \n", ""),
        ("one\ntwo\n\n", "two"),
        ("error: the disk is full; make room\n", "the disk is full; make room"),
        ('Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no\n', "ValueError: no"),
        ("error: no data\ntrain:  10%|#     | 12/120 [00:03<00:30]\n", "no data"),
        ("train:  10%|#     | 12/120 [00:03<00:30]", "train:  10%|#     | 12/120 [00:03<00:30]"),
        ("first\rsecond\r\n", "second"),
        ("\x1b[31mred\x1b[0m\n", "red"),
        ("x" * 999, "x" * 300),
    ],
)
def test_the_last_line_that_says_something_counts(text: str, expected: str) -> None:
    assert meaningful(text) == expected


def test_of_a_long_file_only_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("early\n" * 100_000 + "late\n\n")
    assert last_line(path) == "late"
    assert last_line(tmp_path / "none.txt") == ""
