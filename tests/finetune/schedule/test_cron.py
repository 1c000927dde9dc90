"""When the clock makes a run due."""

import pytest

from finetune.schedule.cron import CronError, trigger_of


def test_no_fields_are_never() -> None:
    assert trigger_of("") is None
    assert trigger_of("  ") is None


def test_what_makes_no_sense_is_refused_by_the_name_of_the_setting() -> None:
    with pytest.raises(CronError, match=r"SCHEDULE_CRON '0 4 13 \* 5' has to name a day of the month or a weekday"):
        trigger_of("0 4 13 * 5")
