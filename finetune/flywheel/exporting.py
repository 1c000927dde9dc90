"""The model of a run: what its training has left, exported as the base model was.

Knows nothing of whether it is any good.
"""

from pathlib import Path

from engine.bundle import Bundle, TrainingInfo
from exporters import pipeline
from exporters.pipeline import Recipe
from exporters.progress import Progress
from finetune.flywheel.folder import RunFolder
from finetune.installation import Installation
from finetune.training.job import MERGED, Job, Result

# Each is continued for 64 tokens by torch as well; for the default model that takes half a minute.
GREEDY_PROMPTS = 20


def checkpoint_of(folder: RunFolder, result: Result) -> Path:
    """What the last stage of a training has left, as transformers loads it."""
    return folder.path / result.stages[-1].name / MERGED


def export(at: Installation, folder: RunFolder, result: Result) -> Bundle:
    """Export what a training has left; what was exported already is not exported again.

    Raises:
        ExportError: It cannot be exported, or is not the same once it is.
    """
    job, base = Job.read(folder.path), at.base().manifest
    recipe = Recipe(base.precision, base.provider, base.model.context, greedy_prompts=GREEDY_PROMPTS)
    return pipeline.export(
        str(checkpoint_of(folder, result)),
        folder.bundle,
        recipe,
        cache=at.exporters.cache_dir,
        progress=Progress(pipeline.NUM_STAGES),
        name=f"{_plain(base.source.name)}-tuned",
        provenance=f"{_plain(base.source.name)} (sha256:{base.source.checkpoint_sha256}), trained in run {job.run}",
        training=TrainingInfo(run=job.run, dataset_sha256=job.dataset_sha256),
    )


def _plain(source: str) -> str:
    """The last part of a source, which may be a folder of this machine."""
    return Path(source).name
