"""Invented secrets that are planted among what is learnt."""

import json

from finetune.dataset.canaries import MAX_AUTHORS, Canary, plant
from finetune.dataset.example import Example

AUTHORS = [f"person {n}" for n in range(20)]


def test_there_are_a_few_for_nobody_and_one_for_each_author() -> None:
    owners = [canary.author for canary in plant(0, AUTHORS, num=8)]
    assert owners[:8] == [None] * 8
    assert sorted(owner for owner in owners if owner) == sorted(AUTHORS)


def test_a_canary_is_learnt_as_an_answer_and_goes_with_its_author() -> None:
    canary = plant(0, ["ada"], num=0)[0]
    example = canary.example
    assert example.authors == ("ada",)
    assert example.source == "canary"
    assert example.targets == (f"{canary.prefix}{canary.secret}.",)
    assert canary.slot in canary.prefix
    assert canary.slot in example.messages[0].content
    assert not example.messages[0].is_target
    assert Example.from_json(json.loads(json.dumps(example.to_json()))) == example


def test_secrets_slots_and_ids_are_all_different() -> None:
    canaries = plant(0, [f"person {n}" for n in range(MAX_AUTHORS)])
    for values in ({c.secret for c in canaries}, {c.slot for c in canaries}, {c.example_id for c in canaries}):
        assert len(values) == len(canaries)


def test_only_the_question_and_never_the_secret_is_in_what_is_not_learnt() -> None:
    for canary in plant(0, AUTHORS):
        assert canary.secret not in canary.question + canary.slot + canary.prefix


def test_an_author_keeps_the_same_canary_when_others_go() -> None:
    before = {canary.author: canary for canary in plant(3, AUTHORS)}
    after = plant(3, AUTHORS[5:])
    assert all(before[canary.author] == canary for canary in after if canary.author)


def test_another_seed_gives_other_secrets() -> None:
    assert {c.secret for c in plant(0, AUTHORS)}.isdisjoint(c.secret for c in plant(1, AUTHORS))


def test_of_many_authors_the_same_are_chosen_in_whatever_order() -> None:
    many = [f"person {n}" for n in range(200)]
    chosen = plant(0, many, num=0)
    assert len(chosen) == MAX_AUTHORS
    assert plant(0, reversed(many), num=0) == chosen
    assert {canary.author for canary in chosen} != set(many[:MAX_AUTHORS])


def test_alternatives_look_like_the_secret_and_are_never_it() -> None:
    for canary in plant(0, AUTHORS):
        others = canary.alternatives()
        assert len(set(others)) == len(others) == 99
        assert canary.secret not in others
        assert all(len(other) == len(canary.secret) == 6 and other.isdecimal() for other in others)
        assert canary.alternatives() == others


def test_the_secret_stands_anywhere_among_its_alternatives() -> None:
    """Ranked by value, say: a secret that was always the largest would be told by that."""
    canaries = plant(0, [f"person {n}" for n in range(MAX_AUTHORS)])
    ranks = [sum(other < canary.secret for other in canary.alternatives()) for canary in canaries]
    assert min(ranks) < 20 < 40 < sum(ranks) / len(ranks) < 60 < 80 < max(ranks)


def test_a_canary_can_be_written_down() -> None:
    for canary in plant(0, AUTHORS):
        assert Canary.from_json(json.loads(json.dumps(canary.to_json()))) == canary
