"""Makes the dataset of today: a snapshot of what may be trained on, and the stages from there.

A run is known by what goes into it, so that the same command on the same chats finds its run again, whole or
interrupted. Knows nothing of training.
"""

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from bots.chatlog import ChatLog
from engine.bundle import Bundle
from exporters.progress import Progress
from finetune import logged
from finetune.assembling import FROZEN, LABELS, PAIRS, Assembly
from finetune.cleaning.pool import Pool
from finetune.dataset.example import Example
from finetune.dataset.examples import ExampleMaker
from finetune.dataset.frozen import FrozenConversation, FrozenTest
from finetune.dataset.rendering import Renderer
from finetune.dataset.splits import Split
from finetune.gathering import Source
from finetune.importing.store import Import, ImportStore, imported_messages
from finetune.message import LOG, SourceMessage
from finetune.pipeline import Shares, stages
from finetune.rights import PlatformPolicy, refusal
from finetune.runs import FROZEN as FROZEN_TEST
from finetune.runs import REPLAY, SNAPSHOT, Dataset, Runs
from finetune.settings import FinetuneSettings
from finetune.stages import sha256_of

NUM_STAGES = 17  # with reading the log before, and writing the report after
PARTS = (Split.TRAIN, Split.VALIDATION, Split.TEST, LABELS, PAIRS)
# What decides how things come out, beside our own code.
LIBRARIES = ("datasketch", "detect-secrets", "numpy", "phonenumbers", "tokenizers")


async def snapshot(log: ChatLog, runs: Runs, progress: Progress) -> str:
    """Copy what of the chat log may be trained on today; returns what the copy is known by."""
    with progress.stage("read the chat log"), runs.replacing(SNAPSHOT) as written:
        async for message in logged.messages(log):
            written.writer.write(message.to_json())
    assert written.digest is not None
    return written.digest.sha256


def prepare(
    runs: Runs,
    imports: ImportStore,
    settings: FinetuneSettings,
    policy: PlatformPolicy,
    bundle: Bundle,
    snapshot_sha256: str,
    progress: Progress,
) -> Dataset:
    """Make the dataset of a snapshot and all imports; what was done before is not done again.

    Args:
        bundle: A model whose template and tokeniser the dataset is for.

    Raises:
        StoreError: A file is damaged or cannot be written.
    """
    imported = imports.all()
    sources = [_log(runs), *(_source(imports, each, policy) for each in imported)]
    known_by = {"log": snapshot_sha256, "imports": [known_as(each, policy) for each in imported]}
    assembly, shares = _assembly(runs, settings, bundle), _shares(settings)
    with Pool(settings.workers) as pool:
        steps = stages(sources, known_by, shares, assembly, pool)
        inputs = {
            "sources": known_by,
            "bundle": bundle.version,
            "libraries": {name: metadata.version(name) for name in LIBRARIES},
            "stages": {
                step.name: {"version": step.version, "settings": _without_frozen(step.settings)} for step in steps
            },
        }
        run = runs.run(sha256_of(inputs)[:12])
        done = run.carry_out(steps, progress)
    outputs = {name: digest.sha256 for each in done for name, digest in each.outputs.items()}
    sha256 = sha256_of({part: outputs[part] for part in PARTS})
    # The run does not go by the frozen test, as it may choose it; what came out does.
    dataset = Dataset(run.folder.name, sha256, {**inputs, "frozen_test": outputs[FROZEN]}, tuple(done))
    with runs.replacing(FROZEN_TEST) as written:
        for row in runs.rows(dataset, FROZEN, lambda row: row):
            written.writer.write(row)
    runs.publish(dataset)
    return dataset


def is_there_something(runs: Runs, imports: ImportStore) -> bool:
    """Whether there is anything to make a dataset of."""
    return bool(imports.all()) or any(True for _ in runs.beside(SNAPSHOT, lambda row: row))


def known_as(each: Import, policy: PlatformPolicy) -> dict[str, Any]:
    """What a dataset says of an import: what was in it, under which right, and why it was not trained on if so."""
    return {
        "name": each.name,
        "right": str(each.right),
        "sha256": each.messages.sha256,
        "refusal": refusal(each.origin.platform, each.right, policy),
    }


def _log(runs: Runs) -> Source:
    """The chat log comes first: what is known of a message there is more than an export has."""
    return Source(LOG, runs.beside(SNAPSHOT, SourceMessage.from_json))


def _source(imports: ImportStore, each: Import, policy: PlatformPolicy) -> Source:
    return Source(each.name, imported_messages(imports, [each]), refusal(each.origin.platform, each.right, policy))


def _assembly(runs: Runs, settings: FinetuneSettings, bundle: Bundle) -> Assembly:
    renderer = Renderer.open(bundle)
    replay = list(runs.beside(REPLAY, Example.from_json))
    return Assembly(
        maker=ExampleMaker(renderer, settings.persona, settings.max_example_tokens),
        known_by={
            "renderer": renderer.digest,
            "persona": settings.persona,
            "max_example_tokens": settings.max_example_tokens,
        },
        replay=replay,
        replay_sha256=sha256_of([example.to_json() for example in replay]),
        replay_share=settings.replay_share,
        num_canaries=settings.canaries,
        seed=settings.seed,
        frozen=FrozenTest(frozenset(runs.beside(FROZEN_TEST, FrozenConversation.from_json))),
    )


def _shares(settings: FinetuneSettings) -> Shares:
    return Shares(settings.author_share, settings.chat_share, settings.voter_share)


def _without_frozen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A run goes on to be the same once its own test is frozen."""
    return {name: value for name, value in settings.items() if name != "frozen"}
