"""Conversations that their source has divided."""

import random
from dataclasses import fields

from engine.speakers import Called
from finetune.conversation import Conversation, LinkKind, Turn
from finetune.message import Kind, Rating, Role, SourceMessage
from finetune.threads.divided import divided


def said(id: str, reply_to: str | None = None, conversation: str = "c", **more: object) -> SourceMessage:
    return SourceMessage(
        id, "dataset", "talks", "ann", (f"text of {id}",), conversation=conversation, reply_to=reply_to, **more
    )


def parents(conversation: Conversation) -> dict[str, str | None]:
    ids = [turn.ids[0] for turn in conversation.turns]
    return {turn.ids[0]: None if turn.parent is None else ids[turn.parent] for turn in conversation.turns}


def only(*messages: SourceMessage) -> Conversation:
    (conversation,) = divided(messages)
    return conversation


def test_without_links_each_message_answers_the_one_before_it() -> None:
    conversation = only(said("1"), said("2"), said("3"))
    assert parents(conversation) == {"1": None, "2": "1", "3": "2"}
    assert [turn.link for turn in conversation.turns] == [LinkKind.ROOT, LinkKind.SOURCE, LinkKind.SOURCE]


def test_conversations_come_in_the_order_of_their_first_messages_and_are_known_by_them() -> None:
    messages = [said("1", conversation="b"), said("2", conversation="a"), said("3", conversation="b")]
    found = divided(messages)
    assert [(each.key, len(each.turns)) for each in found] == [("1", 2), ("2", 1)]
    assert parents(found[0]) == {"1": None, "3": "1"}


def test_a_link_says_what_is_answered() -> None:
    assert parents(only(said("1"), said("2"), said("3", "1"), said("4"))) == {"1": None, "2": "1", "3": "1", "4": "3"}


def test_an_answer_to_what_is_not_there_begins_anew() -> None:
    conversation = only(said("1"), said("2", "gone"), said("3", "2"))
    assert parents(conversation) == {"1": None, "2": None, "3": "2"}
    assert [turn.link for turn in conversation.turns] == [LinkKind.ROOT, LinkKind.ROOT, LinkKind.SOURCE]


def test_an_answer_to_what_comes_later_is_put_after_it() -> None:
    conversation = only(said("1"), said("2", "4"), said("3", "1"), said("4", "3"))
    assert [turn.ids[0] for turn in conversation.turns] == ["1", "3", "4", "2"]
    assert parents(conversation) == {"1": None, "3": "1", "4": "3", "2": "4"}
    assert conversation.key == "1"


def test_a_ring_of_answers_is_opened_at_one_place() -> None:
    conversation = only(said("1", "3"), said("2", "1"), said("3", "2"))
    assert parents(conversation) == {"2": None, "3": "2", "1": "3"}
    assert parents(only(said("1", "1"), said("2"))) == {"1": None, "2": "1"}
    assert parents(only(said("1"), said("2", "1"))) == {"1": None, "2": "1"}
    assert parents(only(said("2", "1"), said("1"))) == {"1": None, "2": "1"}  # by clocks that differ


def test_whatever_the_links_each_message_is_there_once_and_after_what_it_answers() -> None:
    rng = random.Random(13)
    for _ in range(300):
        ids = [str(n) for n in range(rng.randint(1, 12))]
        messages = [said(id, rng.choice((None, "gone", *ids))) for id in ids]
        answered = {m.id: m.reply_to or (ids[n - 1] if n else None) for n, m in enumerate(messages)}
        conversation = only(*messages)
        assert sorted(turn.ids[0] for turn in conversation.turns) == sorted(ids)
        assert all(turn.parent is None or turn.parent < number for number, turn in enumerate(conversation.turns))
        for id, parent in parents(conversation).items():
            assert parent == answered[id] or (parent is None and (answered[id] == "gone" or is_in_ring(id, answered)))


def is_in_ring(id: str, answered: dict[str, str | None]) -> bool:
    at = answered[id]
    for _ in answered:
        if at == id:
            return True
        at = answered.get(at or "")
    return False


def test_a_long_chain_that_comes_backwards_is_no_trouble() -> None:
    number = 5_000
    messages = [said(str(n), str(n + 1)) for n in range(number)]
    conversation = only(*messages)
    assert [turn.parent for turn in conversation.turns] == [None, *range(number - 1)]


def test_a_turn_has_all_that_the_message_has() -> None:
    message = said(
        "1",
        sent_at_ms=5,
        role=Role.ASSISTANT,
        kind=Kind.ACTION,
        is_bot=True,
        ratings=(Rating("bea", 1, "button"),),
        model_version="v1",
        source="talks",
        is_shared=True,
    ).with_pieces(("hi ", Called("bea")))
    conversation = only(message)
    (turn,) = conversation.turns
    same = {field.name for field in fields(Turn)} & {field.name for field in fields(SourceMessage)}
    assert {name: getattr(turn, name) for name in same} == {name: getattr(message, name) for name in same}
    assert (turn.ids, turn.parent, turn.is_target) == (("1",), None, False)
    assert (conversation.source, conversation.platform, conversation.chat) == ("talks", "dataset", "talks")
    assert conversation.is_shared


def test_a_conversation_is_shared_if_any_of_it_was_said_in_a_shared_chat() -> None:
    assert only(said("1"), said("2", is_shared=True)).is_shared
    assert not only(said("1"), said("2")).is_shared
