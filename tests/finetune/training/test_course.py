"""What follows from the figures of a stage, by integers and floats alone."""

import math
from pathlib import Path

import pytest

from finetune.training.course import ENOUGH, TOO_MANY, Course, kept
from finetune.training.errors import TrainingError


def test_the_best_step_is_the_one_with_the_fewest_bits() -> None:
    course = Course()
    found = [course.evaluated(step, bits, 3) for step, bits in ((1, 2.0), (2, 1.5), (3, 1.6), (4, 1.5))]
    assert found == [True, True, False, False]
    assert (course.best_step, course.bits_per_byte, course.ended_by) == (2, 1.5, None)


def test_patience_counts_evaluations_since_the_best() -> None:
    course = Course()
    for step, bits in ((1, 2.0), (2, 2.1), (3, 1.9), (4, 2.0)):
        course.evaluated(step, bits, 2)
    assert course.ended_by is None
    course.evaluated(5, 1.95, 2)
    assert course.ended_by == "patience"


def test_without_patience_the_last_step_is_taken() -> None:
    course = Course()
    for step, bits in ((1, 1.0), (2, 2.0), (3, 3.0)):
        assert course.evaluated(step, bits, None)
    assert (course.best_step, course.ended_by) == (3, None)


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (1.0, math.inf)])
def test_what_is_not_finite_is_refused(loss: float, norm: float) -> None:
    with pytest.raises(TrainingError, match="step 7"):
        Course().stepped(7, loss, norm)
    with pytest.raises(TrainingError, match="step 7"):
        Course().evaluated(7, math.nan, 2)


def test_gradients_that_stay_far_longer_than_usual_are_refused_and_single_ones_are_not() -> None:
    course = Course()
    for step in range(1, 101):
        course.stepped(step, 1.0, 50.0 if step % 5 == 0 else 1.0)
    with pytest.raises(TrainingError, match="gradients"):
        for step in range(101, 101 + TOO_MANY):
            course.stepped(step, 1.0, 11.0)
    assert course.large == TOO_MANY


def test_the_first_gradients_are_not_judged() -> None:
    course = Course()
    for step in range(ENOUGH):
        course.stepped(step, 1.0, 10.0**step)
    assert course.large == 0


def test_a_course_is_read_as_it_was_written(tmp_path: Path) -> None:
    course = Course(before=1.5)
    course.stepped(1, 1.0, 0.1 + 0.2)
    course.evaluated(1, 1.2, 2)
    course.write(tmp_path)
    assert Course.read(tmp_path) == course


def test_the_best_checkpoint_is_kept_before_newer_ones() -> None:
    assert kept([5, 10, 15], best=5, room=1) == {5}
    assert kept([5, 10, 15], best=5, room=2) == {5, 15}
    assert kept([5, 10, 15], best=15, room=2) == {10, 15}
    assert kept([], best=0, room=2) == set()
