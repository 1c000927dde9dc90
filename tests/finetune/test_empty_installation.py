"""What commands about models and runs say where nothing was made yet: a line each, and an exit code that tells."""

from pathlib import Path

import pytest

from finetune.__main__ import main
from finetune.flywheel.record import State
from finetune.schedule.queue import RunQueue
from tests.finetune.workplace import Workplace, entered

NO_MODEL = "has no model yet, whose tokeniser examples are cut for; make one with: make model"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """An installation that has just been made: without any model."""
    return entered(tmp_path, monkeypatch, {"ENGINE_REGISTRY": "models"})


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("versions", "models has no model yet; make one with: make model"),
        ("runs", "There was no run yet."),
        ("run", "nothing is due; "),
        ("sources", "nothing is imported; "),
        ("pause", "no run begins until: python -m finetune resume"),
    ],
)
def test_there_is_nothing_to_show(
    empty: Workplace, capsys: pytest.CaptureFixture[str], command: str, said: str
) -> None:
    assert main([command]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(said)


def test_the_status_says_what_is_missing(empty: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Now: no run" in lines
    assert "Model: none yet" in lines
    assert lines[0].endswith("start it with: python -m finetune schedule")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("promote", "no challenger waits to be promoted; "),
        ("promote v1", "models has no version 'v1'; "),
        ("rollback", "models has no champion before the present one to roll back to; "),
        ("train", "there is no dataset yet; make one with: python -m finetune prepare"),
        ("evaluate v1", "models has no version 'v1'; "),
        ("evaluate .", ". is not a bundle: "),
        ("compare", "models has no two models to compare; "),
        ("report", "there is no dataset yet; "),
        ("report last", "there was no run yet; start one with: python -m finetune run --now"),
        ("report NOSUCH", "there is no run NOSUCH; `python -m finetune runs` lists them"),
        ("run --id NOSUCH", "there is no run NOSUCH; `python -m finetune runs` lists them"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(
    empty: Workplace, capsys: pytest.CaptureFixture[str], command: str, said: str
) -> None:
    assert main(command.split()) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(f"error: {said}")
    assert captured.out == ""


def test_a_run_without_a_model_makes_none_and_says_how_to_make_the_first(
    empty: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--now"]) == 1
    said = capsys.readouterr().out
    (record,) = RunQueue(empty.folder / "data" / "schedule.db").newest(9)
    assert (record.state, record.step) == (State.FAILED, "data")
    assert record.outcome.endswith(NO_MODEL)
    assert record.outcome in said
    assert main(["report", "last"]) == 0
    assert record.outcome in capsys.readouterr().out


def test_with_the_base_model_alone_there_is_nothing_to_go_back_to(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["versions"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    version, marks = line.split("  ")
    assert marks == "champion, base"
    assert main(["rollback"]) == 1
    assert "no champion before the present one" in capsys.readouterr().err
    assert main(["promote"]) == 1
    assert "no challenger waits" in capsys.readouterr().err
    assert main(["evaluate", version]) == 1
    assert "there is no dataset yet" in capsys.readouterr().err
