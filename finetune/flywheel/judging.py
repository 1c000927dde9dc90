"""The gates of a run: the new model, the champion and the base model on the same material, and what follows.

Knows nothing of training; the rules stand in `finetune.evaluation.gates`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.bundle import Bundle
from exporters.progress import Progress
from finetune.comparing import result as comparisons
from finetune.dataset.canaries import Canary
from finetune.dataset.example import Example, Label
from finetune.dataset.splits import Split
from finetune.errors import SourceFileError
from finetune.evaluation import gates, losses, measuring
from finetune.evaluation.figures import Figures
from finetune.evaluation.measuring import Conditions, Material
from finetune.evaluation.verbatim import VerbatimIndex
from finetune.evaluation.verdict import Verdict
from finetune.flywheel import baseanswers, standing
from finetune.flywheel.folder import COMPARISONS, RunFolder
from finetune.installation import Installation
from finetune.runs import Dataset, Runs
from finetune.settings import GateSettings

# Runs are named by their time; canaries of all of them are those before this name.
_AFTER_ALL = "~"


def judge(
    at: Installation, folder: RunFolder, dataset: Dataset, challenger: Bundle, checkpoint: Path, *, is_forced: bool
) -> tuple[Verdict, ...]:
    """Measure a new model beside champion and base, keep the figures in the run's folder, and say what the gates say.

    Args:
        checkpoint: What the challenger was exported from.
        is_forced: Whether it need not be better than the champion, as somebody has to be forgotten.

    Raises:
        EngineError: A model cannot be loaded or run.
        FinetuneError: The dataset or the anchor cannot be read.
    """
    figures = _measured(at, folder.path.name, dataset, challenger, checkpoint)
    for name, each in figures.items():
        folder.write_figures(name, each)
    return _judged(at, figures, is_forced=is_forced)


def judge_alone(at: Installation, dataset: Dataset, challenger: Bundle, checkpoint: Path | None) -> tuple[Verdict, ...]:
    """What the gates would say of a model that no run has made; errors as those of `judge`.

    Args:
        checkpoint: What it was exported from; without it, nothing is said of parity.
    """
    training = challenger.manifest.training
    run = training.run if training else _AFTER_ALL
    verdicts = _judged(at, _measured(at, run, dataset, challenger, checkpoint), is_forced=False)
    return tuple(each for each in verdicts if checkpoint or each.gate != gates.PARITY)


def _measured(
    at: Installation, run: str, dataset: Dataset, challenger: Bundle, checkpoint: Path | None
) -> dict[str, Figures]:
    base, champion = at.base(), _champion(at)
    anchor = baseanswers.anchor_of(at, base, Progress(1))
    material = _material(at, run, dataset, anchor)
    conditions = Conditions(
        engine=at.engine,
        sampling=at.finetune.sampling,
        max_tokens=at.finetune.max_tokens,
        num_prompts=at.gates.prompts,
        serving_limit=at.gates.serving,
    )
    progress = Progress(measuring.num_stages(base, champion))
    return asyncio.run(measuring.measure_all(base, champion, challenger, checkpoint, material, conditions, progress))


def _judged(at: Installation, figures: Mapping[str, Figures], *, is_forced: bool) -> tuple[Verdict, ...]:
    challenger, champion = figures["challenger"], figures["champion"]
    human = comparisons.read(at.finetune.trainings / COMPARISONS, challenger.version, champion.version)
    return gates.judge(challenger, champion, figures["base"], at.gates, is_forced=is_forced, human=human)


def _champion(at: Installation) -> Bundle:
    version = at.registry.champion()
    return at.base() if version is None else Bundle.open(at.registry.path(version))


def _material(at: Installation, run: str, dataset: Dataset, anchor: list[Example]) -> Material:
    runs = at.runs
    planted = list(runs.rows(dataset, "canaries", Canary.from_json))
    return Material(
        test=losses.chosen(runs.rows(dataset, "test", Example.from_json), at.gates.conversations),
        anchor=anchor,
        planted=planted,
        forgotten=standing.lineage(at).canaries_before(run, planted),
        labels=list(_held_out_labels(runs, dataset)),
        known=VerbatimIndex.of(runs.rows(dataset, "train", Example.from_json)),
        blocked=blocked_words(at.gates),
    )


def _held_out_labels(runs: Runs, dataset: Dataset) -> Iterator[Label]:
    for row in runs.rows(dataset, "labels", lambda row: row):
        if row["split"] != Split.TRAIN:
            yield Label.from_json(row)


def blocked_words(limits: GateSettings) -> frozenset[str]:
    """The words that answers should not hold.

    Raises:
        SourceFileError: The file that is set cannot be read.
    """
    if limits.blocked_words is None:
        return frozenset()
    try:
        lines = limits.blocked_words.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceFileError(f"{limits.blocked_words} cannot be read ({error}); see GATE_BLOCKED_WORDS") from error
    return frozenset(filter(None, map(str.strip, lines)))
