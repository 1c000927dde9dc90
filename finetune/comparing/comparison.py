"""A comparison from end to end: who is compared, what both answer, and one judge's sitting.

Knows nothing of arguments or settings, nor of what the result is good for.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.generation import TextEngine
from engine.registry import Registry
from engine.sampling import SamplingParams
from exporters.progress import Progress
from finetune.comparing import pairs
from finetune.comparing.judging import Judging
from finetune.comparing.pairs import MAX_TOKENS, Pair
from finetune.comparing.questions import Question, Source
from finetune.comparing.result import HumanResult
from finetune.comparing.server import serve
from finetune.comparing.store import ComparisonStore
from finetune.errors import NoDataError

# How to start an engine on a bundle.
StartEngine = Callable[[Path], AbstractAsyncContextManager[TextEngine]]
NUM_STAGES = 2


@dataclass(frozen=True)
class Opponents:
    """Versions: the one that is judged, and the one that it is compared with."""

    version: str
    against: str


def opponents(registry: Registry, version: str | None = None, against: str | None = None) -> Opponents:
    """Who is compared: by default the challenger, else the champion, with the champion, else the one before it.

    Raises:
        RegistryError: There is no such version.
        NoDataError: There are no two to compare.
    """
    champion = registry.champion()
    version = version or registry.challenger() or champion
    before = (champion, *registry.predecessors(), registry.base())
    there = set(registry.versions())
    against = against or next((each for each in before if each in there and each != version), None)
    if version is None or against is None or version == against:
        raise NoDataError(
            f"{registry.root} has no two models to compare; name them, as `python -m engine list` does, with "
            "VERSION and --against"
        )
    for each in (version, against):
        registry.path(each)
    return Opponents(version, against)


async def answered(
    questions: Sequence[Question],
    version: Path,
    against: Path,
    start: StartEngine,
    progress: Progress,
    *,
    sampling: SamplingParams | None = None,
    max_tokens: int = MAX_TOKENS,
) -> tuple[Pair, ...]:
    """Ask both models, one after the other so that only one is in memory.

    Args:
        version: Bundle of the model that is judged; `against`, of the other one.
        progress: Of which this takes two stages.

    Raises:
        EngineError: One cannot be loaded, or cannot answer.
    """
    said = []
    for name, bundle in (("the model", version), ("the other model", against)):
        with progress.stage(f"ask {name}", total=len(questions), unit="answers") as bar:
            async with start(bundle) as engine:
                on_done = partial(bar.update, 1)
                asked = pairs.answers(engine, questions, sampling=sampling, max_tokens=max_tokens, on_done=on_done)
                said.append(await asked)
    return pairs.pair(questions, *said)


def compare(
    store: ComparisonStore,
    source: Source,
    make_pairs: Callable[[], tuple[Pair, ...]],
    judge: str,
    port: int,
    say: Callable[[str], None],
) -> HumanResult:
    """Let a judge compare, until the process is asked to end; returns what all judges' votes come to by then.

    Args:
        make_pairs: Called if there is nothing to read yet: what is made is kept, so that every judge sees the same.
        judge: A name for whoever votes; the same name goes on where it was.
        say: Told where the page is.

    Raises:
        NoDataError: There is nothing to ask.
        StoreError: Another process compares, or the folder cannot be written to or read.
        AddressError: The port is not to be had.
    """
    with store.alone():
        made = store.pairs(source)
        if made is None:
            made = make_pairs()
            if not made:
                raise NoDataError("there is nothing to ask both models; compare without --from-chats")
            store.keep_pairs(source, made)
        judging = Judging(store, source, made, judge)
        asyncio.run(serve(judging, port, say))
        return judging.result()
