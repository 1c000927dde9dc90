"""The dataset of today, and whether the one that a run has begun with may still be trained on.

Knows nothing of training.
"""

import asyncio
from collections.abc import Iterator
from itertools import chain

from exporters.progress import Progress
from finetune import datareport, preparing
from finetune.comparing import store
from finetune.dataset.example import Example, Label
from finetune.durable import write_text
from finetune.errors import NoDataError, StoreError
from finetune.flywheel.folder import COMPARISONS
from finetune.importing.store import ImportStore
from finetune.installation import Installation
from finetune.message import LOG, SourceMessage
from finetune.report.figures import DataReport
from finetune.report.page import render
from finetune.runs import SNAPSHOT, Dataset, Runs

SPLITS = ("train", "validation", "test")
TAKEN_BACK = "some of the newest dataset may be used no more, as it was taken back; run: python -m finetune prepare"


def make(at: Installation, progress: Progress) -> tuple[Dataset, DataReport]:
    """Make the dataset of what may be trained on today, and its report; takes `preparing.NUM_STAGES` stages.

    Raises:
        NoDataError: Nobody has agreed to anything, and nothing is imported; older datasets are withdrawn.
        StoreError: A file is damaged or cannot be written.
    """
    runs, imports = at.runs, at.imports
    before = _newest_sha256(runs)
    with runs.alone():
        snapshot = read_log(at, runs, progress)
    if not preparing.is_there_something(runs, imports):
        withdraw(at, runs)
        raise NoDataError(
            "there is nothing to train on: nobody has agreed to it in chats yet (see `python -m bots.chatlog policy`), "
            "and nothing is imported (see `python -m finetune import --help`)"
        )
    with runs.alone(), imports.alone():
        dataset = preparing.prepare(runs, imports, at.finetune, at.policy.policy, at.base(), snapshot, progress)
        if dataset.sha256 != before:  # comparisons ask what held-out examples of that one have, of private chats, too
            store.withdraw(at.finetune.trainings / COMPARISONS)
        with progress.stage("write the report"):
            return dataset, write_report(at, runs, imports, dataset)


def _newest_sha256(runs: Runs) -> str | None:
    """What the newest dataset is known by; None if there is none, or it cannot be read."""
    try:
        return runs.newest().sha256
    except (NoDataError, StoreError):
        return None


def read_log(at: Installation, runs: Runs, progress: Progress) -> str:
    """Copy what of the chat log may be trained on today beside the datasets; returns what the copy is known by."""

    async def ask() -> str:
        async with at.log() as log:
            return await preparing.snapshot(log, runs, progress)

    return asyncio.run(ask())


def write_report(at: Installation, runs: Runs, imports: ImportStore, dataset: Dataset) -> DataReport:
    """Write the page of a dataset; returns what it shows."""
    limits = at.gates
    report = datareport.report_on(
        runs,
        imports,
        dataset,
        at.finetune.report_samples,
        min_targets=limits.min_targets,
        min_authors=limits.min_authors,
    )
    write_text(at.finetune.report, render(report))
    return report


def withdraw(at: Installation, runs: Runs) -> None:
    """What was removed is not to lie about in the newest dataset, nor be quoted by its report or be asked of models."""
    with runs.alone():
        runs.withdraw()
        at.finetune.report.unlink(missing_ok=True)
    store.withdraw(at.finetune.trainings / COMPARISONS)


def examples(runs: Runs, dataset: Dataset) -> Iterator[Example]:
    """Everything that a training is given, held-out examples included."""
    for split in SPLITS:
        yield from runs.rows(dataset, split, Example.from_json)


def is_still_allowed(at: Installation, runs: Runs, dataset: Dataset) -> bool:
    """Whether nobody has taken back anything of a dataset since it was made; reads the chat log anew.

    A run that was interrupted goes on with its dataset then, though there is more to learn by now.
    """
    with runs.alone():
        read_log(at, runs, Progress(1))
    return _may_imports_be_used(at, dataset) and _is_all_in_log(runs, dataset)


def _may_imports_be_used(at: Installation, dataset: Dataset) -> bool:
    """Whether all imports that a dataset has something of are as they were, and no more is against them."""
    allowed = [preparing.known_as(each, at.policy.policy) for each in at.imports.all()]
    learnt = (each for each in dataset.inputs["sources"]["imports"] if not each["refusal"])
    return all(each in allowed for each in learnt)


def _is_all_in_log(runs: Runs, dataset: Dataset) -> bool:
    """Whether everything of the chat log, votes included, is in it still, as it was last read."""
    voters = {
        message.id: {rating.voter for rating in message.ratings}
        for message in runs.beside(SNAPSHOT, SourceMessage.from_json)
    }
    compared = chain.from_iterable(runs.rows(dataset, "pairs", lambda row: row["message_ids"]))
    return all(id in voters for id in chain(learnt_from(runs, dataset), compared) if _is_logged(id)) and all(
        set(label.voters) <= set[str]().union(*(voters[id] for id in label.message_ids if id in voters))
        for label in runs.rows(dataset, "labels", Label.from_json)
        if _is_logged(label.id)
    )


def check_allowed(at: Installation, runs: Runs, dataset: Dataset) -> None:
    """See whether a dataset may still be used.

    Raises:
        NoDataError: Somebody has taken back some of it, or an operator has.
    """
    if not is_still_allowed(at, runs, dataset):
        raise NoDataError(TAKEN_BACK)


def learnt_from(runs: Runs, dataset: Dataset) -> Iterator[str]:
    """The messages that a training or its gates are given, each as often as it is in something."""
    for example in examples(runs, dataset):
        yield from example.message_ids
    for label in runs.rows(dataset, "labels", Label.from_json):
        yield from label.message_ids


def _is_logged(message_id: str) -> bool:
    return message_id.startswith(f"{LOG}:")
