"""How much of the base model's own talk a run asks for."""

import pytest

from finetune.flywheel.baseanswers import rounds_for


@pytest.mark.parametrize(
    ("tokens", "rounds"), [(1, 1), (100_000, 1), (100_001, 2), (350_000, 4), (10**9, 4), (None, 4)]
)
def test_a_larger_training_asks_each_question_more_often_up_to_four_times(tokens: int | None, rounds: int) -> None:
    assert rounds_for(tokens) == rounds
