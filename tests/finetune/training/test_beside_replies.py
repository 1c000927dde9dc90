"""Replies go on while a model is trained on the same machine, as the operator of one machine has it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine import ChatMessage, Completion, GenerationRequest, SamplingParams
from finetune.training.job import EVENTS, Result
from finetune.training.launcher import launch
from tests.finetune.training.trainings import job, told
from tests.finetune.workplace import Workplace, dialogues

# Longer than a step of a tiny training, so that none fits in between two of them.
MAX_TOKENS = 48


async def reply(engine: Any, question: str) -> Completion:
    request = GenerationRequest(
        (ChatMessage("user", question),),
        chat="c",
        sampling=SamplingParams(temperature=0.0),
        max_tokens=MAX_TOKENS,
    )
    completion: Completion = await (await engine.submit(request)).result()
    return completion


def steps(run: Path) -> int:
    """How many steps a training has taken so far."""
    return len(told(run, "step")) if (run / EVENTS).exists() else 0


async def test_replies_go_on_unchanged_while_a_training_runs_beside_them(
    workplace: Workplace, checkpoints: Callable[..., Path], start_engine: Callable[..., Awaitable[Any]]
) -> None:
    def prepare() -> Path:  # has an event loop of its own
        workplace.imported("chats.jsonl", dialogues(0, 24))
        workplace.prepare()
        run = workplace.folder / "run"
        job(workplace, checkpoints(), run, epochs=12.0, evaluations=1)
        return run

    run = await asyncio.to_thread(prepare)
    engine = await start_engine()
    alone = await reply(engine, "What are you doing?")
    training = asyncio.create_task(asyncio.to_thread(launch, run, "inline", nice=10, log=run / "log.txt"))
    beside: list[tuple[int, int]] = []
    while not training.done():
        before = steps(run)
        completion = await reply(engine, "What are you doing?")
        assert (completion.token_ids, completion.finish_reason) == (alone.token_ids, alone.finish_reason)
        beside.append((before, steps(run)))
    await training
    result = Result.read(run)
    assert result is not None
    # In the midst of the training, not only before its first step or after its last one.
    assert any(before > 0 and after < result.stages[0].steps for before, after in beside)
