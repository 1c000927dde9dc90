"""What is measured, each workload once: closed-loop streams, the event loop's lag, and the way to ready.

Knows nothing of rounds or reports.
"""

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import ChatMessage, Completion, Engine, GenerationRequest, PromptTooLongError, SamplingParams
from exporters.verify import shipped_dialogues

LAG_INTERVAL_S = 0.002
LONG_TEXT = "All work and no play makes Jack a dull boy. " * 4000  # 180 KB: slow to tokenise, and far too long
MAX_TOKENS = 128
LONGEST_QUESTION = 100  # characters


@dataclass(frozen=True)
class Streams:
    """Closed-loop streams: each asks again as soon as it has its answer.

    Attributes:
        tokens_per_second: Answer tokens of all streams together.
        time_to_first_token_s: Median over answers.
        time_per_output_token_s: Median over answers.
    """

    tokens_per_second: float
    time_to_first_token_s: float
    time_per_output_token_s: float


async def run_streams(engine: Engine, count: int, seconds: float) -> Streams:
    """Keep `count` conversations asking for `seconds`, with sampling as a bot would."""
    questions = itertools.cycle(_questions())
    done: list[Completion] = []
    tokens = 0
    started = time.perf_counter()
    ends = started + seconds

    async def stream(number: int) -> None:
        nonlocal tokens
        for turn in itertools.count():
            if time.perf_counter() >= ends:
                return
            request = GenerationRequest(
                (ChatMessage("user", next(questions)),),
                chat=f"stream-{number}",
                sampling=SamplingParams(temperature=0.2, top_p=0.9, seed=1000 * number + turn),
                max_tokens=MAX_TOKENS,
            )
            completion = await (await engine.submit(request)).result()
            tokens += len(completion.token_ids)
            done.append(completion)

    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(stream(number))
    elapsed = time.perf_counter() - started
    gaps = [(c.duration_s - c.time_to_first_token_s) / (len(c.token_ids) - 1) for c in done if len(c.token_ids) > 1]
    return Streams(tokens / elapsed, _median(c.time_to_first_token_s for c in done), _median(gaps))


async def worst_loop_lag(engine: Engine, streams: int, seconds: float) -> float:
    """Longest time in seconds that the event loop kept a timer waiting while `streams` answers are written.

    Meanwhile texts of 180 KB come in, which have to be tokenised before they can be refused.
    """
    async with _lag_meter() as lags, asyncio.TaskGroup() as tasks:
        tasks.create_task(run_streams(engine, streams, seconds))
        for _ in range(3):
            await asyncio.sleep(seconds / 4)
            tasks.create_task(_send_long_text(engine))
    return max(lags)


async def _send_long_text(engine: Engine) -> None:
    try:
        await engine.submit(GenerationRequest((ChatMessage("user", LONG_TEXT),), chat="long"))
    except PromptTooLongError:
        return
    raise AssertionError("a text of 180 KB fitted into the context; the workload shows nothing")


@asynccontextmanager
async def _lag_meter() -> AsyncIterator[list[float]]:
    lags: list[float] = []

    async def measure() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LAG_INTERVAL_S)
            lags.append(time.perf_counter() - before - LAG_INTERVAL_S)

    async with asyncio.TaskGroup() as tasks:
        meter = tasks.create_task(measure())
        yield lags
        meter.cancel()


def seconds_to_ready(bundle: Path) -> float:
    """Seconds from starting the console's process until it has said that it is ready."""
    command = [sys.executable, "-m", "bots.console", "--bundle", str(bundle)]
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stderr is not None
        said = b""
        while b"ready" not in said:
            piece = os.read(process.stderr.fileno(), 4096)
            if not piece:
                raise RuntimeError(f"the console ended before it was ready: {said.decode(errors='replace')}")
            said += piece
        return time.perf_counter() - started


def _questions() -> list[str]:
    """What people ask in the dialogues that ship with the exporters; short ones, which fit into any model."""
    asked = (message["content"] for d in shipped_dialogues() for message in d if message["role"] == "user")
    return [text for text in asked if len(text) <= LONGEST_QUESTION]


def _median(values: Iterable[float]) -> float:
    listed = list(values)
    return statistics.median(listed) if listed else 0.0
