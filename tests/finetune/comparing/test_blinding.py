"""Nothing that a judge sees depends on which model is which."""

from collections import Counter

from finetune.comparing import blinding
from finetune.comparing.blinding import Choice
from finetune.comparing.pairs import pair
from finetune.comparing.votes import Outcome
from tests.finetune.comparing.sittings import questions

ITEMS = [f"item {n}" for n in range(10)]
SECRETS = [f"secret {n}" for n in range(1000)]


def test_over_many_sittings_each_item_has_the_judged_model_on_the_left_half_of_the_time() -> None:
    for item in ITEMS:
        # Five standard deviations of 1000 tosses of a coin are 79.
        assert abs(sum(blinding.is_left(secret, item) for secret in SECRETS) - 500) < 79


def test_sides_of_one_sitting_do_not_follow_from_each_other() -> None:
    sides = Counter(tuple(blinding.is_left(secret, item) for item in ITEMS[:3]) for secret in SECRETS)
    assert len(sides) == 8
    assert min(sides.values()) > 70, "125 each on average"


def test_the_order_differs_from_sitting_to_sitting_and_has_every_item_at_every_place() -> None:
    orders = [blinding.order(secret, ITEMS) for secret in SECRETS]
    assert all(sorted(order) == ITEMS for order in orders)
    for place in range(len(ITEMS)):
        assert min(Counter(order[place] for order in orders).values()) > 50, "100 each on average"


def test_order_sides_and_address_are_the_same_for_the_same_secret() -> None:
    assert blinding.order("s", ITEMS) == blinding.order("s", reversed(ITEMS))
    assert blinding.address("s") == blinding.address("s") != blinding.address("t")


def test_the_id_of_an_item_is_the_same_whichever_model_is_judged() -> None:
    one, other = ["yes", "no"], ["no", "maybe"]
    asked = questions(2)
    ids = [each.id for each in pair(asked, one, other)]
    assert ids == [each.id for each in pair(asked, other, one)]
    assert len(set(ids)) == 2


def test_a_choice_is_about_the_model_on_its_side() -> None:
    assert [blinding.outcome(choice, is_left=True) for choice in Choice] == [
        Outcome.WIN,
        Outcome.LOSS,
        Outcome.TIE,
        Outcome.BOTH_BAD,
        Outcome.SKIP,
    ]
    assert blinding.outcome(Choice.LEFT, is_left=False) is Outcome.LOSS
    assert blinding.outcome(Choice.RIGHT, is_left=False) is Outcome.WIN
