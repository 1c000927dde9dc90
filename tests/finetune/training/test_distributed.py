"""Two processes learn what one learns."""

from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate import PartialState
from safetensors.torch import load_file

from finetune.installation import Installation
from finetune.training import launcher
from finetune.training.__main__ import train
from finetune.training.job import Result
from tests.finetune.training.trainings import job, told
from tests.finetune.workplace import Workplace, dialogues


def test_two_processes_have_the_losses_of_one(workplace: Workplace, checkpoints: Callable[..., Path]) -> None:
    PartialState(cpu=True)
    workplace.imported("chats.jsonl", dialogues(0, 40))
    workplace.prepare()
    alone, together = workplace.folder / "alone", workplace.folder / "together"
    for run in (alone, together):
        job(workplace, checkpoints(), run, step_examples=8, batch_size=4)
    by_one = train(Installation.open(), alone)
    with workplace.command(*launcher.command(together, "torchrun:2")[1:]) as training:
        _, said = training.communicate()
    assert training.returncode == 0, said
    losses = [[step["loss"] for step in told(run, "step")] for run in (alone, together)]
    assert len(losses[0]) > 3
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    by_two = Result.read(together)
    assert by_two is not None
    assert "2 processes" in by_two.hardware
    assert by_two.stages[0].tokens == by_one.stages[0].tokens
    assert by_two.stages[0].bits_per_byte == pytest.approx(by_one.stages[0].bits_per_byte, rel=1e-4)
    one, two = (load_file(run / "sft" / "merged" / "model.safetensors") for run in (alone, together))
    assert all((one[name] - two[name]).abs().max() < 1e-3 for name in one)
