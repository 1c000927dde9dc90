"""What plugins keep comes back as it was, to whom it was kept for, and to no one else."""

from typing import Any

import pytest
from chatlog_samples import ANNA, BERT, CHAT, talk

from bots.chatlog import ChatLog, DatabaseSettings, Person
from bots.chatlog.plugindata import MAX_KEY_CHARS, MAX_VALUE_BYTES
from bots.message import ChatRef, User

THREAD = ChatRef("telegram", "bot1", "100", "5")
OWNERS = [
    None,
    CHAT,
    THREAD,
    ChatRef("telegram", "bot1", "100/5"),
    ChatRef("telegram", "bot2", "100"),
    Person("telegram", "7"),
    Person("discord", "7"),
    Person("telegram", "7/8"),
    Person("telegram/7", "8"),
    Person("telegram", "7%2F8"),
]


@pytest.mark.parametrize(
    "value", [None, True, 0, -1.5, "", "héllo \ud83d \x00", [], [1, [2, {"a": None}]], {}, {"b": {"c": "☠"}}]
)
async def test_any_json_comes_back_as_it_was(log_settings: DatabaseSettings, value: Any) -> None:
    async with ChatLog.open(log_settings) as log:
        await log.data.set("plugin", ANNA, "key", "before")
        await log.data.set("plugin", ANNA, "key", value)
    async with ChatLog.open(log_settings) as log:
        assert await log.data.get("plugin", ANNA, "key") == value
        assert await log.data.items("plugin", ANNA) == {"key": value}


async def test_every_owner_has_values_of_its_own(log: ChatLog) -> None:
    for number, owner in enumerate(OWNERS):
        assert await log.data.get("plugin", owner, "key") is None
        await log.data.set("plugin", owner, "key", number)
        await log.data.set("another", owner, "key", -number)
    for number, owner in enumerate(OWNERS):
        assert await log.data.get("plugin", owner, "key") == number
        assert await log.data.get("another", owner, "key") == -number
    assert await log.data.delete("plugin", CHAT, "key")
    assert not await log.data.delete("plugin", CHAT, "key")
    assert [await log.data.get("plugin", owner, "key") for owner in OWNERS] == [0, None, *range(2, len(OWNERS))]
    assert await log.data.drop("plugin") == len(OWNERS) - 1
    assert [await log.data.get("plugin", owner, "key") for owner in OWNERS] == [None] * len(OWNERS)
    assert await log.data.get("another", THREAD, "key") == -2


async def test_a_user_is_a_person_whatever_the_name(log: ChatLog) -> None:
    await log.data.set("plugin", User("telegram", "7", "Anna"), "key", 1)
    assert await log.data.get("plugin", Person("telegram", "7"), "key") == 1
    assert await log.data.get("plugin", User("telegram", "7", "Annabel"), "key") == 1


async def test_items_can_be_asked_for_by_how_their_keys_begin(log: ChatLog) -> None:
    keys = ["a", "a%", "a_b", "A", "ab", "b", "a\ud7ff", "a\U0010fffe"]
    for key in keys:
        await log.data.set("plugin", CHAT, key, key)
    assert await log.data.items("plugin", CHAT) == {key: key for key in keys}
    assert set(await log.data.items("plugin", CHAT, "a")) == {key for key in keys if key[0] == "a"}
    assert set(await log.data.items("plugin", CHAT, "a%")) == {"a%"}
    assert await log.data.items("plugin", CHAT, "x") == {}
    assert await log.data.items("plugin", ANNA) == {}


async def test_what_is_too_long_is_refused_with_figures(log: ChatLog) -> None:
    await log.data.set("plugin", CHAT, "k" * MAX_KEY_CHARS, "v" * (MAX_VALUE_BYTES - 2))
    with pytest.raises(ValueError, match=r"201 characters.* 200"):
        await log.data.set("plugin", CHAT, "k" * (MAX_KEY_CHARS + 1), 1)
    with pytest.raises(ValueError, match="0 characters"):
        await log.data.set("plugin", CHAT, "", 1)
    with pytest.raises(ValueError, match=r"65537 bytes.* 65536"):
        await log.data.set("plugin", CHAT, "key", "v" * (MAX_VALUE_BYTES - 1))
    with pytest.raises(ValueError, match="65538 bytes"):
        await log.data.set("plugin", CHAT, "key", "é" * (MAX_VALUE_BYTES // 2))
    assert len(await log.data.items("plugin", CHAT)) == 1


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "a\udfff"])
async def test_a_key_that_no_database_keeps_is_refused(log: ChatLog, key: str) -> None:
    data = log.data
    for refused in (data.set("p", ANNA, key, 1), data.get("p", ANNA, key), data.items("p", ANNA, key)):
        with pytest.raises(ValueError, match="NUL or a lone surrogate"):
            await refused
    with pytest.raises(ValueError, match="NUL or a lone surrogate"):
        await data.delete("p", ANNA, key)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, float("nan"), object()])
async def test_what_is_no_json_is_refused(log: ChatLog, value: Any) -> None:
    with pytest.raises(ValueError, match="no JSON"):
        await log.data.set("plugin", CHAT, "key", value)


async def test_looking_for_a_chat_that_was_never_seen_makes_none(log: ChatLog) -> None:
    assert await log.data.get("plugin", CHAT, "key") is None
    assert not await log.data.delete("plugin", CHAT, "key")
    assert (await log.stats()).chats == 0


async def test_a_moved_chat_takes_its_values_along_and_those_of_the_place_it_moves_into(log: ChatLog) -> None:
    old, new = CHAT, ChatRef("telegram", "bot1", "-100999")
    await log.data.set("plugin", old, "both", "old")
    await log.data.set("plugin", old, "old", 1)
    await talk(log, 1, new)
    await log.data.set("plugin", new, "both", "new")
    await log.data.set("plugin", new, "new", 2)
    await log.data.set("plugin", BERT, "both", "Bert's")
    await log.move_chat(old, new)
    assert await log.data.items("plugin", new) == {"both": "old", "new": 2, "old": 1}
    assert await log.data.items("plugin", old) == {}
    assert await log.data.items("plugin", BERT) == {"both": "Bert's"}
    assert (await log.stats()).others["plugin_data"] == 4
