"""The training of a run: which job it is, and the processes that do it.

Knows nothing of how training works.
"""

from importlib import metadata

from finetune.flywheel.folder import RunFolder
from finetune.installation import Installation
from finetune.runs import Dataset
from finetune.training import hardware, launcher, planning
from finetune.training.job import JOB, LOG, Hyperparameters, Job, Result

# What decides, beside our own code, which weights come out.
LIBRARIES = ("mynah", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers")


def train(at: Installation, folder: RunFolder, dataset: Dataset) -> Result:
    """Train on a dataset, or go on with it; what is done already is not done again.

    Raises:
        TrainingError: The training has failed, or may not begin as it is set.
    """
    job = job_of(at, folder.path.name, dataset)
    if not (folder.path / JOB).exists() or Job.read(folder.path).digest != job.digest:
        folder.start_anew()
        job.write(folder.path)
    if (result := Result.read(folder.path)) is not None:
        return result
    launcher.launch(folder.path, at.train.launcher, nice=0, log=folder.path / LOG)
    result = Result.read(folder.path)
    assert result is not None, "a training that has not failed leaves its result"
    return result


def hyperparameters(at: Installation) -> Hyperparameters:
    """What a training goes by here and today."""
    return planning.hyperparameters(at.train, hardware.look(), at.finetune.replay_share)


def job_of(at: Installation, run: str, dataset: Dataset) -> Job:
    """The job that the settings and the hardware make of a dataset."""
    base = at.base()
    return Job(
        run=run,
        dataset=dataset.run,
        dataset_sha256=dataset.sha256,
        base=base.manifest.source.name,
        base_sha256=base.manifest.source.checkpoint_sha256,
        bundle=base.version,
        hyperparameters=hyperparameters(at),
        code={name: metadata.version(name) for name in LIBRARIES},
    )
