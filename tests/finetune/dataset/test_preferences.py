"""Ratings, corrections and retries as examples of better and worse, and how much one person may decide."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from finetune.conversation import Conversation, Turn
from finetune.dataset.example import Label, Pair
from finetune.dataset.examples import ExampleMaker
from finetune.dataset.preferences import CORRECTION, RETRY, cap_voters, labels, pairs
from finetune.fate import Outcome
from finetune.message import Kind, Rating, Role
from tests.finetune.dataset.dialogues import turn
from tests.finetune.dataset.renderers import model

MAKER = ExampleMaker(model().renderer, "Be kind.", 400)


def asked(id: str, parent: int | None, text: str = "what is it", author: str = "ann") -> Turn:
    return turn(id, author, text, parent, role=Role.USER)


def ours(id: str, parent: int | None, text: str, *scores: int, kind: Kind = Kind.MESSAGE) -> Turn:
    """An answer of the bot and what the first, the second ... person thinks of it."""
    ratings = tuple(Rating(f"voter {n}", score, "button") for n, score in enumerate(scores))
    version = "v1" if kind is Kind.MESSAGE else None
    return turn(
        id, "", text, parent, role=Role.ASSISTANT, is_bot=True, kind=kind, ratings=ratings, model_version=version
    )


def corrected(id: str, parent: int | None, text: str, author: str = "bea") -> Turn:
    return turn(id, author, text, parent, role=Role.ASSISTANT, kind=Kind.CORRECTION)


def talk(*turns: Turn) -> Conversation:
    return Conversation(turns[0].ids[0], "log", "test", "square", turns, is_shared=False)


def found_pairs(*turns: Turn) -> list[tuple[str, str, str]]:
    return [(pair.chosen, pair.rejected, pair.reason) for pair in pairs(talk(*turns), MAKER)]


# Labels


@pytest.mark.parametrize(("scores", "is_good"), [((1,), True), ((1, 1, 1), True), ((-1,), False), ((-1, -1), False)])
def test_an_answer_on_which_people_agree_is_good_or_bad(scores: Sequence[int], is_good: bool) -> None:
    turns = [asked("1", None), ours("2", 0, "a lamp"), asked("3", 1, "sure?"), ours("4", 2, "yes, a lamp", *scores)]
    (label,), fates = labels(talk(*turns), MAKER)
    assert fates == ()
    assert [(m.role, m.content) for m in label.prompt] == [
        ("system", "Be kind."),
        ("user", "what is it"),
        ("assistant", "a lamp"),
        ("user", "sure?"),
    ]
    assert (label.id, label.conversation, label.completion, label.is_good) == ("4", "1", "yes, a lamp", is_good)
    assert label.voters == tuple(f"voter {n}" for n in range(len(scores)))
    assert label.message_ids == ("1", "2", "3", "4")
    assert label.model_version == "v1"


def test_an_answer_on_which_people_disagree_is_neither() -> None:
    made, fates = labels(talk(asked("1", None), ours("2", 0, "a lamp", 1, -1)), MAKER)
    assert made == []
    assert [(fate.id, fate.outcome, fate.reason) for fate in fates] == [("2", Outcome.DROPPED, "people disagree")]


def test_who_rated_two_messages_of_an_answer_has_one_vote() -> None:
    twice = replace(ours("2", 0, "a lamp"), ratings=(Rating("bea", 1, "button"), Rating("bea", 1, "reaction")))
    (label,), _ = labels(talk(asked("1", None), twice), MAKER)
    assert label.voters == ("bea",)


@pytest.mark.parametrize(
    "other",
    [
        ours("2", 0, "a lamp"),
        ours("2", 0, "a lamp", 1, kind=Kind.REJECTED),
        replace(corrected("2", 0, "a lamp"), ratings=(Rating("bea", 1, "button"),)),
        replace(ours("2", 0, "a lamp", 1), is_bot=False),
        replace(asked("2", 0), ratings=(Rating("bea", 1, "button"),)),
    ],
    ids=["without ratings", "rejected", "a correction", "somebody else's", "a question"],
)
def test_nothing_but_a_rated_answer_of_the_bot_has_a_label(other: Turn) -> None:
    assert labels(talk(asked("1", None), other), MAKER) == ([], ())


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([ours("1", None, "a lamp", 1)], "nothing before it"),
        ([asked("1", None, "what " * 500), ours("2", 0, "a lamp", 1)], "too long"),
        ([asked("1", None), ours("2", 0, "a lamp " * 500, 1)], "too long"),
    ],
)
def test_an_answer_that_cannot_be_shown_with_its_question_has_no_label(turns: list[Turn], reason: str) -> None:
    made, fates = labels(talk(*turns), MAKER)
    assert made == []
    assert [(fate.id, fate.reason) for fate in fates] == [(turns[-1].ids[0], reason)]


# Pairs


def test_a_correction_is_better_than_the_answer() -> None:
    turns = [asked("1", None), ours("2", 0, "a lamp"), corrected("3", 0, "a lantern")]
    (pair,) = pairs(talk(*turns), MAKER)
    assert (pair.chosen, pair.rejected, pair.reason) == ("a lantern", "a lamp", CORRECTION)
    assert [m.content for m in pair.prompt] == ["Be kind.", "what is it"]
    assert (pair.id, pair.conversation, pair.voters) == ("3>2", "1", ("bea",))
    assert pair.message_ids == ("1", "3", "2")


def test_an_answer_that_was_asked_for_anew_is_better_than_those_before() -> None:
    turns = [
        asked("1", None),
        ours("2", 0, "a lantern"),
        ours("3", 0, "a lamp", kind=Kind.REJECTED),
        ours("4", 0, "no idea", kind=Kind.REJECTED),
    ]
    assert found_pairs(*turns) == [("a lantern", "a lamp", RETRY), ("a lantern", "no idea", RETRY)]
    assert {pair.voters for pair in pairs(talk(*turns), MAKER)} == {("ann",)}


def test_all_corrections_stand_against_the_answer_and_none_against_another() -> None:
    turns = [
        asked("1", None),
        ours("2", 0, "a lamp"),
        corrected("3", 0, "a lantern"),
        corrected("4", 0, "a torch", "cem"),
        ours("5", 0, "no idea", kind=Kind.REJECTED),
    ]
    assert found_pairs(*turns) == [
        ("a lantern", "a lamp", CORRECTION),
        ("a torch", "a lamp", CORRECTION),
        ("a lamp", "no idea", RETRY),
    ]


def test_the_same_words_are_no_better() -> None:
    assert found_pairs(asked("1", None), ours("2", 0, "a lamp"), corrected("3", 0, "a lamp")) == []
    assert found_pairs(asked("1", None), ours("2", 0, "a lamp"), ours("3", 0, "a lamp", kind=Kind.REJECTED)) == []


def test_answers_to_different_questions_are_not_compared() -> None:
    turns = [asked("1", None), ours("2", 0, "a lamp"), asked("3", 1), corrected("4", 2, "a lantern")]
    assert found_pairs(*turns) == []


def test_without_the_answer_or_the_question_there_is_nothing_to_compare() -> None:
    assert found_pairs(asked("1", None), corrected("2", 0, "a lantern")) == []
    assert found_pairs(asked("1", None), ours("2", 0, "a lamp", kind=Kind.REJECTED)) == []
    assert found_pairs(ours("1", None, "a lamp"), corrected("2", None, "a lantern")) == []


def test_what_does_not_fit_is_in_no_pair() -> None:
    assert found_pairs(asked("1", None), ours("2", 0, "a lamp"), corrected("3", 0, "a lantern " * 500)) == []


# Votes


def label(number: int, *voters: str) -> Label:
    return Label(f"l{number}", "k", (), "a lamp", is_good=True, voters=voters)


def random_votes(rng: random.Random) -> list[Label]:
    people = [f"p{n}" for n in range(rng.randint(1, 30))]
    weights = [1 / (n + 1) for n in range(len(people))]
    return [
        label(n, *sorted(set(rng.choices(people, weights, k=rng.choice((1, 1, 1, 2, 5))))))
        for n in range(rng.randint(0, 80))
    ]


def votes(voted: Sequence[Label | Pair]) -> Counter[str]:
    return Counter(voter for each in voted for voter in each.voters)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25, 0.5, 1.0])
def test_nobody_has_more_than_a_share_of_the_votes_that_are_left(share: float) -> None:
    rng = random.Random(int(share * 100))
    num_kept = 0
    for _ in range(200):
        before = random_votes(rng)
        kept, fates = cap_voters(before, share)
        counts = votes(kept)
        assert max(counts.values(), default=0) <= share * counts.total() + 1e-9
        assert all(each.voters for each in kept)
        by_id = {each.id: each for each in before}
        assert all(set(each.voters) <= set(by_id[each.id].voters) for each in kept)
        assert [replace(each, voters=by_id[each.id].voters) for each in kept] == [
            each for each in before if each.id in {k.id for k in kept}
        ]
        assert [fate.id for fate in fates] == [each.id for each in before if each.id not in {k.id for k in kept}]
        assert {fate.reason for fate in fates} <= {"voter cap"}
        num_kept += len(kept)
    assert num_kept > 100


def test_no_more_is_taken_than_has_to_be() -> None:
    """Nobody's votes could be capped one higher."""
    rng = random.Random(8)
    for _ in range(200):
        before = random_votes(rng)
        counts = votes(before)
        capped = votes(cap_voters(before, 0.25)[0])
        most = max(capped.values(), default=0)
        assert capped == Counter({voter: min(number, most) for voter, number in counts.items() if most})
        for limit in range(most + 1, max(counts.values(), default=0) + 1):
            assert limit > 0.25 * sum(min(number, limit) for number in counts.values())


