"""Times that no chat can have are none."""

from datetime import UTC, datetime

import pytest

from finetune.dataset.times import believed


def ms(year: int, month: int = 1, day: int = 1) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("time_ms", [ms(1990), ms(2024, 2, 29), ms(2100) - 1])
def test_a_time_from_1990_to_2099_is_believed(time_ms: int) -> None:
    assert believed(time_ms) == time_ms


@pytest.mark.parametrize("time_ms", [None, 0, -1, ms(1990) - 1, ms(2100), ms(9999, 12, 31)])
def test_any_other_is_unknown(time_ms: int | None) -> None:
    assert believed(time_ms) is None
