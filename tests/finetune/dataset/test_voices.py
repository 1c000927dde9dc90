"""What somebody says in a row is one turn, and which turns a model may learn."""

import random
from dataclasses import replace

import pytest

from finetune.conversation import Conversation, LinkKind, Turn
from finetune.dataset.voices import BREAK, MERGE_MS, voiced
from finetune.fate import Outcome
from finetune.message import Kind, Rating, Role
from tests.finetune.dataset.dialogues import turn
from tests.finetune.dataset.random_trees import random_tree, words

GOOD, BAD = Rating("ann", 1, "button"), Rating("bea", -1, "reaction")
REPLY, INFERRED = LinkKind.REPLY, LinkKind.INFERRED


def said(id: str, author: str, parent: int | None, ms: int | None = None, **more: object) -> Turn:
    """A turn whose link is inferred."""
    return replace(turn(id, author, f"text of {id}", parent, sent_at_ms=ms, **more), link=INFERRED)


def asked(id: str, parent: int | None, **more: object) -> Turn:
    return said(id, "ann", parent, role=Role.USER, **more)


def ours(id: str, parent: int | None, *ratings: Rating, kind: Kind = Kind.MESSAGE) -> Turn:
    return said(id, "", parent, role=Role.ASSISTANT, is_bot=True, ratings=ratings, kind=kind)


def talk(*turns: Turn) -> Conversation:
    return Conversation(turns[0].ids[0], "log", "test", "square", turns, is_shared=False)


def merged(*turns: Turn) -> list[tuple[str, ...]]:
    conversation, _ = voiced(talk(*turns))
    return [each.ids for each in conversation.turns]


def targets(*turns: Turn) -> list[str]:
    conversation, _ = voiced(talk(*turns))
    return [each.ids[0] for each in conversation.turns if each.is_target]


# Runs


def test_what_somebody_says_within_two_minutes_is_one_turn() -> None:
    conversation, _ = voiced(
        talk(said("1", "ann", None, 0), said("2", "ann", 0, MERGE_MS), said("3", "ann", 1, 2 * MERGE_MS))
    )
    (run,) = conversation.turns
    assert run.ids == ("1", "2", "3")
    assert run.pieces == ("text of 1", BREAK, "text of 2", BREAK, "text of 3")
    assert run.text == "text of 1\ntext of 2\ntext of 3"
    assert run.sent_at_ms == 2 * MERGE_MS


def test_what_somebody_says_later_is_another_turn() -> None:
    assert merged(said("1", "ann", None, 0), said("2", "ann", 0, MERGE_MS + 1)) == [("1",), ("2",)]


def test_without_times_all_in_a_row_is_one_turn() -> None:
    assert merged(said("1", "ann", None), said("2", "ann", 0), said("3", "bea", 1)) == [("1", "2"), ("3",)]


@pytest.mark.parametrize(
    "then",
    [
        said("2", "bea", 0),
        replace(said("2", "ann", 0), link=REPLY),
        said("2", "ann", 0, kind=Kind.ACTION),
        said("2", "ann", 0, is_bot=True),
        said("2", "ann", 0, role=Role.ASSISTANT),
        said("2", "ann", None),
    ],
    ids=["of another", "an explicit reply", "an action", "a bot's", "of another role", "another root"],
)
def test_what_is_no_continuation_stands_alone(then: Turn) -> None:
    assert merged(said("1", "ann", None), then) == [("1",), ("2",)]


@pytest.mark.parametrize("kind", [Kind.CORRECTION, Kind.REJECTED])
def test_nothing_joins_a_correction_or_a_rejected_answer(kind: Kind) -> None:
    assert merged(asked("1", None), ours("2", 0, kind=kind), ours("3", 1)) == [("1",), ("2",), ("3",)]


def test_a_turn_that_was_answered_is_not_gone_on_with() -> None:
    turns = [said("1", "ann", None, 0), said("2", "bea", 0, 1), said("3", "ann", 0, 2), said("4", "ann", 2, 3)]
    assert merged(*turns) == [("1",), ("2",), ("3", "4")]


def test_an_answer_to_any_message_of_a_run_answers_the_run() -> None:
    turns = [said("1", "ann", None, 0), said("2", "ann", 0, 1), said("3", "bea", 0, 2), said("4", "cem", 1, 3)]
    conversation, _ = voiced(talk(*turns))
    assert [(each.ids, each.parent) for each in conversation.turns] == [
        (("1", "2"), None),
        (("3",), 0),
        (("4",), 0),
    ]


def test_a_run_has_the_link_of_its_first_message_and_the_ratings_of_all() -> None:
    turns = [
        asked("1", None),
        replace(ours("2", 0, GOOD), link=REPLY, model_version="v1"),
        ours("3", 1, BAD),
    ]
    conversation, _ = voiced(talk(*turns))
    run = conversation.turns[1]
    assert (run.link, run.ratings, run.model_version) == (REPLY, (GOOD, BAD), "v1")
    assert not run.is_target


