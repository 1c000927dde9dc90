"""The lines that end `prepare` in the terminal."""

from dataclasses import replace

import pytest

from finetune.report import Check, DataReport, SourceLine, SplitLine, StageLine, Unit, summary
from tests.finetune.report.invented import EMPTY, REPORT

ESCAPE = "\x1b[2J\r\n\u202e"
HOSTILE = DataReport(
    run=ESCAPE,
    dataset_sha256=ESCAPE,
    sources=(SourceLine(ESCAPE, ESCAPE, ESCAPE, ESCAPE, 1),) * 20,
    stages=tuple(StageLine(ESCAPE, ESCAPE, Unit.MESSAGES, 10, 5, {ESCAPE + str(i): 1 for i in range(7)}) for _ in "ab")
    * 10,
    splits=(SplitLine(ESCAPE * 99, 1, 1, 1),) * 20,
    checks=(Check(ESCAPE * 99, ESCAPE * 99, ESCAPE * 99, False, ESCAPE),) * 20,
)


def test_a_summary_tells_the_funnel_the_splits_and_what_failed() -> None:
    assert summary(REPORT) == [
        "101,000 messages from 2 sources",
        "  normalise: 101,000 → 100,900 messages, 0.1 % dropped (empty 100)",
        "  secrets: 100,900 → 100,888 messages, < 0.1 % dropped (token 9, private key 3)",
        "  quality: 9,000 → 7,000 conversations, 22.2 % dropped (too short 1,500, mostly links 500)",
        "  replay: 8,000 → 8,900 examples, 1.3 % dropped (over budget 100)",
        "train 7,700 examples (154,321 target tokens), validation 600 examples (12,000 target tokens), "
        "test 600 examples (11,000 target tokens)",
        "checks: 1 of 2 passed",
        "  failed: largest author: 73.3 %, wanted at most 20 %",
    ]


def test_an_empty_dataset_says_so() -> None:
    assert summary(EMPTY) == [
        "0 messages from 0 sources",
        "no splits: nothing is left to train on",
        "checks: 0 of 0 passed",
    ]


@pytest.mark.parametrize("report", [REPORT, EMPTY, HOSTILE])
def test_a_summary_has_ten_lines_at_most_and_nothing_that_steers_a_terminal(report: DataReport) -> None:
    lines = summary(report)
    assert len(lines) <= 10
    assert all(line.isprintable() for line in lines)


def test_failures_that_are_too_many_for_the_terminal_are_counted() -> None:
    assert summary(HOSTILE)[-1].startswith("  and ")
    assert summary(HOSTILE)[-1].endswith(" more; the report has them all")


def test_the_stages_that_dropped_most_are_told_in_the_order_in_which_they_ran() -> None:
    drops = (5, 1, 7, 0, 2, 9)
    stages = tuple(
        StageLine(f"stage {i}", "1", Unit.MESSAGES, 10, 10 - n, {"odd": n} if n else {}) for i, n in enumerate(drops)
    )
    told = [line.split(":")[0].strip() for line in summary(replace(EMPTY, stages=stages)) if "→" in line]
    assert told == ["stage 0", "stage 2", "stage 4", "stage 5"]


def test_figures_that_do_not_add_up_are_told() -> None:
    stages = (StageLine("quality", "1", Unit.MESSAGES, 10, 5),)
    assert "  does not add up: quality: 5 messages went missing without a reason" in summary(
        replace(EMPTY, stages=stages)
    )
