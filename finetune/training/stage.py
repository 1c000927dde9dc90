"""One stage of a training, from the newest checkpoint that there is to a merged model; done once and for all.

What a stage learns, and how, is its trainer's. Knows nothing of data.
"""

import json
import resource
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from accelerate import PartialState
from peft import LoraConfig
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from finetune.durable import write_text
from finetune.training import checkpoints
from finetune.training.course import Course
from finetune.training.encoding import Row
from finetune.training.errors import TrainingError
from finetune.training.folders import whole
from finetune.training.job import ADAPTER, CHECKPOINTS, MERGED, Budgets, Hyperparameters, Stage
from finetune.training.journal import Journal, Silence, StageJournal
from finetune.training.merging import merge, save_full
from finetune.training.planning import Plan
from finetune.training.watching import TERMINATED, Watcher

DONE = "stage.json"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class Ground:
    """What a stage stands on.

    Attributes:
        run: The folder of the training; `folder` is the stage's own in it.
        digest: Of the job.
        budgets: What is left to this stage.
        base: Checkpoint folder that it begins with.
        held_out: What it is evaluated on: rows in which words alone count.
        has_tensorboard: Whether it writes TensorBoard's files, too.
    """

    name: Literal["sft", "kto"]
    run: Path
    digest: str
    budgets: Budgets
    base: Path
    held_out: Sequence[Row]
    parameters: Hyperparameters
    has_tensorboard: bool = False

    @property
    def folder(self) -> Path:
        """Where its checkpoints are, and what comes out of it."""
        return self.run / self.name

    @property
    def disk_bytes(self) -> int:
        """Budget for its checkpoints."""
        return self.budgets.disk_bytes

    def after(self, trained: Stage) -> "Ground":
        """That of learning from ratings, which goes on from what came out of this one, in the time that is left."""
        left = replace(self.budgets, seconds=max(0.0, self.budgets.seconds - trained.seconds))
        return replace(self, name="kto", base=self.folder / MERGED, budgets=left)


