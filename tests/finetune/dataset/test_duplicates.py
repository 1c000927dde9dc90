"""Conversations, pairs and answers that are there more than once."""

import random
from collections import Counter

import pytest

from finetune.conversation import Conversation
from finetune.dataset.duplicates import REPLY_SHARE, drop_duplicates, shared_near_duplicates
from finetune.fate import Outcome
from tests.finetune.dataset.dialogues import dialogue, sentence, targets

RNG_SEED = 7


def texts(rng: random.Random, num: int = 4) -> list[str]:
    return [sentence(rng, 12) for _ in range(num)]


def kept(conversations: list[Conversation]) -> list[Conversation]:
    return [left for left, _ in drop_duplicates(conversations) if left is not None]


def test_of_near_duplicates_the_oldest_stays_wherever_it_stands() -> None:
    words = texts(random.Random(RNG_SEED))
    other = [*words[:3], words[3].replace(words[3].split()[0], "zeppelin", 1)]
    young = dialogue("a", words, started_at_ms=2000)
    old = dialogue("b", other, started_at_ms=1000)
    timeless = dialogue("0", words)
    assert [left and left.key for left, _ in drop_duplicates([young, old, timeless])] == [None, "b", None]


def test_without_times_the_smallest_key_stays() -> None:
    words = texts(random.Random(RNG_SEED))
    assert [each.key for each in kept([dialogue("b", words), dialogue("a", words)])] == ["a"]


def test_every_message_of_a_near_duplicate_says_what_it_repeats() -> None:
    words = texts(random.Random(RNG_SEED))
    _, (_, fates) = drop_duplicates([dialogue("a", words), dialogue("b", words)])
    assert [fate.id for fate in fates] == ["b", "b.1", "b.2", "b.3"]
    assert {(fate.outcome, fate.reason) for fate in fates} == {(Outcome.DROPPED, "near duplicate")}
    assert all(fate.detail.endswith("begins with a") for fate in fates)


def test_short_conversations_that_differ_in_a_word_both_stay() -> None:
    short = [dialogue("a", ["how are you", "rather well"]), dialogue("b", ["who are you", "rather ill"])]
    assert len(kept(short)) == 2


def test_the_same_answer_to_the_same_words_is_learnt_once() -> None:
    rng = random.Random(RNG_SEED)
    opening = ["Hello  there", "good day to you"]
    first = dialogue("a", [*opening, *texts(rng)], started_at_ms=1000)
    second = dialogue("b", ["hello there", "Good day to you", *texts(rng)], started_at_ms=2000)
    (left, fates), (original, none) = drop_duplicates([second, first])
    assert left is not None
    assert original is not None
    assert none == ()
    assert [each.ids[0] for each in targets([left])] == ["b.3", "b.5"]
    assert [(fate.id, fate.outcome, fate.reason) for fate in fates] == [("b.1", Outcome.CHANGED, "same answer again")]
    assert len(targets([original])) == 3


def test_the_same_answer_to_other_words_is_learnt_again() -> None:
    rng = random.Random(RNG_SEED)
    two = [dialogue(key, [sentence(rng, 12), "that is good to hear"]) for key in ("a", "b")]
    # All answers are the same here, and one of each stays: make the answer a small part of all.
    others = [dialogue(f"c{n}", texts(rng, 6)) for n in range(60)]
    assert "that is good to hear" in Counter(each.text for each in targets(kept([*two, *others])))
    assert sum(each.text == "that is good to hear" for each in targets(kept([*two, *others]))) == 2


@pytest.mark.parametrize("seed", range(5))
def test_no_answer_is_more_than_its_share_of_what_is_left(seed: int) -> None:
    rng = random.Random(seed)
    common = ["sure", "no idea", "ask me tomorrow"]
    conversations = [
        dialogue(
            f"{n:04}",
            [sentence(rng, 12), rng.choice(common) if rng.random() < 0.4 else sentence(rng, 9)],
        )
        for n in range(600)
    ]
    left = kept(conversations)
    counts = Counter(each.text for each in targets(left))
    total = counts.total()
    assert counts.most_common(1)[0][1] <= REPLY_SHARE * total
    # Not more is taken than has to be: one more of each common answer would be too much.
    assert counts.most_common(1)[0][1] + 1 > REPLY_SHARE * (total + len(common))
    # What is there once stays.
    assert sum(each.text not in common for each in targets(left)) == sum(
        each.text not in common for each in targets(conversations)
    )


def test_an_answer_that_is_there_once_stays_however_few_there_are() -> None:
    rng = random.Random(RNG_SEED)
    few = [dialogue(f"{n}", [sentence(rng, 12), sentence(rng, 9)]) for n in range(3)]
    assert kept(few) == few


def test_the_result_does_not_depend_on_the_order() -> None:
    rng = random.Random(RNG_SEED)
    words = [texts(rng) for _ in range(30)]
    conversations = [
        dialogue(f"{n:03}", [*rng.choice(words)[: rng.choice([2, 4])], sentence(rng, 3), "sure"]) for n in range(150)
    ]
    shuffled = rng.sample(conversations, len(conversations))
    by_key = {each.key: each for each in kept(shuffled)}
    assert by_key == {each.key: each for each in kept(conversations)}
    assert len(by_key) < len(conversations)


def test_nothing_that_stays_is_a_near_duplicate_of_anything_else_that_stays() -> None:
    rng = random.Random(RNG_SEED)
    words = [texts(rng) for _ in range(10)]
    conversations = []
    for n in range(100):
        varied = list(rng.choice(words))
        for _ in range(rng.randrange(8)):
            line = rng.randrange(4)
            varied[line] = " ".join(["zeppelin", *varied[line].split()[1:]])
        conversations.append(dialogue(f"{n:03}", varied))
    left = kept(conversations)
    assert 10 <= len(left) < 100
    assert shared_near_duplicates(left[::2], left[1::2]) == []


def test_near_duplicates_across_two_splits_are_found() -> None:
    rng = random.Random(RNG_SEED)
    words = texts(rng)
    train = [dialogue("a", texts(rng)), dialogue("b", words)]
    test = [dialogue("c", [*words[:3], f"{words[3]} zeppelin"]), dialogue("d", texts(rng))]
    assert shared_near_duplicates(train, test) == [("b", "c")]