def test_with_too_few_people_nothing_is_left() -> None:
    voted = [label(n, f"p{n % 9}") for n in range(90)]
    assert cap_voters(voted, 0.1)[0] == []
    assert len(cap_voters(voted, 0.1)[1]) == 90
    assert cap_voters([label(1, "p0")], 0.99)[0] == []


@pytest.mark.parametrize("num_people", [10, 11])
def test_with_just_enough_people_everything_is_left(num_people: int) -> None:
    voted = [label(n, f"p{n % num_people}") for n in range(num_people * 7)]
    assert cap_voters(voted, 0.1) == (voted, ())


@pytest.mark.parametrize(("num_of_one", "num_people", "share"), [(29, 71, 0.29), (3, 27, 0.1), (7, 93, 0.07)])
def test_a_share_is_exact(num_of_one: int, num_people: int, share: float) -> None:
    voted = [label(n, "p0") for n in range(num_of_one)] + [label(99 + n, f"q{n}") for n in range(num_people)]
    assert cap_voters(voted, share) == (voted, ())


def test_who_may_have_all_votes_keeps_them_all() -> None:
    voted = [label(n, "p0") for n in range(20)]
    assert cap_voters(voted, 1.0) == (voted, ())
    assert cap_voters([], 1.0) == ([], ())


