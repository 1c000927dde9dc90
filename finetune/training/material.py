"""What a training is made of: the base checkpoint, rows to learn, rows to be watched by, and ratings.

Which examples are learnt, in which order, and which are held out is decided here and in `finetune.training.encoding`
for all stages. Knows nothing of how they are learnt.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

from engine.bundle import Bundle
from exporters import sources
from exporters.progress import Progress
from finetune.dataset.example import Example, ExampleMessage, Label
from finetune.dataset.rendering import Renderer
from finetune.dataset.splits import Split
from finetune.errors import StoreError
from finetune.evaluation.losses import chosen
from finetune.installation import Installation
from finetune.runs import Dataset, Runs
from finetune.training import bits, encoding
from finetune.training.encoding import Row
from finetune.training.errors import TrainingError
from finetune.training.job import Hyperparameters, Job
from finetune.training.planning import Plan


@dataclass(frozen=True)
class Rating:
    """An answer that people liked, or did not, as a model sees it.

    Attributes:
        prompt: [S] token ids of the prompt that serving makes.
        completion: Ids of the answer, with the token that ends it.
    """

    id: str
    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    is_good: bool


@dataclass(frozen=True)
class Material:
    """All that a training is given.

    Attributes:
        base: Folder of the base checkpoint.
        rows: To learn, within the budget of tokens.
        held_out: To be watched by: words alone count in them.
    """

    base: Path
    rows: Sequence[Row]
    held_out: Sequence[Row]
    ratings: Sequence[Rating]


def gather(at: Installation, job: Job, work: Path) -> Material:
    """What a job names, if it is all still there.

    Args:
        work: Folder for what of the checkpoint has to be converted.

    Raises:
        StoreError: The dataset or the base checkpoint is another one by now.
        NoDataError: There is no dataset any more.
        ExportError: The base checkpoint cannot be had.
        RegistryError: The bundle whose tokeniser renders examples is gone.
    """
    base = checkpoint(job, work, at.exporters.cache_dir, at.exporters.hub_url)
    renderer = Renderer.open(Bundle.open(at.registry.path(job.bundle)))
    runs = at.runs
    dataset = runs.newest()
    if (dataset.run, dataset.sha256) != (job.dataset, job.dataset_sha256):
        raise StoreError(
            f"the newest dataset is {dataset.run} ({dataset.sha256[:12]}), and this training is of {job.dataset} "
            f"({job.dataset_sha256[:12]}); start another run"
        )
    return read(runs, dataset, renderer, base, job.hyperparameters)


def checkpoint(job: Job, work: Path, cache: Path, hub_url: str | None) -> Path:
    """The folder of the base checkpoint.

    Raises:
        StoreError: What is there by that name is another one.
        ExportError: There is none.
    """
    # What it would say stands in the way of the bar, and is of no use where all is in the cache.
    found = sources.resolve(job.base, work, cache, Progress(sources.NUM_STAGES, io.StringIO()), hub_url=hub_url)
    if found.digest != job.base_sha256:
        raise StoreError(
            f"{job.base} is another checkpoint ({found.digest[:12]}) than the base model's in the registry "
            f"({job.base_sha256[:12]}); bring that one back, or begin anew with this one in another ENGINE_REGISTRY"
        )
    return found.path


def read(runs: Runs, dataset: Dataset, renderer: Renderer, base: Path, parameters: Hyperparameters) -> Material:
    """The material that a dataset makes.

    Raises:
        TrainingError: There is nothing to learn, or nothing held out.
    """
    learnt = encoding.encoded(runs.rows(dataset, Split.TRAIN, Example.from_json), renderer)
    held_out = chosen(runs.rows(dataset, Split.VALIDATION, Example.from_json), bits.CONVERSATIONS)
    watched = bits.words(encoding.encoded(held_out, renderer), renderer)
    if not (learnt and watched):
        raise TrainingError(
            f"the dataset has {len(learnt)} examples to learn and {len(watched)} held out, and both are needed; "
            "import more chats, or wait for more"
        )
    kept = encoding.choose(learnt, parameters.tokens, parameters.epochs, parameters.seed, parameters.replay_share)
    labels = runs.rows(dataset, "labels", lambda row: row)
    ratings = [rating(Label.from_json(row), renderer) for row in labels if row["split"] == Split.TRAIN]
    return Material(base, kept, watched, ratings)


def steps_of(rows: Sequence[Row], plan: Plan, step_examples: int, seed: int) -> list[list[Row]]:
    """The rows that each step learns: epoch after epoch, each in an order of its own."""
    epochs = chain.from_iterable(encoding.order(rows, epoch, seed) for epoch in count())
    seen = islice(epochs, plan.examples)
    return [list(islice(seen, step_examples)) for _ in range(plan.steps)]


def rating(label: Label, renderer: Renderer) -> Rating:
    """A rated answer as token ids, byte for byte those of serving."""
    encoded = renderer.encode((*label.prompt, ExampleMessage("assistant", label.completion, weight=1.0)))
    start = next(place for place, weight in enumerate(encoded.weights) if weight)
    return Rating(label.id, encoded.ids[:start], encoded.ids[start:], label.is_good)
