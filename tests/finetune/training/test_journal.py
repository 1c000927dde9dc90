"""What is said of a training, and what is left of it when it is killed."""

import io
import json
from pathlib import Path
from typing import Any

from finetune.training.journal import LINE_EVERY_S, StageJournal
from tests.conftest import ManualClock


def step(number: int) -> dict[str, Any]:
    return {"step": number, "steps": 10, "loss": 2.5, "tokens_per_second": 99.5, "seconds_left": 125.0}


def test_a_line_is_said_with_evaluations_and_otherwise_every_half_a_minute(
    tmp_path: Path, manual_clock: ManualClock
) -> None:
    said = io.StringIO()
    journal = StageJournal(tmp_path, "sft", said, manual_clock)
    journal.tell("step", **step(1))
    manual_clock.now = LINE_EVERY_S
    journal.tell("step", **step(2))
    journal.tell("step", **step(3))
    journal.tell("evaluation", step=3, bits_per_byte=1.5)
    journal.tell("checkpoint", step=3, bytes=5)
    assert said.getvalue().splitlines() == [
        "sft: step 2 of 10, loss 2.5000, 100 tokens/s, 2:05 left",
        "sft: evaluation step 3, bits per byte 1.5",
    ]
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 5


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_with_loss_speed_and_time_left(tmp_path: Path) -> None:
    said = Terminal()
    journal = StageJournal(tmp_path, "sft", said)
    journal.tell("step", **step(1))
    journal.tell("ended", by="plan")
    assert "loss 2.5000, 100 tokens/s, 2:05 left" in said.getvalue()
    assert "1/10" in said.getvalue()


def test_what_a_training_notes_is_for_its_owner_only(tmp_path: Path) -> None:
    StageJournal(tmp_path, "sft", io.StringIO()).tell("resumed", step=5)
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_torn_by_a_kill_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for torn, whole in (('{"event": "step", "st', 0), ('{"event": "a"}\n{"eve', 1), ('{"event": "a"}\n', 1)):
        path.write_text(torn)
        StageJournal(tmp_path, "sft", io.StringIO()).tell("resumed", step=5)
        events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
        assert events == ["a"] * whole + ["resumed"]
