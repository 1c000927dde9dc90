"""Learning from ratings: answers that people liked become likelier, those that they did not, less likely.

KTO (Ethayarajh et al., 2024, arXiv:2402.01306), which needs no pairs: nobody says the same to a bot twice. It is always
LoRA beside the model that came out of the stage before, which is the reference with LoRA switched off; of a model that
is trained as a whole, the library would take the reference from disk, where the untrained one may be. Knows nothing of
how reactions become ratings.
"""

import hashlib
import math
import shutil
from collections.abc import Sequence
from functools import partial
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from finetune.training import stage
from finetune.training.course import Course
from finetune.training.job import MERGED, Stage
from finetune.training.material import Rating
from finetune.training.planning import Plan
from finetune.training.stage import Done, Ground
from finetune.training.targets import TOKENS_AT_ONCE
from finetune.training.trainer import Supervised
from finetune.training.watching import Watcher

MIN_RATINGS, MIN_OF_EACH = 200, 30
# Of a process: the mean reward of mismatched answers is estimated within a batch, and a larger one needs more memory.
BATCH_SIZE = 4
# Good ratings are to weigh 1 to 1.33 times as much as bad ones, all in all (section 4.2 of the paper).
LEAST_RATIO, MOST_RATIO, RATIO = 1.0, 1.33, 1.15
# How much worse the held-out loss may become: ratings are few, and are not to cost what was learnt before.
MOST_WORSE = 1.02


class RatingTrainer(Supervised, KTOTrainer):  # type: ignore[misc]  # TRL has no types
    """Learns ratings that are token ids already, in the order given."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        """Leave it as it is: TRL would tokenise it in its own way, which is not what serving sees."""
        return dataset


def carry_out(ground: Ground, ratings: Sequence[Rating]) -> Done:
    """Learn from ratings, if that is not done yet; errors as those of `finetune.training.stage.run`.

    There is a merged model afterwards only if that is the one to take.
    """
    return stage.once(ground, lambda: _carry_out(ground, ratings))


def _carry_out(ground: Ground, ratings: Sequence[Rating]) -> Done:
    if reason := reason_to_skip(ground, ratings):
        return Done(ground.digest, None, reason)
    trained = _train(ground, ratings)
    reason = reason_to_leave(trained)
    if reason and PartialState().is_main_process:
        shutil.rmtree(ground.folder / MERGED)
    return Done(ground.digest, trained, reason)


def reason_to_skip(ground: Ground, ratings: Sequence[Rating]) -> str | None:
    """Why ratings are not learnt from; None if they are."""
    if not ground.parameters.kto:
        return "TRAIN_KTO is off"
    good = sum(rating.is_good for rating in ratings)
    rarer = min(good, len(ratings) - good)
    if len(ratings) < MIN_RATINGS:
        return f"{len(ratings)} ratings, {MIN_RATINGS} are needed"
    if rarer < MIN_OF_EACH:
        return f"{rarer} ratings of the rarer kind, {MIN_OF_EACH} are needed"
    if not ground.budgets.seconds:
        return "the wall clock of TRAIN_MINUTES was used up before"
    return None


def reason_to_leave(trained: Stage) -> str | None:
    """Why what was trained is left out all the same; None if it is taken."""
    before, after = trained.bits_per_byte_before, trained.bits_per_byte
    if after <= before * MOST_WORSE:
        return None
    return f"held-out bits per byte rose from {before:.4f} to {after:.4f}, by more than {MOST_WORSE - 1:.0%}"


def weights(good: int, bad: int) -> tuple[float, float]:
    """Weights of good and bad ratings, so that all good ones have 1 to 1.33 times the weight of all bad ones."""
    ratio = good / bad
    if ratio < LEAST_RATIO:
        return RATIO / ratio, 1.0
    if ratio > MOST_RATIO:
        return 1.0, ratio / RATIO
    return 1.0, 1.0


def interleaved(ratings: Sequence[Rating], seed: int) -> list[Rating]:
    """The ratings by hash, good and bad ones spread evenly, as each batch wants some of both."""
    placed = []
    for is_good in (True, False):
        kind = [rating for rating in ratings if rating.is_good is is_good]
        by_hash = sorted(kind, key=lambda rating: _hash(seed, rating.id))
        placed += [((place + 0.5) / len(kind), is_good, rating) for place, rating in enumerate(by_hash)]
    return [rating for *_, rating in sorted(placed, key=lambda each: each[:2])]


def dataset_of(ratings: Sequence[Rating]) -> Dataset:
    """As TRL's collator wants it: beside each answer one to another prompt of its batch, for the estimate of KL."""
    others = []
    for start in range(0, len(ratings), BATCH_SIZE):
        answers = [rating.completion for rating in ratings[start : start + BATCH_SIZE]]
        others += [answers[-1], *answers[:-1]]
    return Dataset.from_dict(
        {
            "prompt_ids": [list(rating.prompt) for rating in ratings],
            "completion_ids": [list(rating.completion) for rating in ratings],
            "KL_completion_ids": [list(other) for other in others],
            "label": [rating.is_good for rating in ratings],
        }
    )


