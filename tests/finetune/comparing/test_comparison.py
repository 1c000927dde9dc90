"""A comparison from the registry to the result, with tiny real models."""

import io
import os
import signal
import urllib.request
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from engine import Engine, EngineSettings, Registry, RegistryError, SamplingParams
from exporters.progress import Progress
from finetune.comparing.comparison import NUM_STAGES, Opponents, answered, compare, opponents
from finetune.comparing.pairs import Pair, pair
from finetune.comparing.questions import Source
from finetune.comparing.store import ComparisonStore
from finetune.errors import NoDataError, StoreError
from tests.finetune.comparing.sittings import pairs, questions, store

HOT = SamplingParams(temperature=2.0, top_p=1.0)


def start(bundle: Path) -> AbstractAsyncContextManager[Engine]:
    return Engine(EngineSettings(threads=1, context_tokens=256, max_batch=4, slots=6, prefill_chunk=16), bundle)


async def ask(version: Path, against: Path, number: int = 20) -> tuple[Pair, ...]:
    progress = Progress(NUM_STAGES, io.StringIO())
    return await answered(questions(number), version, against, start, progress, sampling=HOT, max_tokens=6)


async def test_both_models_answer_every_question_and_one_model_is_equal_to_itself(
    bundles: Callable[..., Path],
) -> None:
    made = await ask(bundles(), bundles(seed=1))
    assert [each.question for each in made] == list(questions(20))
    assert not any(each.is_equal for each in made)
    turned = await ask(bundles(seed=1), bundles())
    assert turned == pair(questions(20), [each.against for each in made], [each.version for each in made])
    assert all(each.is_equal for each in await ask(bundles(), bundles()))


def test_the_challenger_is_compared_with_the_champion_and_the_champion_with_the_one_before(
    bundles: Callable[..., Path], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "models")
    with pytest.raises(NoDataError, match="no two models"):
        opponents(registry)
    base = registry.add(bundles())
    registry.promote(base, "the base")
    with pytest.raises(NoDataError, match="no two models"):
        opponents(registry)
    other = registry.add(bundles(seed=1))
    registry.challenge(other, "trained")
    assert opponents(registry) == Opponents(other, base)
    registry.promote(other, "better")
    assert opponents(registry) == Opponents(other, base)
    assert opponents(registry, base) == Opponents(base, other)
    assert opponents(registry, other, base) == Opponents(other, base)
    with pytest.raises(RegistryError, match="no version 'none'"):
        opponents(registry, "none")
    with pytest.raises(NoDataError, match="no two models"):
        opponents(registry, base, base)


def test_a_comparison_is_made_once_served_until_it_is_interrupted_and_then_gives_the_result(tmp_path: Path) -> None:
    kept, made, seen = store(tmp_path), list[int](), list[str]()

    def make() -> tuple[Pair, ...]:
        made.append(1)
        return pairs(3)

    def visit(address: str) -> None:
        seen.append(address)

        def look() -> None:
            with urllib.request.urlopen(address) as response:
                seen.append(response.read().decode())
            os.kill(os.getpid(), signal.SIGINT)

        Thread(target=look).start()

    for _ in range(2):
        result = compare(kept, Source.GENERAL, make, "ann", 0, visit)
        assert result.judged == 0
    assert made == [1]
    assert urlsplit(seen[0]).hostname == "127.0.0.1"
    assert urlsplit(seen[0]).path == urlsplit(seen[2]).path
    assert "1 of 3" in seen[1]
    assert "1 of 3" in seen[3]


def test_there_is_one_comparison_at_a_time_and_something_to_ask(tmp_path: Path) -> None:
    kept: ComparisonStore = store(tmp_path)
    with pytest.raises(NoDataError, match="nothing to ask"):
        compare(kept, Source.CHATS, tuple, "ann", 0, print)
    with kept.alone(), pytest.raises(StoreError, match="another process is at work"):
        compare(kept, Source.GENERAL, lambda: pairs(3), "ann", 0, print)
