"""A training that was killed ends with the weights that it would have had."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from accelerate import PartialState

from finetune.errors import StoreError
from finetune.installation import Installation
from finetune.training.__main__ import train
from finetune.training.job import Result
from finetune.training.watching import TERMINATED
from tests.finetune.training.trainings import job, told
from tests.finetune.workplace import Workplace, dialogues

# Chance matters: dropout draws at every step. So many steps that a training is killed long before its end.
PARAMETERS = {"lora_dropout": 0.1, "epochs": 3.0, "evaluations": 8, "patience": 100}


@pytest.fixture
def prepared(workplace: Workplace) -> Workplace:
    PartialState(cpu=True)
    workplace.imported("chats.jsonl", dialogues(0, 24))
    workplace.prepare()
    return workplace


def said(training: object, number: int) -> None:
    """Wait until a training has said that it was evaluated so often."""
    lines: Iterator[str] = (line for line in training.stderr if "evaluation" in line)  # type: ignore[attr-defined]
    for _ in range(number):
        assert next(lines, None), "it has ended too soon"


def weights(run: Path) -> bytes:
    return (run / "sft" / "merged" / "model.safetensors").read_bytes()


def test_a_killed_training_ends_with_the_weights_that_it_would_have_had(
    prepared: Workplace, checkpoints: Callable[..., Path]
) -> None:
    whole, killed, damaged = (prepared.folder / name for name in ("whole", "killed", "damaged"))
    for run in (whole, killed):
        job(prepared, checkpoints(), run, **PARAMETERS)
    expected = train(Installation.open(), whole)
    with prepared.command("-m", "finetune.training", str(killed)) as training:
        # Before the first step, and with each of three checkpoints, of which the last may not be there yet.
        said(training, 4)
        training.kill()
    assert training.returncode == -signal.SIGKILL
    shutil.copytree(killed, damaged)
    newest = sorted((damaged / "sft" / "checkpoints").glob("step-*"))[-1]
    with (newest / "adapter_model.safetensors").open("r+b") as file:
        file.truncate(100)
    for run in (killed, damaged):
        found = train(Installation.open(), run)
        assert found.stages[0].best_step == expected.stages[0].best_step
        assert weights(run) == weights(whole)
        assert found == Result.read(run)
    from_killed, from_damaged = (told(run, "resumed")[0]["step"] for run in (killed, damaged))
    assert 0 < from_damaged < from_killed < expected.stages[0].steps
    assert told(whole, "resumed") == []


def test_a_training_that_is_asked_to_end_keeps_the_step_that_it_is_at(
    prepared: Workplace, checkpoints: Callable[..., Path]
) -> None:
    run = prepared.folder / "run"
    job(prepared, checkpoints(), run, **PARAMETERS | {"evaluations": 1, "epochs": 50.0})
    with prepared.command("-m", "finetune.training", str(run)) as training:
        said(training, 1)
        training.terminate()
    assert training.returncode == TERMINATED
    [kept] = (run / "sft" / "checkpoints").glob("step-*")
    assert told(run, "checkpoint")[0]["step"] == told(run, "step")[-1]["step"] == int(kept.name.removeprefix("step-"))
    assert Result.read(run) is None


def test_another_dataset_or_base_is_refused(prepared: Workplace, checkpoints: Callable[..., Path]) -> None:
    job(prepared, checkpoints(), prepared.folder / "of-the-old")
    job(prepared, checkpoints(), prepared.folder / "of-another", learning_rate=1e-3)
    moved = prepared.folder / "of-another" / "job.json"
    moved.write_text(moved.read_text().replace(str(checkpoints()), str(checkpoints(seed=1))))
    with pytest.raises(StoreError, match="another checkpoint"):
        train(Installation.open(), prepared.folder / "of-another")
    prepared.imported("more.jsonl", dialogues(24, 3))
    prepared.prepare()
    with pytest.raises(StoreError, match="start another run"):
        train(Installation.open(), prepared.folder / "of-the-old")
