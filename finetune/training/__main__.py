"""`python -m finetune.training FOLDER`: carries out the job in a folder, in one process or under torchrun.

Started by `finetune.training.launcher`. Each stage is done once: a training that was killed goes on with the stage that
it was at, from its newest checkpoint.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from accelerate import PartialState

from bots.chatlog import DatabaseError
from engine.errors import EngineError
from exporters.errors import ExportError
from finetune.errors import FinetuneError
from finetune.installation import Installation
from finetune.training import hardware, kto, planning, sft
from finetune.training.hardware import Hardware
from finetune.training.job import Job, Result
from finetune.training.material import gather
from finetune.training.stage import Ground


def main(arguments: list[str] | None = None) -> int:
    """Train; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m finetune.training", description="Carry out a training's job.")
    parser.add_argument("folder", type=Path, help="that of the training, with job.json in it")
    folder: Path = parser.parse_args(arguments).folder
    try:
        train(Installation.open(), folder)
    except (FinetuneError, EngineError, ExportError, DatabaseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return 0


def train(at: Installation, folder: Path) -> Result:
    """Carry out the job of a folder, or what is left of it.

    Raises:
        FinetuneError: It cannot be carried out as it is.
        ExportError: The base checkpoint cannot be had.
        EngineError: The base model's bundle cannot be used.
        DatabaseError: The key of the data cannot be had.
        SystemExit: It was asked to end; it goes on from there when it is started again.
    """
    processes = PartialState(cpu=not torch.cuda.is_available())
    transformers.utils.logging.set_verbosity_error()
    job, device = Job.read(folder), hardware.look()
    with tempfile.TemporaryDirectory() as work:
        # One after the other: the first may have to convert the checkpoint, or make the data's key.
        with processes.main_process_first():
            material = gather(at, job, Path(work))
        ground = Ground(
            name="sft",
            run=folder,
            digest=job.digest,
            budgets=planning.budgets(at.train, device),
            base=material.base,
            held_out=material.held_out,
            parameters=job.hyperparameters,
            has_tensorboard=at.train.tensorboard,
        )
        learnt = sft.carry_out(ground, material.rows)
        assert learnt.stage is not None
        rated = kto.carry_out(ground.after(learnt.stage), material.ratings)
    stages = tuple(each.stage for each in (learnt, rated) if each.stage and not each.skipped)
    result = Result(stages, {"kto": rated.skipped} if rated.skipped else {}, _in_words(device, processes))
    if processes.is_main_process:
        result.write(folder)
    processes.wait_for_everyone()
    return result


def _in_words(device: Hardware, processes: PartialState) -> str:
    number = processes.num_processes
    return f"{device}, {number} processes" if number > 1 else str(device)


if __name__ == "__main__":
    sys.exit(main())