def _train(ground: Ground, ratings: Sequence[Rating]) -> Stage:
    parameters, processes = ground.parameters, PartialState().num_processes
    # Processes wait for each other, so that each needs as many batches as the others.
    number = len(ratings) - len(ratings) % (BATCH_SIZE * processes)
    learnt = interleaved(ratings, parameters.seed)[:number]
    planned = plan(number, parameters.step_examples, parameters.evaluations, processes)
    size = BATCH_SIZE * planned.accumulate * processes
    tokens = [sum(map(_length, learnt[start : start + size])) for start in range(0, number, size)]
    # The held-out loss is not what is learnt, so that the step where it is best means nothing.
    return stage.run(ground, planned, tokens, None, partial(trainer, ground, planned, learnt))


def trainer(
    ground: Ground, planned: Plan, ratings: Sequence[Rating], model: Any, course: Course, watcher: Watcher
) -> RatingTrainer:
    """What learns ratings in the order given, from the course on that the stage has taken so far."""
    parameters = ground.parameters
    good = sum(rating.is_good for rating in ratings)
    for_good, for_bad = weights(good, len(ratings) - good)
    return RatingTrainer(
        model=model,
        keeping=ground,
        course=course,
        train_dataset=dataset_of(ratings),
        callbacks=[watcher],
        args=KTOConfig(
            **stage.options(ground, planned, parameters.kto_learning_rate),
            per_device_train_batch_size=BATCH_SIZE,
            gradient_accumulation_steps=planned.accumulate,
            train_sampling_strategy="sequential",
            beta=parameters.kto_beta,
            desirable_weight=for_good,
            undesirable_weight=for_bad,
            max_length=None,
            gradient_checkpointing=_is_large(ratings),
        ),
        processing_class=stage.tokenizer(ground.base),
        peft_config=stage.lora(parameters),
    )


def plan(num_ratings: int, step_examples: int, evaluations: int, processes: int) -> Plan:
    """How ratings are gone through, once each, in batches of a fixed size."""
    accumulate = max(1, step_examples // (BATCH_SIZE * processes))
    steps = math.ceil(num_ratings / (BATCH_SIZE * accumulate * processes))
    return Plan(num_ratings, steps, math.ceil(steps / evaluations), BATCH_SIZE, accumulate)


def _is_large(ratings: Sequence[Rating]) -> bool:
    """Whether a batch may be more than memory has room for; then activations are computed twice instead of kept."""
    return BATCH_SIZE * max(map(_length, ratings)) > TOKENS_AT_ONCE["cpu"]


def _length(rating: Rating) -> int:
    return len(rating.prompt) + len(rating.completion)


def _hash(seed: int, id: str) -> bytes:
    return hashlib.blake2b(f"{seed}\n{id}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
