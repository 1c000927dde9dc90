"""How much of what is learnt may come from one person, and from one chat."""

import random
from collections import Counter

import pytest

from finetune.conversation import Conversation
from finetune.dataset.caps import EVEN_SLACK, SPARED_BYTES, cap, target_bytes
from finetune.fate import Outcome
from tests.finetune.dataset.dialogues import dialogue, sentence, targets


def shares(conversations: list[Conversation]) -> tuple[Counter[str], Counter[str]]:
    """Bytes of targets by author and by chat."""
    authors, chats = Counter[str](), Counter[str]()
    for each in conversations:
        for turn in targets([each]):
            authors[turn.author] += target_bytes(turn)
            chats[each.chat] += target_bytes(turn)
    return authors, chats


def capped(conversations: list[Conversation], **options: float) -> list[Conversation]:
    return [left for left, _ in cap(conversations, **options) if left is not None]


def talk(
    rng: random.Random, num: int, authors: list[str], chats: list[str], *, are_timed: bool = True
) -> list[Conversation]:
    """Conversations of a few people who talk more than the others, in a few chats where most is said."""
    return [
        dialogue(
            f"{n:05}",
            [sentence(rng, rng.randint(1, 30)) for _ in range(rng.choice([2, 4, 8]))],
            author=authors[min(int(rng.paretovariate(0.8)) - 1, len(authors) - 1)],
            chat=chats[min(int(rng.paretovariate(0.8)) - 1, len(chats) - 1)],
            started_at_ms=rng.randrange(10**12) if are_timed else None,
        )
        for n in range(num)
    ]


@pytest.mark.parametrize("are_timed", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_both_shares_hold_for_what_is_left(seed: int, are_timed: bool) -> None:
    rng = random.Random(seed)
    authors = [f"author {n}" for n in range(rng.randint(1, 30))]
    chats = [f"chat {n}" for n in range(rng.randint(1, 8))]
    conversations = talk(rng, 600, authors, chats, are_timed=are_timed)
    left = capped(conversations)
    for before, after, share in zip(shares(conversations), shares(left), (0.2, 0.4), strict=True):
        attainable = max(share, EVEN_SLACK / len(before))
        assert max(after.values()) <= max(attainable * after.total(), SPARED_BYTES)


@pytest.mark.parametrize("seed", range(5))
def test_who_has_little_loses_nothing_in_a_chat_that_has_little(seed: int) -> None:
    rng = random.Random(seed)
    conversations = talk(rng, 600, [f"author {n}" for n in range(20)], ["busy", "calm", "quiet", "still"])
    left = {each.key: each for each in capped(conversations)}
    authors, chats = shares(conversations)
    total = shares(list(left.values()))[0].total()
    small = [
        each
        for each in conversations
        if authors[each.turns[1].author] < 0.19 * total and chats[each.chat] < 0.39 * total
    ]
    assert small
    assert all(left[each.key] == each for each in small)
    assert len(left) < len(conversations)


def test_hardly_more_is_taken_than_has_to_be() -> None:
    rng = random.Random(3)
    conversations = talk(rng, 2000, [f"author {n}" for n in range(20)], ["one chat"])
    authors, _ = shares(capped(conversations))
    assert max(authors.values()) > 0.199 * authors.total()
    before, _ = shares(conversations)
    untouched = [author for author in before if authors[author] == before[author]]
    assert len(untouched) >= 16, "nobody below the limit loses anything"


def test_the_newest_answers_stay() -> None:
    rng = random.Random(4)
    conversations = talk(rng, 800, [f"author {n}" for n in range(10)], ["one chat"])
    left = {turn.ids for turn in targets(capped(conversations))}
    most = shares(conversations)[0].most_common(1)[0][0]
    theirs = sorted((turn for turn in targets(conversations) if turn.author == most), key=lambda t: t.sent_at_ms or 0)
    kept = [turn.ids in left for turn in theirs]
    first = kept.index(True)
    assert first > 0
    assert all(kept[first:])


def test_what_is_over_the_limit_stays_as_context_and_says_why() -> None:
    rng = random.Random(5)
    long = [sentence(rng, 40) for _ in range(200)]
    talker = dialogue("0", long, author="talker", started_at_ms=0)
    others = [
        dialogue(f"{n}", [sentence(rng, 9), sentence(rng, 40)], author=f"other {n}", started_at_ms=n)
        for n in range(1, 41)
    ]
    (left, fates), *rest = cap([talker, *others])
    assert left is not None
    assert [turn.text for turn in left.turns] == long
    assert {(fate.outcome, fate.reason) for fate in fates} == {(Outcome.CHANGED, "author cap")}
    assert len(fates) == 100 - len(targets([left])) > 0
    assert all(fates == () for _, fates in rest)


def test_a_chat_has_its_own_limit() -> None:
    rng = random.Random(6)
    conversations = [
        dialogue(
            f"{n}", [sentence(rng, 9), sentence(rng, 40)], author=f"author {n % 50}", chat="busy" if n % 10 else "calm"
        )
        for n in range(500)
    ]
    reasons = Counter(fate.reason for _, fates in cap(conversations) for fate in fates if "cap" in fate.reason)
    assert set(reasons) == {"chat cap"}


def test_a_conversation_of_which_nothing_is_learnt_any_more_goes() -> None:
    rng = random.Random(7)
    one_each = [dialogue(f"t{n}", [sentence(rng, 9), sentence(rng, 40)], author="talker") for n in range(100)]
    others = [dialogue(f"o{n}", [sentence(rng, 9), sentence(rng, 40)], author=f"other {n}") for n in range(40)]
    dropped = [fates for left, fates in cap([*one_each, *others]) if left is None]
    assert dropped
    assert all([fate.reason for fate in fates] == ["author cap", *["no answer to learn"] * 2] for fates in dropped)


def test_one_person_in_one_chat_has_no_limit() -> None:
    conversations = talk(random.Random(8), 200, ["alone"], ["one chat"])
    assert capped(conversations) == conversations


def test_two_people_may_have_about_half_each() -> None:
    conversations = talk(random.Random(9), 400, ["first", "second"], ["one chat"])
    authors, _ = shares(capped(conversations))
    assert 0.44 < authors["first"] / authors.total() <= 0.55


def test_so_little_that_shares_mean_nothing_is_left_alone() -> None:
    few = [
        dialogue("a", ["hello", "hello to you, and how are you"], author="a"),
        dialogue("b", ["hi", "hi"], author="b"),
    ]
    assert capped(few) == few


def test_the_result_does_not_depend_on_the_order() -> None:
    rng = random.Random(10)
    conversations = talk(rng, 300, [f"author {n}" for n in range(8)], ["x", "y", "z"], are_timed=False)
    shuffled = rng.sample(conversations, len(conversations))
    assert {each.key: each for each in capped(shuffled)} == {each.key: each for each in capped(conversations)}