@pytest.mark.parametrize("has_roles", [True, False])
def test_merging_keeps_every_message_once_and_who_answers_whom(has_roles: bool) -> None:
    rng = random.Random(11)
    num_merged = 0
    for _ in range(300):
        before = random_tree(rng, has_roles=has_roles)
        after, _ = voiced(before)
        assert sorted(id for each in after.turns for id in each.ids) == sorted(
            id for each in before.turns for id in each.ids
        )
        holder = {id: number for number, each in enumerate(after.turns) for id in each.ids}
        assert list(dict.fromkeys(holder[each.ids[0]] for each in before.turns)) == list(range(len(after.turns)))
        for each in before.turns:
            own = after.turns[holder[each.ids[0]]]
            assert (own.author, own.role, own.is_bot) == (each.author, each.role, each.is_bot)
            assert own.parent is None or own.parent < holder[each.ids[0]]
            expected = None if each.parent is None else holder[before.turns[each.parent].ids[0]]
            assert expected == holder[each.ids[0]] or own.parent == expected
        for each in after.turns:
            assert words([each.text]) == [f"w{id[1:]}x" for id in each.ids]
        num_merged += len(before.turns) - len(after.turns)
    assert num_merged > 100


# Targets


def test_between_people_whoever_answers_somebody_else_may_be_learnt() -> None:
    turns = [said("1", "ann", None, 0), said("2", "bea", 0, 1), said("3", "bea", 1, 999_999), said("4", "ann", 2)]
    assert targets(*turns) == ["2", "4"]


def test_where_there_are_roles_the_assistant_is_learnt_whoever_it_answers() -> None:
    turns = [asked("1", None), said("2", "bea", 0, role=Role.ASSISTANT), asked("3", 1)]
    assert targets(*turns) == ["2"]
    assert targets(said("1", "bea", None, role=Role.ASSISTANT), asked("2", 0)) == []


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [((), []), ((GOOD,), ["2"]), ((GOOD, GOOD), ["2"]), ((BAD,), []), ((GOOD, BAD), []), ((BAD, GOOD), [])],
)
def test_the_bots_own_answer_is_learnt_only_if_people_say_that_it_is_good(
    ratings: tuple[Rating, ...], expected: list[str]
) -> None:
    turns = [asked("1", None), ours("2", 0, *ratings)]
    assert targets(*turns) == expected
    _, fates = voiced(talk(*turns))
    assert [(fate.id, fate.outcome, fate.reason) for fate in fates] == (
        [] if expected else [("2", Outcome.CHANGED, "own answer")]
    )


def test_a_correction_is_learnt_and_a_rejected_answer_never() -> None:
    turns = [
        asked("1", None),
        ours("2", 0),
        said("3", "ann", 0, role=Role.ASSISTANT, kind=Kind.CORRECTION),
        ours("4", 0, GOOD, kind=Kind.REJECTED),
    ]
    conversation, fates = voiced(talk(*turns))
    assert [each.ids[0] for each in conversation.turns if each.is_target] == ["3"]
    assert [fate.id for fate in fates] == ["2"]


def test_what_another_bot_says_between_people_is_not_learnt() -> None:
    assert targets(said("1", "ann", None), said("2", "helper", 0, is_bot=True), said("3", "ann", 1)) == ["3"]


# Tags


@pytest.mark.parametrize(("authors", "is_shared"), [(("ann", "bea"), False), (("ann", "bea", "cem"), True)])
def test_people_need_tags_if_two_of_them_speak_beside_the_one_who_is_learnt(
    authors: tuple[str, ...], is_shared: bool
) -> None:
    turns = [said(str(n), author, n - 1 if n else None) for n, author in enumerate(authors)]
    assert voiced(talk(*turns))[0].is_shared is is_shared


@pytest.mark.parametrize(("authors", "is_shared"), [(("ann",), False), (("ann", "bea"), True)])
def test_an_assistant_needs_no_tag_and_neither_does_what_the_system_says(
    authors: tuple[str, ...], is_shared: bool
) -> None:
    turns = [said("0", "system", None, role=Role.SYSTEM), said("1", "helper", 0, role=Role.ASSISTANT)]
    turns += [said(str(n), author, n - 1, role=Role.USER) for n, author in enumerate(authors, 2)]
    assert voiced(talk(*turns))[0].is_shared is is_shared


def test_what_was_said_in_a_shared_chat_keeps_its_tags_with_one_person_in_it() -> None:
    shared = replace(talk(asked("1", None), ours("2", 0)), is_shared=True)
    assert voiced(shared)[0].is_shared
