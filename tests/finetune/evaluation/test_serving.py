"""Two models timed side by side, and when that has been done often enough."""

from collections.abc import Callable, Iterator
from itertools import islice, repeat
from pathlib import Path

import pytest

from engine.bundle import GRAPH_NAME, Bundle
from engine.settings import EngineSettings
from finetune.evaluation.serving import MOST_ROUNDS, ROUNDS, Round, Times, compare, settled

SETTINGS = EngineSettings(threads=1, prefill_chunk=16)
LIMIT = 1.1
CHAMPION = Times((0.3, 0.3, 0.3, 0.9), 0.02)


def _round(first: float = 1.0, token: float = 1.0) -> Round:
    return Round(Times(tuple(first * each for each in CHAMPION.first_token_s), token * CHAMPION.token_s), CHAMPION)


def _number(rounds: Iterator[Round]) -> int:
    return len(list(settled(rounds, LIMIT)))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.04, 1.25, 3.0])
def test_a_clear_case_needs_few_rounds(ratio: float) -> None:
    assert _number(repeat(_round(first=ratio))) == ROUNDS
    assert _number(repeat(_round(token=ratio))) == ROUNDS


@pytest.mark.parametrize("ratio", [1.07, 1.1, 1.15])
def test_a_close_case_gets_all_the_rounds_there_are(ratio: float) -> None:
    assert _number(repeat(_round(first=ratio))) == MOST_ROUNDS
    assert _number(repeat(_round(token=ratio))) == MOST_ROUNDS


def test_it_goes_on_until_the_case_is_clear() -> None:
    rounds = iter([*[_round(token=1.12)] * 5, *[_round()] * 20])
    assert _number(rounds) == 11  # the first number of rounds of which more than half are clear


def test_a_round_that_was_held_up_does_not_decide() -> None:
    rounds = [_round(), _round(token=30.0), _round(), _round(first=30.0), _round()]
    assert _number(iter([*rounds, *[_round(token=2.0)] * 9])) == ROUNDS


def test_one_prompt_that_was_held_up_is_not_the_models_doing() -> None:
    held_up = Round(Times((0.3, 0.3, 7.0, 0.3), 0.02), CHAMPION)
    assert held_up.first_token_ratio == pytest.approx(1.0)


def test_a_bundle_beside_itself_is_as_fast_and_told_with_its_size(bundles: Callable[..., Path]) -> None:
    bundle = Bundle.open(bundles())
    rounds: list[None] = []
    ours, theirs = compare(
        bundle, bundle, SETTINGS, LIMIT, rounds=3, most_rounds=3, on_round=lambda: rounds.append(None)
    )
    assert len(rounds) == 3
    assert (theirs.first_token_ratio, theirs.token_ratio) == (1.0, 1.0)
    # Two weak cores with others at work on them: no more than the right order of magnitude can be asked for.
    assert 0.2 < ours.first_token_ratio < 5
    assert 0.2 < ours.token_ratio < 5
    for figures in (ours, theirs):
        assert 0 < figures.token_s < figures.first_token_s
        assert figures.file_bytes == sum(path.stat().st_size for path in bundle.path.glob(f"{GRAPH_NAME}*"))


def test_a_model_that_takes_longer_is_found_to_be_slower(bundles: Callable[..., Path]) -> None:
    """The same model beside itself with a context that leaves room for a quarter of the prompt."""
    bundle = Bundle.open(bundles())
    short = bundle.manifest.model.model_copy(update={"context": 64})
    shorter = Bundle(bundle.path, bundle.manifest.model_copy(update={"model": short}), "shorter")
    ours, _ = compare(bundle, shorter, SETTINGS, LIMIT, rounds=5, most_rounds=5)
    assert ours.first_token_ratio > 1.5


def test_rounds_are_taken_only_as_they_are_needed() -> None:
    rounds = repeat(_round())
    assert len(list(islice(settled(rounds, LIMIT, least=1, most=1), 5))) == 1
