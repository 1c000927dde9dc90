"""Supervised fine-tuning: the answers in conversations are learnt, with LoRA or in all weights.

Knows nothing of ratings.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from accelerate import PartialState
from trl import SFTConfig

from finetune.training import stage
from finetune.training.course import Course
from finetune.training.encoding import Row
from finetune.training.job import Stage
from finetune.training.material import steps_of
from finetune.training.planning import Plan, plan
from finetune.training.stage import Done, Ground
from finetune.training.trainer import TargetTrainer
from finetune.training.watching import Watcher


def carry_out(ground: Ground, rows: Sequence[Row]) -> Done:
    """Learn rows, if that is not done yet; errors as those of `finetune.training.stage.run`."""
    return stage.once(ground, lambda: Done(ground.digest, _train(ground, rows)))


def _train(ground: Ground, rows: Sequence[Row]) -> Stage:
    parameters = ground.parameters
    num_tokens = sum(len(row.ids) for row in rows)
    planned = plan(len(rows), parameters, PartialState().num_processes, num_tokens=num_tokens)
    steps = steps_of(rows, planned, parameters.step_examples, parameters.seed)
    tokens = [sum(len(row.ids) for row in step) for step in steps]
    return stage.run(ground, planned, tokens, parameters.patience, partial(trainer, ground, planned, steps))


def trainer(
    ground: Ground, planned: Plan, steps: Sequence[Sequence[Row]], model: Any, course: Course, watcher: Watcher
) -> TargetTrainer:
    """What learns steps that were planned, from the course on that the stage has taken so far.

    Activations are kept, not computed twice: portions of a batch bound memory as well, and cost nothing.
    """
    parameters = ground.parameters
    return TargetTrainer(
        model=model,
        keeping=ground,
        course=course,
        steps=steps,
        batch_size=planned.batch_size,
        is_packed=parameters.packing,
        callbacks=[watcher],
        args=SFTConfig(
            **stage.options(ground, planned, parameters.learning_rate),
            per_device_train_batch_size=1,
            max_length=None,
            gradient_checkpointing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        processing_class=stage.tokenizer(ground.base),
        peft_config=stage.lora(parameters) if parameters.method == "lora" else None,
    )
