"""The commands about models: `train`, `evaluate`, `compare`, `versions`, `promote`, `rollback`.

They load what training needs only where they train or evaluate.
"""

import argparse
import asyncio
import getpass
import importlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from engine.bundle import Bundle
from engine.engine import Engine
from exporters.progress import Progress
from finetune.comparing import comparison, questions
from finetune.comparing.questions import Question, Source
from finetune.comparing.store import ComparisonStore
from finetune.dataset.example import Example
from finetune.errors import NoDataError
from finetune.evaluation import anchor
from finetune.evaluation.verdict import Verdict, refusals
from finetune.flywheel import dataset as datasets
from finetune.flywheel import standing
from finetune.flywheel.folder import COMPARISONS
from finetune.flywheel.promotion import VersionInfo
from finetune.installation import Installation


def versions(at: Installation, _: argparse.Namespace) -> int:
    """Show all models, and what they may not be used for."""
    found = standing.promotions(at, datetime.now(UTC)).versions()
    for version in found:
        print(_line(version))
    if not found:
        print(f"{at.registry.root} has no model yet; make one with: make model")
    return 0


def _line(version: VersionInfo) -> str:
    marks = {"champion": version.is_champion, "challenger": version.is_challenger, "base": version.is_base}
    told = [name for name, holds in marks.items() if holds]
    if version.run is not None:
        told.append(f"run {version.run}")
    if version.taint is not None:
        told.append(f"to be replaced, since {version.taint.since:%Y-%m-%d}: {version.taint.why}")
    if version.damage is not None:
        told.append(version.damage)
    if version.retired is not None:
        told.append(f"deleted {version.retired.at:%Y-%m-%d}: {version.retired.reason}")
    return f"{version.version}  {', '.join(told)}"


def promote(at: Installation, options: argparse.Namespace) -> int:
    """Make a version the champion."""
    version = options.version or at.registry.challenger()
    if version is None:
        raise NoDataError("no challenger waits to be promoted; name a version, as `python -m finetune versions` does")
    warnings = standing.promotions(at, datetime.now(UTC)).promote(version, options.reason)
    print("\n".join((f"{version} is the champion; running bots change over to it", *warnings)))
    return 0


def rollback(at: Installation, options: argparse.Namespace) -> int:
    """Go back to the champion before this one."""
    version, warnings = standing.promotions(at, datetime.now(UTC)).rollback(options.reason)
    print("\n".join((f"{version} is the champion again; running bots change over to it", *warnings)))
    return 0


def compare(at: Installation, options: argparse.Namespace) -> int:
    """Let somebody compare two models without knowing which is which."""
    who = comparison.opponents(at.registry, options.version, options.against)
    source = Source.CHATS if options.from_chats else Source.GENERAL
    if source is Source.CHATS:  # also where the answers are there: they are to questions of the same dataset
        datasets.check_allowed(at, at.runs, at.runs.newest())
    store = ComparisonStore(at.finetune.trainings / COMPARISONS, who.version, who.against, at.cipher)
    make_pairs = lambda: asyncio.run(  # noqa: E731 - says what it is where it is used
        comparison.answered(
            _questions(at, source),
            at.registry.path(who.version),
            at.registry.path(who.against),
            partial(Engine, at.engine),
            Progress(comparison.NUM_STAGES),
            sampling=at.finetune.sampling,
        )
    )
    print(
        comparison.compare(
            store, source, make_pairs, options.judge or getpass.getuser(), options.port, print
        ).in_words()
    )
    return 0


def _questions(at: Installation, source: Source) -> tuple[Question, ...]:
    if source is Source.GENERAL:
        return questions.general(anchor.prompts(), at.finetune.persona or None)
    runs = at.runs
    return questions.held_out(runs.rows(runs.newest(), "test", Example.from_json))


def train(at: Installation, options: argparse.Namespace) -> int:
    """Train on the newest dataset, and export what comes out; or look for better hyperparameters."""
    trying = importlib.import_module("finetune.flywheel.trying")
    for line in trying.look(at, options.search) if options.search else trying.train(at):
        print(line)
    return 0


def evaluate(at: Installation, options: argparse.Namespace) -> int:
    """Judge a model by the champion; 2 if a gate would refuse it."""
    judging = importlib.import_module("finetune.flywheel.judging")
    path = Path(options.model)
    bundle = Bundle.open(path if path.is_dir() else at.registry.path(options.model))
    verdicts: tuple[Verdict, ...] = judging.judge_alone(at, at.runs.newest(), bundle, options.checkpoint)
    for verdict in verdicts:
        print(f"{'ok  ' if verdict.holds else 'FAIL'} {verdict.gate}: {verdict.name} {verdict.value} ({verdict.limit})")
    return 2 if refusals(verdicts) else 0