@dataclass(frozen=True)
class Done:
    """What has become of a stage: how it went, or why it was left out (which may be both)."""

    digest: str
    stage: Stage | None
    skipped: str | None = None

    def write(self, folder: Path) -> None:
        """Note that nothing more is to be done."""
        write_text(folder / DONE, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path, digest: str) -> "Self | None":
        """What was noted of a stage of a job; None if it is not over."""
        try:
            row = json.loads((folder / DONE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if row["digest"] != digest:
            return None
        return cls(digest, Stage(**row["stage"]) if row["stage"] else None, row["skipped"])


MakeTrainer = Callable[[Any, Course, Watcher], Any]


def once(ground: Ground, do: Callable[[], Done]) -> Done:
    """What has become of a stage; it is done now if it was not before."""
    done = Done.read(ground.folder, ground.digest)
    processes = PartialState()
    processes.wait_for_everyone()
    if done is None:
        done = do()
        if processes.is_main_process:
            done.write(ground.folder)
            # Only now: a stage that was killed a moment ago would otherwise begin anew.
            checkpoints.prune(ground.folder / CHECKPOINTS, ())
        processes.wait_for_everyone()
    return done


def run(ground: Ground, plan: Plan, tokens: Sequence[int], patience: int | None, make: MakeTrainer) -> Stage:
    """Train, or go on with it; afterwards the best weights are in `merged`.

    Args:
        tokens: Of each step, in all processes together.
        patience: Evaluations without a better one that end it; None if the last step is taken in any case.
        make: The stage's trainer of a model, with a course and a watcher.

    Raises:
        TrainingError: It cannot come to any good.
        StoreError: A checkpoint cannot be written.
        SystemExit: It was asked to end, and has kept a checkpoint to go on from.
    """
    processes = PartialState()
    checkpoint = checkpoints.newest(ground.folder / CHECKPOINTS, ground.digest)
    course = Course() if checkpoint is None else Course.read(checkpoint)
    journal: Journal = StageJournal(ground.run, ground.name) if processes.is_main_process else Silence()
    watcher = Watcher(course, plan, tokens, ground.budgets.seconds, patience, journal)
    processes.wait_for_everyone()
    if course.ended_by is None:
        watcher.trainer = make(load(ground.base), course, watcher)
        with watcher.heeding_sigterm():
            watcher.trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        if watcher.is_asked_to_end and course.ended_by is None:
            raise SystemExit(TERMINATED)
    stage = _stage(ground.name, checkpoint, course, watcher)
    journal.tell("ended", by=stage.ended_by)
    if processes.is_main_process:
        _take_best(ground, course.best_step)
    processes.wait_for_everyone()
    return stage


def _stage(name: Literal["sft", "kto"], checkpoint: Path | None, course: Course, watcher: Watcher) -> Stage:
    assert course.before is not None
    assert course.bits_per_byte is not None
    assert course.ended_by is not None
    if watcher.trainer is not None:
        steps = watcher.trainer.state.global_step
    else:
        assert checkpoint is not None
        steps = checkpoints.step_of(checkpoint)
    return Stage(
        name=name,
        steps=steps,
        best_step=course.best_step,
        bits_per_byte_before=course.before,
        bits_per_byte=course.bits_per_byte,
        ended_by=course.ended_by,
        tokens=course.tokens,
        seconds=course.seconds,
        memory_bytes=memory_bytes(),
    )


def _take_best(ground: Ground, best: int) -> None:
    """Make the weights of the best step a model of its own."""
    folder = ground.folder / CHECKPOINTS
    checkpoints.prune(folder, {best})
    checkpoint = checkpoints.newest(folder, ground.digest)
    if checkpoint is None:
        raise TrainingError(
            f"the checkpoint of the best step, {best}, is missing or damaged; remove {ground.folder} and run again"
        )
    if (checkpoint / _ADAPTER_FILES[0]).exists():
        with whole(ground.folder / ADAPTER) as work:
            for name in _ADAPTER_FILES:
                shutil.copyfile(checkpoint / name, work / name)
        merge(ground.base, ground.folder / ADAPTER, ground.folder / MERGED)
    else:
        save_full(load(checkpoint), ground.base, ground.folder / MERGED)


def load(folder: Path) -> Any:
    """A checkpoint as a model in fp32. Caps of attention, as Gemma 2 has, are known to eager attention alone."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    attention = "eager" if getattr(config, "attn_logit_softcapping", None) else "sdpa"
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention, trust_remote_code=False
    )


def tokenizer(folder: Path) -> Any:
    """What TRL wants to be given; nothing is tokenised with it, and nothing of it is saved."""
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def lora(parameters: Hyperparameters) -> LoraConfig:
    """LoRA beside all linear layers, but the head (Hu et al., 2021, arXiv:2106.09685)."""
    return LoraConfig(
        r=parameters.lora_rank,
        lora_alpha=parameters.lora_alpha,
        lora_dropout=parameters.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def options(ground: Ground, plan: Plan, learning_rate: float) -> Mapping[str, Any]:
    """What all stages ask of the libraries' trainers. Evaluations and checkpoints are the watcher's to order."""
    parameters, has_cuda = ground.parameters, torch.cuda.is_available()
    return {
        "output_dir": str(ground.folder),
        "max_steps": plan.steps,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": round(parameters.warmup * plan.steps),
        "weight_decay": parameters.weight_decay,
        "max_grad_norm": parameters.max_grad_norm,
        "optim": "adamw_torch",
        "seed": parameters.seed,
        "bf16": parameters.precision == "bf16",
        "use_cpu": not has_cuda,
        "dataloader_pin_memory": has_cuda,
        "logging_steps": 1,
        # Would put the mean of earlier losses in the place of one that is not finite.
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "eval_strategy": "no",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "average_tokens_across_devices": False,
        "ddp_find_unused_parameters": False,
        "report_to": ["tensorboard"] if ground.has_tensorboard else [],
        "logging_dir": str(ground.run / "tensorboard" / ground.name),
    }


def memory_bytes() -> int:
    """Most memory that was used so far: of the device on a GPU, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
