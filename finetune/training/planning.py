"""From what an operator has set and what the hardware is: all that a training goes by, and how many steps it takes.

Plain arithmetic. Knows nothing of torch, nor of what the examples hold.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from finetune.settings import TrainSettings
from finetune.training.errors import TrainingError
from finetune.training.hardware import Hardware
from finetune.training.job import Budgets, Hyperparameters

# Peaks of the cosine, by method: full fine-tuning moves all weights at once, and wants steps a tenth as long.
LEARNING_RATE = {"lora": 2e-4, "full": 2e-5}
KTO_LEARNING_RATE = 5e-5  # it is LoRA in any case
# By hardware. On two cores 500,000 tokens are half an hour.
# Few tokens are few steps: of crowd workers' dialogues, 40,000 in steps of 8 made the default model 4.8 % better.
STEP_EXAMPLES = {"cpu": 8, "cuda": 32}
BATCH_SIZE = {"cpu": 4, "cuda": 32}
TOKENS = {"cpu": 500_000, "cuda": None}
MINUTES = {"cpu": 120.0, "cuda": 30.0}


def hyperparameters(settings: TrainSettings, hardware: Hardware, replay_share: float) -> Hyperparameters:
    """All that decides what is learnt: what is set, and for the rest what suits the hardware."""
    step_examples = settings.step_examples or STEP_EXAMPLES[hardware.kind]
    return Hyperparameters(
        method=settings.method,
        lora_rank=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        learning_rate=settings.learning_rate or LEARNING_RATE[settings.method],
        warmup=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        step_examples=step_examples,
        batch_size=settings.batch_size or _largest_divisor(step_examples, BATCH_SIZE[hardware.kind]),
        epochs=settings.epochs,
        tokens=settings.tokens or TOKENS[hardware.kind],
        replay_share=replay_share,
        precision=_precision(settings, hardware),
        packing=hardware.kind == "cuda" if settings.packing is None else settings.packing,
        evaluations=settings.evaluations,
        patience=settings.patience,
        kto=settings.kto,
        kto_learning_rate=settings.kto_learning_rate or KTO_LEARNING_RATE,
        kto_beta=settings.kto_beta,
        seed=settings.seed,
    )


def budgets(settings: TrainSettings, hardware: Hardware) -> Budgets:
    """What a training may use up."""
    minutes = settings.minutes or MINUTES[hardware.kind]
    return Budgets(seconds=minutes * 60, disk_bytes=int(settings.disk_gb * 1e9))


@dataclass(frozen=True)
class Plan:
    """How a number of examples is gone through.

    Attributes:
        examples: How many are seen, counting one again in each epoch.
        steps: Of the optimiser, at least 1; the last one has what is left.
        evaluate_every: Steps between two evaluations.
        batch_size: Examples that a process has in memory at once.
        accumulate: Batches of a process that make a step.
    """

    examples: int
    steps: int
    evaluate_every: int
    batch_size: int
    accumulate: int

    def has_evaluation(self, step: int) -> bool:
        """Whether the held-out loss is measured after a step, counting from 1; after the last it always is."""
        return step == self.steps or step % self.evaluate_every == 0


def plan(num_examples: int, parameters: Hyperparameters, processes: int = 1, *, num_tokens: int = 0) -> Plan:
    """The plan for so many examples, after the budget has chosen them.

    Args:
        num_tokens: Of all of them, context included. They are seen again as far as the budget has room for that.

    Raises:
        TrainingError: A step cannot be divided among the processes, or into batches.
    """
    # By way of the text, as 1.1 times 10 examples are 11, and not a hair more, which would be one step too many.
    examples = max(1, math.ceil(_epochs(num_tokens, parameters) * num_examples))
    steps = math.ceil(examples / parameters.step_examples)
    batch_size, accumulate = _division(parameters.step_examples, parameters.batch_size, processes)
    return Plan(examples, steps, math.ceil(steps / parameters.evaluations), batch_size, accumulate)


def _epochs(num_tokens: int, parameters: Hyperparameters) -> Fraction:
    epochs = Fraction(str(parameters.epochs))
    if not (parameters.tokens and num_tokens):
        return epochs
    return min(epochs, max(Fraction(1), Fraction(parameters.tokens, num_tokens)))


def _division(step_examples: int, batch_size: int, processes: int) -> tuple[int, int]:
    """How large a process's batches are, and how many of them it has in a step.

    Several processes have smaller batches where a step has not enough for them all.
    """
    share, left = divmod(step_examples, processes)
    if left or not share:
        raise TrainingError(
            f"TRAIN_STEP_EXAMPLES={step_examples} cannot be divided among {processes} processes; "
            f"set it to a multiple of {processes}"
        )
    batch_size = min(batch_size, share)
    if share % batch_size:
        raise TrainingError(
            f"the {share} examples that a process has in a step cannot be divided into batches of {batch_size}; "
            f"set TRAIN_BATCH_SIZE={_largest_divisor(share, batch_size)}, or TRAIN_STEP_EXAMPLES to a multiple of "
            f"{batch_size * processes}"
        )
    return batch_size, share // batch_size


def _largest_divisor(number: int, limit: int) -> int:
    return next(each for each in range(min(number, limit), 0, -1) if number % each == 0)


def _precision(settings: TrainSettings, hardware: Hardware) -> Literal["fp32", "bf16"]:
    if settings.precision != "auto":
        return settings.precision
    return "bf16" if hardware.has_bf16 else "fp32"
