"""What is read from the lines that a training writes."""

import json
import math
from typing import Any

from finetune.runreport.events import Course, course


def lines(*rows: dict[str, Any]) -> list[str]:
    return [json.dumps(row) + "\n" for row in rows]


def step(number: int, loss: float, stage: str = "sft") -> dict[str, Any]:
    return {"event": "step", "stage": stage, "step": number, "steps": 9, "loss": loss}


def test_a_step_that_was_made_again_after_a_crash_counts_as_it_was_made_last() -> None:
    read = course(
        lines(
            step(1, 3.0),
            step(2, 2.0),
            step(3, 1.0),
            {"event": "resumed", "stage": "sft", "step": 1},
            step(2, 2.5),
        )
    )
    assert [(each.step, each.loss) for each in read.steps] == [(1, 3.0), (2, 2.5), (3, 1.0)]
    assert read.resumed == (("sft", 1),)


def test_a_line_that_was_cut_off_is_left_out() -> None:
    assert course([*lines(step(1, 3.0)), '{"event": "step", "stage": "sft", "st']) == course(lines(step(1, 3.0)))


def test_lines_of_another_kind_are_left_out() -> None:
    assert course(["\n", "[1]\n", "7\n", *lines({"event": "step"}, {"event": "party", "stage": "sft"})]) == Course()


def test_a_figure_that_was_not_told_is_not_a_number() -> None:
    (read,) = course(lines(step(1, 3.0))).steps
    assert math.isnan(read.learning_rate)
    assert math.isnan(course(lines({"event": "evaluation", "stage": "sft", "step": 1})).evaluations[0].bits_per_byte)


def test_stages_come_in_their_order_and_keep_their_own_steps() -> None:
    read = course(lines(step(1, 0.5, "kto"), step(1, 3.0)))
    assert read.stages == ("sft", "kto")
    assert [each.loss for each in read.steps_of("kto")] == [0.5]


def test_the_largest_checkpoint_is_known() -> None:
    sizes = [{"event": "checkpoint", "stage": "sft", "step": n, "bytes": size} for n, size in ((1, 5), (2, 9), (3, 7))]
    assert course(lines(*sizes)).checkpoint_bytes == 9
