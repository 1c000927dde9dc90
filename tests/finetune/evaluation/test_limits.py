"""A figure and its limit: at it, beyond it, and no figure at all."""

import math

import pytest

from finetune.evaluation.limits import Measured, count, plain, share, signed
from finetune.evaluation.verdict import Verdict


def measured(value: float | None) -> Measured:
    return Measured("health", "empty answers", value, share, "It says nothing.", note=" of 400")


def test_a_limit_is_held_up_to_itself() -> None:
    verdict = measured(0.01).at_most(0.01)
    assert verdict == Verdict("health", "empty answers", "1.00% of 400", "at most 1.00%", True, "It says nothing.")
    assert not measured(0.0101).at_most(0.01).holds
    assert measured(0.95).at_least(0.95).holds
    assert not measured(0.949).at_least(0.95).holds
    assert measured(-0.001).below(0.0).holds
    assert not measured(0.0).below(0.0).holds


def test_arithmetic_alone_breaks_no_limit() -> None:
    assert 0.1 + 0.2 > 0.3
    assert measured(0.1 + 0.2).at_most(0.3).holds
    assert measured(0.3).at_least(0.1 + 0.2).holds


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_holds_no_limit(value: float | None) -> None:
    for verdict in (measured(value).at_most(1), measured(value).at_least(-1), measured(value).below(1)):
        assert not verdict.holds
        assert verdict.is_refusal


@pytest.mark.parametrize("limit", [math.nan, math.inf, -math.inf])
def test_a_limit_that_is_no_number_is_never_held(limit: float) -> None:
    for verdict in (measured(0.5).at_most(limit), measured(0.5).at_least(limit), measured(0.5).below(limit)):
        assert not verdict.holds


def test_what_was_not_measured_is_said_to_be_so() -> None:
    assert measured(None).at_most(0.5).value == measured(math.nan).at_most(0.5).value == "not measured"
    assert measured(0.2).at_most(math.nan).limit == "at most not measured"


def test_figures_are_shown_as_people_read_them() -> None:
    assert (count(12345.0), plain(1.02345), plain(0.0009537), share(0.4512), share(0.005)) == (
        "12,345",
        "1.023",
        "0.0009537",
        "45.1%",
        "0.50%",
    )
    assert (signed(0.0123), signed(-0.05)) == ("+1.23%", "-5.00%")
