"""Conversations as rows of JSON and back."""

import json
import random
from dataclasses import fields, replace
from typing import Any

import pytest

from engine.speakers import Called
from finetune.conversation import Conversation, LinkKind, Turn
from finetune.dataset.voices import voiced
from finetune.message import Kind, Rating, Role
from tests.finetune.dataset.random_trees import random_tree

PLAIN = Turn(("1",), "ann", ("hello",), None, LinkKind.ROOT)
# Of each field a value that is not the default.
OTHER: dict[str, Any] = {
    "ids": ("2", "3"),
    "author": "bea",
    "pieces": ("so ", Called("cem"), "\n", "two"),
    "parent": 0,
    "link": LinkKind.INFERRED,
    "sent_at_ms": 0,
    "role": Role.ASSISTANT,
    "kind": Kind.REJECTED,
    "is_bot": True,
    "is_target": True,
    "ratings": (Rating("7", 1, "button"), Rating("8", -1, "reaction")),
    "model_version": "v1",
}
WHOLE: dict[str, Any] = {
    "key": "1",
    "source": "log",
    "platform": "telegram",
    "chat": "100",
    "turns": (PLAIN, Turn(**OTHER)),
    "is_shared": True,
}


def there_and_back(conversation: Conversation) -> Conversation:
    return Conversation.from_json(json.loads(json.dumps(conversation.to_json())))


def test_these_tests_know_every_field() -> None:
    assert {field.name for field in fields(Turn)} == OTHER.keys()
    assert all(getattr(PLAIN, name) != value for name, value in OTHER.items())
    assert {field.name for field in fields(Conversation)} == WHOLE.keys()


@pytest.mark.parametrize("name", OTHER)
def test_each_field_of_a_turn_comes_back(name: str) -> None:
    turn = replace(PLAIN, **{name: OTHER[name]})
    assert Turn.from_json(json.loads(json.dumps(turn.to_json()))) == turn


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_conversation_comes_back(is_shared: bool) -> None:
    conversation = Conversation(**(WHOLE | {"is_shared": is_shared}))
    back = there_and_back(conversation)
    assert back == conversation
    turn = back.turns[1]
    assert (type(turn.link), type(turn.role), type(turn.kind)) == (LinkKind, Role, Kind)


@pytest.mark.parametrize("has_roles", [True, False])
def test_random_conversations_come_back(has_roles: bool) -> None:
    rng = random.Random(12)
    for _ in range(100):
        conversation, _ = voiced(random_tree(rng, has_roles=has_roles))
        assert there_and_back(conversation) == conversation


def test_an_inferred_link_counts_half() -> None:
    assert {link: link.weight for link in LinkKind if link.weight != 1.0} == {LinkKind.INFERRED: 0.5}


def test_a_conversation_lasts_from_its_first_turn_to_its_latest() -> None:
    times = (5, None, 9, 7)
    turns = tuple(replace(PLAIN, ids=(str(n),), sent_at_ms=ms) for n, ms in enumerate(times))
    conversation = Conversation(**(WHOLE | {"turns": turns}))
    assert (conversation.started_at_ms, conversation.ended_at_ms) == (5, 9)
    timeless = conversation.with_turns((PLAIN,))
    assert (timeless.started_at_ms, timeless.ended_at_ms) == (None, None)


def test_other_turns_leave_the_rest_as_it_is() -> None:
    conversation = Conversation(**WHOLE)
    assert conversation.with_turns((PLAIN,)) == replace(conversation, turns=(PLAIN,))
    assert PLAIN.with_target(True) == replace(PLAIN, is_target=True)
    assert Turn(**OTHER).with_target(False) == replace(Turn(**OTHER), is_target=False)
    assert Turn(**OTHER).text == "so \ntwo"
