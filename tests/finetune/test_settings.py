"""What training can be set to."""

import math

import pytest

from engine.errors import SettingsError
from engine.settings import load_settings
from finetune.settings import GateSettings, ScheduleSettings, TrainSettings
from tests.finetune.workplace import Workplace

KINDS = (TrainSettings, GateSettings, ScheduleSettings)
NUMBERS = [
    (kind, name)
    for kind in KINDS
    for name, field in kind.model_fields.items()
    if field.annotation in (float, float | None)
]


@pytest.mark.parametrize(("kind", "name"), NUMBERS, ids=str)
def test_no_limit_is_without_end_or_not_a_number(
    workplace: Workplace,
    kind: type[TrainSettings | GateSettings | ScheduleSettings],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert workplace.folder.exists()
    setting = f"{kind.model_config.get('env_prefix')}{name}".upper()
    for value in (math.inf, math.nan, 1e30):
        monkeypatch.setenv(setting, str(value))
        with pytest.raises(SettingsError, match=setting):
            load_settings(kind)


@pytest.mark.parametrize("settings", [{"FORGET_DAYS": "31"}, {"FORGET_HARD_DAYS": "6"}])
def test_a_model_is_not_deleted_before_another_is_due(
    workplace: Workplace, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(ScheduleSettings).forget_days == 7
    for name, value in settings.items():
        monkeypatch.setenv(f"SCHEDULE_{name}", value)
    with pytest.raises(SettingsError, match=r"SCHEDULE_FORGET_HARD_DAYS=.* has to be at least SCHEDULE_FORGET_DAYS"):
        load_settings(ScheduleSettings)
    monkeypatch.setenv("SCHEDULE_FORGET_DAYS", "6")
    assert load_settings(ScheduleSettings).forget_days == 6


def test_the_scheduler_cannot_be_set_to_look_without_a_break(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_CHECK_MINUTES", "0.5")
    with pytest.raises(SettingsError, match="SCHEDULE_CHECK_MINUTES"):
        load_settings(ScheduleSettings)
