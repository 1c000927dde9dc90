"""Training by hand: a model of the newest dataset that nothing judges and nobody is served, or many small ones.

Knows nothing of gates or promotions.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from finetune.errors import NoDataError
from finetune.flywheel import dataset as datasets
from finetune.flywheel import exporting, jobs, running, standing
from finetune.flywheel.folder import BY_HAND, SEARCH, RunFolder
from finetune.installation import Installation
from finetune.locking import alone
from finetune.runs import Dataset
from finetune.training import search
from finetune.training.job import JOB, Job
from finetune.training.search import Tried


def train(at: Installation) -> Iterator[str]:
    """Train on the newest dataset, or go on with that, and export what comes out; says what in lines.

    Raises:
        NoDataError: There is no dataset, or somebody has taken back some of it: prepare it again.
        FinetuneError: The training has failed.
        ExportError: The model cannot be exported.
    """
    with alone(at.finetune.trainings, "FINETUNE_TRAININGS"):
        dataset, folder = _begin(at, BY_HAND)
        result = jobs.train(at, folder, dataset)
        bundle = exporting.export(at, folder, result)
        if standing.drop_if_tainted(at, folder.path.name):
            raise NoDataError(f"the model is removed again: {datasets.TAKEN_BACK}")
    for stage in result.stages:
        yield f"{stage.name}: {stage.bits_per_byte_before:.4f} to {stage.bits_per_byte:.4f} bits per byte held out"
    checkpoint = exporting.checkpoint_of(folder, result)
    yield f"{bundle.version} is in {folder.bundle}; judge it with:"
    yield f"python -m finetune evaluate {folder.bundle} --checkpoint {checkpoint}"


def look(at: Installation, number: int) -> Iterator[str]:
    """Try sets of hyperparameters on a part of the newest dataset, or go on with that; says in lines what is best.

    Raises:
        NoDataError: There is no dataset, or somebody has taken back some of it: prepare it again.
        FinetuneError: The first training, which is that of the settings, has failed.
    """
    with alone(at.finetune.trainings, "FINETUNE_TRAININGS"):
        dataset, folder = _begin(at, SEARCH)
        job = jobs.job_of(at, folder.path.name, dataset)
        job.write(folder.path)
        found = search.search(folder.path, job, at.train.launcher, number, nice=0, on_trial=_say)
    yield from found.table.splitlines()
    yield f"in {folder.path / search.BEST}, to be put into .env:"
    yield from found.env.splitlines()


def _say(tried: Tried) -> None:
    """Each trial as it ends: a search takes hours."""
    print(search.in_words(tried), file=sys.stderr)  # noqa: T201 - for whoever waits


def _begin(at: Installation, suffix: str) -> tuple[Dataset, RunFolder]:
    """The newest dataset, if it may still be trained on, and where to; whose words it has is noted."""
    dataset = at.runs.newest()
    datasets.check_allowed(at, at.runs, dataset)
    folder = _folder(at, dataset, suffix)
    if running.note_whom_it_sees(at, folder, dataset):  # meanwhile
        standing.lineage(at).drop(folder.path.name)
        raise NoDataError(datasets.TAKEN_BACK)
    return dataset, folder


def _folder(at: Installation, dataset: Dataset, suffix: str) -> RunFolder:
    """A folder in which the same job was begun and is not over, or a new one."""
    digest = jobs.job_of(at, suffix, dataset).digest  # whatever its run is called
    for path in sorted(at.finetune.trainings.glob(f"*{suffix}"), reverse=True):
        folder = RunFolder(path)
        is_same = (path / JOB).exists() and Job.read(path).digest == digest
        if is_same and not folder.bundle.exists():
            return folder
    path = at.finetune.trainings / f"{datetime.now(UTC):%Y%m%d-%H%M%S}{suffix}"
    path.mkdir(parents=True, mode=0o700)
    return RunFolder(path)
