"""What a run needs for its gates, which is looked at before anything is made."""

from datetime import UTC, datetime

import pytest

from finetune.errors import SourceFileError
from finetune.flywheel import running
from finetune.flywheel.judging import blocked_words
from finetune.flywheel.record import RunRecord, State, Trigger
from finetune.installation import Installation
from finetune.settings import GateSettings
from tests.finetune.workplace import Workplace


def test_blocked_words_are_the_lines_of_a_file_and_without_one_there_are_none(workplace: Workplace) -> None:
    path = workplace.folder / "words.txt"
    path.write_text("fiddlesticks\n\n  gosh \n", encoding="utf-8")
    assert blocked_words(GateSettings(blocked_words=path)) == {"fiddlesticks", "gosh"}
    assert blocked_words(GateSettings()) == frozenset()


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_run_whose_blocked_words_cannot_be_read_ends_before_anything_is_made(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = workplace.folder / "words.txt"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("GATE_BLOCKED_WORDS", str(path))
    record = RunRecord("20260101-000000-0001", Trigger.MANUAL, "for tests", State.RUNNING, datetime.now(UTC))
    steps: list[str] = []
    with pytest.raises(SourceFileError, match="see GATE_BLOCKED_WORDS"):
        running.carry_out(Installation.open(), record, steps.append)
    assert steps == []
    assert not (workplace.folder / "data" / "trainings").exists()
