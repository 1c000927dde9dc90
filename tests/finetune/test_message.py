"""Messages as rows of JSON and back."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from engine.speakers import Called
from finetune.message import Kind, Rating, Role, SourceMessage

PLAIN = SourceMessage("telegram:100:1", "telegram", "100", "7", ("hello",))
# Of each field a value that is not the default.
OTHER: dict[str, Any] = {
    "id": "irc:lounge:2",
    "platform": "irc",
    "chat": "lounge",
    "author": "bea",
    "pieces": ("so ", Called("cem"), "\n", Called(""), ""),
    "name": "Bea B.",
    "thread": "5",
    "sent_at_ms": 0,
    "reply_to": "irc:lounge:1",
    "conversation": "c1",
    "role": Role.ASSISTANT,
    "kind": Kind.CORRECTION,
    "is_bot": True,
    "is_shared": True,
    "ratings": (Rating("7", 1, "button"), Rating("8", -1, "reaction")),
    "model_version": "v1",
    "source": "log",
}


def there_and_back(message: SourceMessage) -> SourceMessage:
    return SourceMessage.from_json(json.loads(json.dumps(message.to_json())))


def test_this_test_knows_every_field() -> None:
    assert {field.name for field in fields(SourceMessage)} == OTHER.keys()
    assert all(getattr(PLAIN, name) != value for name, value in OTHER.items())


@pytest.mark.parametrize("name", OTHER)
def test_each_field_comes_back(name: str) -> None:
    changed = replace(PLAIN, **{name: OTHER[name]})
    assert there_and_back(changed) == changed


def test_all_fields_come_back_together() -> None:
    full = SourceMessage(**OTHER)
    back = there_and_back(full)
    assert back == full
    assert (type(back.role), type(back.kind), type(back.ratings[0])) == (Role, Kind, Rating)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("kind", Kind)
def test_each_role_and_kind_comes_back(role: Role, kind: Kind) -> None:
    message = replace(PLAIN, role=role, kind=kind)
    assert there_and_back(message) == message


def test_what_is_as_by_default_takes_no_room() -> None:
    assert PLAIN.to_json() == {
        "id": "telegram:100:1",
        "platform": "telegram",
        "chat": "100",
        "author": "7",
        "pieces": ["hello"],
    }


def test_the_words_are_those_without_the_people() -> None:
    assert SourceMessage(**OTHER).text == "so \n"


def test_neighbouring_words_become_one_and_empty_ones_go() -> None:
    pieces = ("", "a", "b", Called("x"), "", Called("y"), "c", "", "d", "")
    assert PLAIN.with_pieces(pieces).pieces == ("ab", Called("x"), Called("y"), "cd")
    assert PLAIN.with_pieces(("", "")).pieces == ()
    assert PLAIN.with_pieces(()).text == ""
    assert PLAIN.with_pieces(iter(("a", "b"))) == replace(PLAIN, pieces=("ab",))
