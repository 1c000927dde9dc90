"""The figures as JSON, and whether they add up."""

import json
from dataclasses import replace
from typing import Any

import pytest

from finetune.errors import StoreError
from finetune.report import DataReport, StageLine, Unit
from finetune.report.figures import discrepancies
from tests.finetune.report.invented import EMPTY, REPORT, STAGES


def as_stored(report: DataReport) -> Any:
    return json.loads(json.dumps(report.to_json(), sort_keys=True))


@pytest.mark.parametrize("report", [REPORT, EMPTY])
def test_a_report_comes_back_from_json_as_it_was(report: DataReport) -> None:
    assert DataReport.from_json(as_stored(report)) == report


def test_a_report_of_another_format_is_refused() -> None:
    with pytest.raises(StoreError, match="is of format 2, this program reads 1; prepare again"):
        DataReport.from_json(as_stored(REPORT) | {"format": 2})


def test_a_damaged_report_is_refused_with_the_place() -> None:
    row = as_stored(REPORT)
    row["stages"][1]["went_in"] = "many"
    with pytest.raises(StoreError, match=r"damaged at stages\.1\.went_in: .*; prepare again"):
        DataReport.from_json(row)


def test_a_report_that_lacks_something_is_refused() -> None:
    row = as_stored(REPORT)
    del row["run"]
    with pytest.raises(StoreError, match="damaged at run"):
        DataReport.from_json(row)


def test_stages_that_account_for_everything_have_no_discrepancies() -> None:
    assert discrepancies(STAGES) == []
    assert discrepancies([]) == []


def test_what_goes_missing_without_a_reason_is_named() -> None:
    stage = StageLine("quality", "1", Unit.MESSAGES, 1_000, 900, {"too short": 60})
    assert discrepancies([stage]) == ["quality: 40 messages went missing without a reason"]


def test_what_comes_from_nowhere_is_named() -> None:
    stage = StageLine("replay", "1", Unit.EXAMPLES, 10, 15, added={"replay": 3})
    assert discrepancies([stage]) == ["replay: 2 examples came out that never went in"]


def test_what_is_lost_between_two_stages_is_named() -> None:
    later = replace(STAGES[1], went_in=100_898, came_out=100_886)
    assert discrepancies([STAGES[0], later]) == [
        "normalise gave 100,900 messages, and secrets was given 100,898 of them"
    ]
