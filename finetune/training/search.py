"""Looks for better hyperparameters: a study of trials, each of them a quarter of a training.

Which values are tried is decided by Optuna: TPE (Bergstra et al., 2011, "Algorithms for Hyper-Parameter Optimization")
from the trials before, and Hyperband (Li et al., 2018, arXiv:1603.06560) about which of them are given up half-way. The
first trial has what is set, so that what is found is never worse than that, and is compared with it. Started by an
operator, never by the schedule: choosing among many by the held-out loss makes that look better than it is. Knows
nothing of how a training works.
"""

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import HyperbandPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from finetune.durable import explained, write_text
from finetune.errors import StoreError
from finetune.training import trial as trials
from finetune.training.errors import TrainingError
from finetune.training.job import JOB, Hyperparameters, Job, Result
from finetune.training.planning import LEARNING_RATE

STUDY, BEST = "study.db", "best.env"
# A trial is the first quarter of what the training goes through: both budgets are cut, so that it has the same rows in
# the same order, however large the dataset is.
SHARE = 4
# Of a trial, where a training has twice as many: Hyperband with a factor of 3 tells apart no more.
EVALUATIONS, FACTOR = 4, 3
# Trials by chance before TPE has something to go by; Optuna's 10 would be nearly all that there are.
BY_CHANCE = 4
NAME = "search"

COMPLETE, GIVEN_UP, FAILED = "complete", "given up", "failed"
_ENDED = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: GIVEN_UP, TrialState.FAIL: FAILED}


@dataclass(frozen=True)
class Tried:
    """One trial.

    Attributes:
        ended: `complete`, `given up` or `failed`.
        bits_per_byte: Held out; of a trial that was given up the last that was measured. None of one that failed.
    """

    number: int
    parameters: Hyperparameters
    ended: str
    bits_per_byte: float | None


@dataclass(frozen=True)
class Found:
    """What all trials have come to; the first of them had what is set."""

    trials: tuple[Tried, ...]

    @property
    def best(self) -> Tried:
        """The one with the least held-out bits per byte."""
        return min((each for each in self.trials if each.ended == COMPLETE), key=_bits_per_byte)

    @property
    def env(self) -> str:
        """The best trial's hyperparameters as lines for `.env`."""
        head = (
            f"# {self.best.bits_per_byte:.4f} bits per byte held out, against {self.trials[0].bits_per_byte:.4f} with "
            f"what was set: the best of {len(self.trials)} trials, each a quarter of a training"
        )
        return "\n".join([head, *_env(self.best.parameters), ""])

    @property
    def table(self) -> str:
        """All trials, the best one first, one a line."""
        by_worth = sorted(self.trials, key=lambda each: (each.ended != COMPLETE, _bits_per_byte(each)))
        return "\n".join(map(in_words, by_worth))


def in_words(tried: Tried) -> str:
    """A trial in a line."""
    measured = "" if tried.bits_per_byte is None else f" {tried.bits_per_byte:.4f}"
    return f"{tried.number:3d} {tried.ended:>8}{measured}  {' '.join(_env(tried.parameters))}"


def search(
    folder: Path, job: Job, launcher: str, number: int, *, nice: int, on_trial: Callable[[Tried], object]
) -> Found:
    """Carry out a study, or go on with it, until it has a number of trials; puts the best values into `best.env`.

    Args:
        folder: The study's own, with a folder of each trial in it; their weights are removed as soon as they end.
        job: The training that is to become better.
        launcher: As `finetune.settings.TrainSettings` describes it.
        number: Of trials that have ended in any way, those of before included; at least 1.
        nice: How far trainings stand back behind other processes, 0 to 19.
        on_trial: Told of each trial that has ended.

    Raises:
        TrainingError: The first trial, which has what is set, has failed.
        StoreError: The folder is another search's, or cannot be written.
    """
    assert number >= 1
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _study(folder, job) as study:
        while (trial := _next(study, job.hyperparameters.seed, number)) is not None:
            try_out(study, trial, folder, job, launcher, nice=nice)
            on_trial(_tried(study, trial.number, folder))
        found = Found(tuple(_tried(study, each.number, folder) for each in study.trials if each.state.is_finished()))
    write_text(folder / BEST, found.env)
    return found


