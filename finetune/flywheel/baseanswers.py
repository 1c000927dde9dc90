"""What the base model says itself, asked once and kept: replay, which is learnt, and the anchor, which judges.

Neither holds anything that people said. Knows nothing of runs.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.bundle import Bundle
from engine.engine import Engine
from exporters.progress import Progress
from finetune.dataset import replay
from finetune.dataset.example import Example
from finetune.evaluation import anchor
from finetune.installation import Installation
from finetune.runs import REPLAY
from finetune.sealed import Rows, write_rows
from finetune.stages import sha256_of

ANCHORS = "anchors"
# For how many tokens of a training one round of replay has enough: of crowd workers' dialogues, 100,000 took all that a
# round had left, 21,800 tokens, as 40 % of what was learnt. More rounds than the most take longer than most trainings.
TOKENS_OF_A_ROUND = 100_000
MOST_ROUNDS = 4


def rounds_for(tokens: int | None) -> int:
    """How often each question of a replay is asked, for a training with a budget of tokens; None is one without."""
    return MOST_ROUNDS if tokens is None else min(MOST_ROUNDS, math.ceil(tokens / TOKENS_OF_A_ROUND))


def make_replay(at: Installation, rounds: int, progress: Progress) -> tuple[int, int]:
    """Ask for a replay, for all datasets from now on, in place of the one before; takes one stage.

    Returns:
        How many answers are kept, and of how many: some are empty, or do not end.
    """
    prompts = replay.prompts()
    total = len(prompts) * rounds
    with at.runs.alone(), progress.stage("ask the base model", total=total, unit="answers") as bar:
        return asyncio.run(_replay(at, prompts, rounds, bar.update)), total


async def _replay(at: Installation, prompts: Sequence[str], rounds: int, on_done: Callable[[int], None]) -> int:
    async with Engine(at.engine, at.base().path) as engine:
        with at.runs.replacing(REPLAY) as written:
            async for example in replay.generate(
                engine, prompts, persona=at.finetune.persona or None, rounds=rounds, on_done=lambda: on_done(1)
            ):
                written.writer.write(example.to_json())
    assert written.digest is not None
    return written.digest.rows


def has_replay(at: Installation) -> bool:
    """Whether there is a replay to mix in."""
    return any(True for _ in at.runs.beside(REPLAY, lambda row: row))


def anchor_of(at: Installation, base: Bundle, progress: Progress) -> list[Example]:
    """What a base model answers to general questions; asked once and kept. Takes one stage.

    Raises:
        StoreError: The file is damaged or cannot be written.
    """
    path = at.finetune.trainings / ANCHORS / f"{base.version}-{sha256_of(at.finetune.persona)[:8]}.rows"
    with progress.stage("know what the base model answers", total=len(anchor.prompts()), unit="answers") as bar:
        if not path.exists():
            asyncio.run(_ask(at, base, path, bar.update))
        return list(Rows(path, at.cipher, Example.from_json))


async def _ask(at: Installation, base: Bundle, path: Path, on_done: Callable[[int], None]) -> None:
    async with Engine(at.engine, base.path) as engine:
        with write_rows(path, at.cipher) as written:
            async for example in anchor.answers(engine, at.finetune.persona or None, on_done=lambda: on_done(1)):
                written.writer.write(example.to_json())
