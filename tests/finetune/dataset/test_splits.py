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
    ("number", "validation", "test"),
    [(10, 2, 1), (100, 20, 10), (300, 50, 30), (500, 50, 50), (700, 70, 60), (1200, 120, 60)],
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
def test_the_frozen_test_loses_nothing_as_chats_go_on_and_gains_only_what_was_never_learnt(seed: int) -> None:
    rng = random.Random(seed)
    facts = [*timed(range(rng.randint(5, 400))), *timeless(range(rng.randint(5, 400)))]
    assignment = assign(facts)
    assert assignment.frozen == keys(assignment, Split.TEST)
    seen_in_train: set[str] = set()
    for day in range(400, 440):
        seen_in_train |= keys(assignment, Split.TRAIN)
        before = assignment.frozen
        facts += [*timed([day]), *timeless(range(day * 10, day * 10 + rng.randint(0, 9)))]
        assignment = assign(rng.sample(facts, len(facts)), before)
        assert set(assignment.splits) == {fact.key for fact in facts}
        assert keys(assignment, Split.TEST) == assignment.frozen >= before
        assert len(assignment.frozen) == max(len(before), len(keys(assign(facts), Split.TEST)))
    assert not seen_in_train & assignment.frozen


@pytest.mark.parametrize("seed", range(10))
def test_hardly_anything_that_was_learnt_joins_the_test_while_a_few_people_go_now_and_then(seed: int) -> None:
    rng = random.Random(seed)
    facts = [*timed(range(300)), *timeless(range(200)), *timed(range(100), "archive")]
    assignment = assign(facts)
    seen_in_train: set[str] = set()
    for day in range(400, 2000, 40):
        seen_in_train |= keys(assignment, Split.TRAIN)
        facts += [*timed(range(day, day + rng.randint(0, 40))), *timeless(range(day, day + rng.randint(0, 20)))]
        facts = [fact for fact in facts if rng.random() > 0.01]
        assignment = assign(facts, assignment.frozen)
        assert assign(facts, assignment.frozen) == assignment
        assert counts(assignment)[Split.TEST] >= counts(assign(facts))[Split.TEST]
        assert counts(assignment)[Split.VALIDATION] == counts(assign(facts))[Split.VALIDATION]
    assert len(assignment.frozen) > 80
    assert not seen_in_train & assignment.frozen


@pytest.mark.parametrize("number", [10, 57, 300, 2000])
def test_the_same_conversations_again_are_split_the_same_again(number: int) -> None:
    facts = [*timed(range(number)), *timeless(range(number // 2)), *timed(range(5), "small")]
    first = assign(facts)
    assert assign(facts, first.frozen) == first


def test_what_goes_from_the_frozen_test_is_remembered_and_the_newest_take_its_place() -> None:
    facts = timed(range(1000))
    first = assign(facts)
    gone = sorted(first.frozen)[:20]
    left = [fact for fact in facts if fact.key not in gone]
    second = assign(left, first.frozen)
    newest = {f"log:{n}" for n in range(980, 1000)}
    assert keys(second, Split.TEST) == (first.frozen - set(gone)) | newest
    assert counts(second) == {Split.TRAIN: 822, Split.VALIDATION: 98, Split.TEST: 60}
    assert second.frozen == first.frozen | newest
    assert second.notes == ("20 of 80 conversations of the frozen test are gone",)
    back = assign(facts, second.frozen)
    assert keys(back, Split.TEST) == second.frozen


def test_many_are_forgotten_and_what_is_said_later_fills_the_test_up_again() -> None:
    facts = [*timed(range(800)), *timeless(range(200))]
    first = assign(facts)
    left = [fact for fact in facts if fact.key not in first.frozen or fact.key.endswith(("1", "2"))]
    later = [*left, *timed(range(2000, 2300))]
    second = assign(later, first.frozen)
    assert counts(second)[Split.TEST] == counts(assign(later))[Split.TEST] > 60
    joined = keys(second, Split.TEST) - first.frozen
    assert not joined & keys(first, Split.TRAIN)
    assert counts(second)[Split.VALIDATION] == counts(assign(later))[Split.VALIDATION]
    assert first.frozen < second.frozen


def test_the_whole_test_is_forgotten_and_another_is_there_at_once() -> None:
    facts = [*timed(range(500)), *timeless(range(500))]
    first = assign(facts)
    left = [fact for fact in facts if fact.key not in first.frozen]
    second = assign(left, first.frozen)
    assert counts(second)[Split.TEST] == 60
    assert keys(second, Split.TEST) < keys(first, Split.VALIDATION)
    assert counts(second)[Split.VALIDATION] == counts(assign(left))[Split.VALIDATION]
    assert assign(left, second.frozen) == second


def test_a_test_of_few_conversations_grows_with_them() -> None:
    first = assign(timed(range(100)))
    second = assign(timed(range(2000)), first.frozen)
    assert counts(second) == {Split.TRAIN: 1700, Split.VALIDATION: 200, Split.TEST: 100}
    assert first.frozen < second.frozen
    assert second.frozen - first.frozen == {f"log:{n}" for n in range(1910, 2000)}


def test_a_source_that_goes_on_pays_for_its_own_part_of_the_test() -> None:
    archive = timed(range(1000), "archive")
    first = assign([*archive, *timed(range(9000, 10_000))])
    second = assign([*archive, *timed(range(9000, 12_000))], first.frozen)
    joined = second.frozen - first.frozen
    assert len(joined) == 100
    assert all(key.startswith("log:") for key in joined)


def test_where_too_few_validate_a_test_is_filled_up_all_the_same_but_does_not_grow() -> None:
    # All but the newest ten end at once, so that only these validate by time.
    ends = [*range(600), *[600] * 590, *range(601, 611)]
    facts = [ConversationFacts(f"{n}", "archive", end * DAY_MS, 500) for n, end in enumerate(ends)]
    first = assign(facts)
    older = [ConversationFacts(f"older {n}", "archive", -n * DAY_MS, 500) for n in range(800)]
    grown = assign([*facts, *older], first.frozen)
    assert counts(grown)[Split.VALIDATION] == 10
    assert grown.frozen == first.frozen
    left = [fact for fact in facts if fact.key not in first.frozen]
    assert counts(assign(left, first.frozen))[Split.TEST] >= 57


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