@contextmanager
def _study(folder: Path, job: Job) -> Iterator[optuna.Study]:
    """The study of a job in a folder; a new one begins with what is set."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / JOB).exists() and Job.read(folder).digest != job.digest:
        raise StoreError(f"{folder} holds a search with other settings, data or code; remove it, or use another folder")
    job.write(folder)
    storage = RDBStorage(f"sqlite:///{(folder / STUDY).absolute()}")
    try:
        pruner = HyperbandPruner(min_resource=1, max_resource=EVALUATIONS, reduction_factor=FACTOR)
        study = optuna.create_study(storage=storage, study_name=NAME, pruner=pruner, load_if_exists=True)
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(_as_set(job.hyperparameters))
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _next(study: optuna.Study, seed: int, number: int) -> optuna.Trial | None:
    """The trial that a killed search was at, or the next one; None if there are enough."""
    known = study.get_trials(deepcopy=False)
    for each in known:
        if each.state == TrialState.RUNNING:
            return optuna.Trial(study, each._trial_id)  # the way to a trial that another process has asked for
    if sum(each.state.is_finished() for each in known) >= number:
        return None
    # One of its own for each trial: a search that is taken up again would otherwise draw its first values once more.
    study.sampler = TPESampler(seed=seed + len(known), n_startup_trials=BY_CHANCE)
    return study.ask()


def try_out(study: optuna.Study, trial: optuna.Trial, folder: Path, job: Job, launcher: str, *, nice: int) -> None:
    """Train with a trial's values, and tell the study what came out.

    Raises:
        TrainingError: It has failed with what is set. With other values that is a result like any other.
    """
    own = folder / f"trial-{trial.number:03d}"
    with explained(own):
        own.mkdir(exist_ok=True, mode=0o700)
    replace(job, run=f"{job.run}-{own.name}", hyperparameters=_chosen(trial, job.hyperparameters)).write(own)
    try:
        is_whole = trials.train(own, launcher, nice=nice, look=partial(_is_hopeless, study, trial))
    except TrainingError:
        if trial.number == 0:
            raise
        study.tell(trial, state=TrialState.FAIL)
    else:
        if is_whole:
            study.tell(trial, _outcome(own))
        else:
            study.tell(trial, state=TrialState.PRUNED)
    shutil.rmtree(own / "sft", ignore_errors=True)


def _is_hopeless(study: optuna.Study, trial: optuna.Trial, evaluations: list[float]) -> bool:
    """Report evaluations of a trial; whether it is to be given up."""
    reported = study.trials[trial.number].intermediate_values
    for number, bits_per_byte in enumerate(evaluations, 1):
        if number not in reported:
            trial.report(bits_per_byte, number)
    return bool(trial.should_prune())


def _outcome(folder: Path) -> float:
    result = Result.read(folder)
    assert result is not None, "a training that has not failed leaves its result"
    return result.stages[0].bits_per_byte


def _chosen(trial: optuna.Trial, given: Hyperparameters) -> Hyperparameters:
    """The hyperparameters of a trial: what it tries, for a quarter of the budget, and without ratings."""
    rate, steps = LEARNING_RATE[given.method], given.step_examples
    low, high = min(rate / 10, given.learning_rate), max(rate * 10, given.learning_rate)
    step_examples = trial.suggest_categorical("step_examples", _choices(given.step_examples, steps // 2, steps * 2))
    return replace(
        given,
        learning_rate=_short(trial.suggest_float("learning_rate", low, high, log=True)),
        warmup=_short(trial.suggest_float("warmup", 0.0, max(0.2, given.warmup))),
        weight_decay=_short(trial.suggest_float("weight_decay", 0.0, max(0.1, given.weight_decay))),
        step_examples=step_examples,
        batch_size=math.gcd(given.batch_size, step_examples),
        epochs=given.epochs / SHARE,
        tokens=None if given.tokens is None else max(1, given.tokens // SHARE),
        evaluations=EVALUATIONS,
        kto=False,
        **(_chosen_of_lora(trial, given) if given.method == "lora" else {}),
    )


def _chosen_of_lora(trial: optuna.Trial, given: Hyperparameters) -> dict[str, Any]:
    """What LoRA alone has. Its weight, divided by the rank, stays: it would be a second learning rate."""
    rank = trial.suggest_categorical("lora_rank", _choices(given.lora_rank, 8, 16, 32))
    return {
        "lora_rank": rank,
        "lora_alpha": max(1, round(given.lora_alpha * rank / given.lora_rank)),
        "lora_dropout": _short(trial.suggest_float("lora_dropout", 0.0, max(0.2, given.lora_dropout))),
    }


def _choices(*numbers: int) -> list[int]:
    return sorted({number for number in numbers if number})


def _as_set(given: Hyperparameters) -> dict[str, float]:
    """The values of the first trial, by the names that `_chosen` asks for."""
    names = ["learning_rate", "warmup", "weight_decay", "step_examples"]
    names += ["lora_rank", "lora_dropout"] if given.method == "lora" else []
    return {name: getattr(given, name) for name in names}


def _short(value: float) -> float:
    """As many digits as somebody would type: what is written to `best.env` is what was tried."""
    return float(f"{value:.3g}")


def _env(parameters: Hyperparameters) -> list[str]:
    names = [*_as_set(parameters), *(["lora_alpha"] if parameters.method == "lora" else [])]
    return [f"TRAIN_{name.upper()}={getattr(parameters, name)}" for name in names]


def _tried(study: optuna.Study, number: int, folder: Path) -> Tried:
    trial = study.trials[number]
    return Tried(number, Job.read(folder / f"trial-{number:03d}").hyperparameters, _ENDED[trial.state], trial.value)


def _bits_per_byte(tried: Tried) -> float:
    return math.inf if tried.bits_per_byte is None else tried.bits_per_byte