def test_which_votes_go_does_not_depend_on_the_order() -> None:
    rng = random.Random(9)
    for _ in range(50):
        voted = random_votes(rng)
        kept = {each.id: each for each in cap_voters(voted, 0.25)[0]}
        rng.shuffle(voted)
        assert {each.id: each for each in cap_voters(voted, 0.25)[0]} == kept


def test_neither_the_first_nor_the_last_votes_are_those_that_stay() -> None:
    voted = [label(n, "p0") for n in range(40)] + [label(100 + n, f"q{n}") for n in range(10)]
    own = [int(each.id[1:]) for each in cap_voters(voted, 0.5)[0] if each.voters == ("p0",)]
    assert len(own) == 10
    assert min(own) < 20 <= max(own)


def test_a_vote_too_many_leaves_the_votes_of_others() -> None:
    voted = [label(n, "p0", f"q{n}") for n in range(10)]
    kept, fates = cap_voters(voted, 0.25)
    assert fates == ()
    assert votes(kept) == Counter({"p0": 3} | {f"q{n}": 1 for n in range(10)})


def test_pairs_are_capped_like_labels() -> None:
    voted = [Pair(f"{n}>x", "k", (), "a", "b", RETRY, (f"p{n % 4}",)) for n in range(8)]
    assert cap_voters(voted, 0.25) == (voted, ())
    assert cap_voters(voted, 0.2)[0] == []
