"""Which conversations are learnt, and which are kept for judging what was learnt."""

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from finetune.dataset.splits import Assignment, ConversationFacts, Split, assign

DAY_MS = 86_400_000


def timed(numbers: Iterable[int], source: str = "log", target_bytes: int = 500) -> list[ConversationFacts]:
    return [ConversationFacts(f"{source}:{n}", source, n * DAY_MS, target_bytes) for n in numbers]


def timeless(numbers: Iterable[int], source: str = "dialogues") -> list[ConversationFacts]:
    return [ConversationFacts(f"{source}:{n}", source, None, 500) for n in numbers]


def counts(assignment: Assignment) -> dict[Split, int]:
    return dict(Counter(assignment.splits.values()))


def keys(assignment: Assignment, split: Split) -> set[str]:
    return {key for key, its in assignment.splits.items() if its is split}


def test_the_newest_tenth_validates_and_a_twentieth_is_the_test() -> None:
    assignment = assign(timed(range(2000)))
    assert counts(assignment) == {Split.TRAIN: 1700, Split.VALIDATION: 200, Split.TEST: 100}
    assert keys(assignment, Split.VALIDATION) == {f"log:{n}" for n in range(1800, 2000)}
    assert assignment.borders_ms == {"log": 1800 * DAY_MS}
    assert assignment.notes == ()


def test_nothing_that_is_learnt_ended_after_the_border() -> None:
    rng = random.Random(0)
    facts = [ConversationFacts(f"{n}", "log", rng.randrange(500) * DAY_MS, 500) for n in range(3000)]
    assignment = assign(facts)
    border = assignment.borders_ms["log"]
    for fact in facts:
        assert fact.ended_at_ms is not None
        assert (assignment.splits[fact.key] is Split.VALIDATION) == (fact.ended_at_ms >= border)


def test_each_source_gives_its_own_newest_part() -> None:
    old, new = timed(range(1000), "archive"), timed(range(9000, 9600), "log")
    validation = keys(assign([*old, *new]), Split.VALIDATION)
    assert validation == {f"archive:{n}" for n in range(900, 1000)} | {f"log:{n}" for n in range(9540, 9600)}


def test_conversations_without_times_are_split_by_their_keys_alone() -> None:
    facts = timeless(range(2000))
    assignment = assign(facts)
    assert counts(assignment) == {Split.TRAIN: 1700, Split.VALIDATION: 200, Split.TEST: 100}
    validation = sorted(int(key.split(":")[1]) for key in keys(assignment, Split.VALIDATION))
    assert validation[0] < 200 < 1800 < validation[-1]
    assert assignment.borders_ms == {}


@pytest.mark.parametrize(
    ("number", "validation", "test"), [(10, 2, 1), (100, 20, 10), (300, 50, 30), (500, 50, 50), (1200, 120, 60)]
)
def test_few_conversations_give_a_larger_part(number: int, validation: int, test: int) -> None:
    found = counts(assign(timed(range(number), target_bytes=5000)))
    assert (found[Split.VALIDATION], found[Split.TEST]) == (validation, test)


def test_short_conversations_give_more_of_them() -> None:
    # 20 kB of answers of 100 bytes are 200 conversations.
    assert counts(assign(timed(range(1200), target_bytes=100)))[Split.VALIDATION] == 200


@pytest.mark.parametrize("number", range(10))
def test_of_very_few_all_are_learnt(number: int) -> None:
    assignment = assign([*timed(range(number // 2)), *timeless(range(number - number // 2))])
    assert set(assignment.splits.values()) <= {Split.TRAIN}
    assert len(assignment.splits) == number
    assert assignment.frozen == frozenset()
    assert "too few" in assignment.notes[0]


def test_sources_that_are_too_small_to_divide_by_time_are_split_by_hash() -> None:
    facts = [fact for n in range(100) for fact in timed(range(n, n + 5), f"chat {n}")]
    assignment = assign(facts)
    assert counts(assignment)[Split.VALIDATION] == 50
    assert assignment.borders_ms == {}


def test_conversations_that_all_end_at_once_are_split_by_hash() -> None:
    facts = [ConversationFacts(f"{n}", "archive", DAY_MS, 500) for n in range(1000)]
    assert counts(assign(facts))[Split.VALIDATION] == 100


def test_many_that_end_at_once_do_not_all_validate() -> None:
    ends = [*range(600), *[600] * 390, *range(601, 611)]
    facts = [ConversationFacts(f"{n}", "archive", end * DAY_MS, 500) for n, end in enumerate(ends)]
    assignment = assign(facts)
    assert counts(assignment)[Split.VALIDATION] == 10
    assert assignment.borders_ms == {"archive": 601 * DAY_MS}
    assert "validation has 10 conversations" in assignment.notes[0]


@pytest.mark.parametrize("seed", range(10))
def test_the_frozen_test_neither_gains_nor_loses_as_chats_go_on(seed: int) -> None:
    rng = random.Random(seed)
    facts = [*timed(range(rng.randint(5, 400))), *timeless(range(rng.randint(5, 400)))]
    assignment = assign(facts)
    frozen = assignment.frozen
    assert frozen == keys(assignment, Split.TEST)
    seen_in_train: set[str] = set()
    for day in range(400, 440):
        facts += [*timed([day]), *timeless(range(day * 10, day * 10 + rng.randint(0, 9)))]
        assignment = assign(rng.sample(facts, len(facts)), assignment.frozen)
        seen_in_train |= keys(assignment, Split.TRAIN)
        assert set(assignment.splits) == {fact.key for fact in facts}
        assert keys(assignment, Split.TEST) == frozen
    assert not seen_in_train & frozen


@pytest.mark.parametrize("number", [10, 57, 300, 2000])
def test_the_same_conversations_again_are_split_the_same_again(number: int) -> None:
    facts = [*timed(range(number)), *timeless(range(number // 2)), *timed(range(5), "small")]
    first = assign(facts)
    assert assign(facts, first.frozen) == first


def test_what_goes_from_the_frozen_test_is_remembered_and_not_replaced() -> None:
    facts = timed(range(1000))
    first = assign(facts)
    gone = sorted(first.frozen)[:10]
    second = assign([fact for fact in facts if fact.key not in gone], first.frozen)
    assert keys(second, Split.TEST) == first.frozen - set(gone)
    assert second.frozen == first.frozen
    assert second.notes[0] == "10 of 50 conversations of the frozen test are gone"
    assert assign(facts, second.frozen).splits == assign(facts, first.frozen).splits


def test_a_frozen_test_is_kept_even_if_hardly_anything_is_left() -> None:
    assignment = assign(timed(range(3)), frozenset({"log:1"}))
    assert assignment.splits["log:1"] is Split.TEST


def test_the_split_does_not_depend_on_the_order() -> None:
    facts = [*timed(range(300)), *timeless(range(300))]
    assert assign(facts) == assign(reversed(facts))


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("number", [12, 60, 700])
def test_a_second_run_with_the_test_of_the_first_comes_to_the_same(number: int, timed: bool) -> None:
    facts = [
        ConversationFacts(f"c{n}", f"source {n % 3}", n * 60_000 if timed else None, target_bytes=100)
        for n in range(number)
    ]
    first = assign(facts)
    assert first.frozen
    assert assign(facts, first.frozen).splits == first.splits
