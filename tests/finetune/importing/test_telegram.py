from pathlib import Path
from typing import Any

import pytest

from engine.speakers import Called
from finetune.importing import telegram as reader
from finetune.message import Kind
from tests.finetune.importing.samples import imported, telegram, telegram_message, texts, write


def opened(id: int) -> dict[str, Any]:
    return {"id": id, "type": "service", "action": "topic_created", "title": "bees", "date": "2024-03-01T10:00:00"}


def test_a_message_has_its_chat_author_and_time(tmp_path: Path) -> None:
    (message,), problems = imported(write(tmp_path, "a.json", telegram(telegram_message(7, "Hi."))), "telegram")
    assert (message.id, message.platform, message.chat) == ("telegram:5:7", "telegram", "5")
    assert (message.author, message.name, message.text) == ("user21", "Person 21", "Hi.")
    assert message.sent_at_ms == 1709283607000
    assert problems.count == 0


def test_a_time_without_zone_is_read_in_the_given_one(tmp_path: Path) -> None:
    row = telegram_message(7, "Hi.")
    del row["date_unixtime"]
    path = write(tmp_path, "a.json", telegram(row))
    (in_utc,), _ = imported(path, "telegram")
    (in_berlin,), _ = imported(path, "telegram", timezone="Europe/Berlin")
    assert (in_utc.sent_at_ms, in_berlin.sent_at_ms) == (1709287200000, 1709283600000)


def test_a_whole_account_gives_the_chats_apart(tmp_path: Path) -> None:
    account = {
        "about": "An export.",
        "contacts": {"list": [{"first_name": "Ann"}]},
        "chats": {
            "about": "All.",
            "list": [
                telegram(telegram_message(1, "one"), opened(2), telegram_message(3, "two", reply_to_message_id=2)),
                telegram(telegram_message(3, "three", reply_to_message_id=2), id=6, name=None),
                {"messages": [telegram_message(1, "four")]},
            ],
        },
        "left_chats": {"list": [telegram(telegram_message(1, "five"), id=7)]},
    }
    messages, problems = imported(write(tmp_path, "all.json", account), "telegram")
    assert [(message.chat, message.text, message.thread) for message in messages] == [
        ("5", "one", None),
        ("5", "two", "2"),
        ("6", "three", None),
        ("all/chats.list[2]", "four", None),
        ("7", "five", None),
    ]
    assert problems.count == 0


def test_a_chat_and_messages_without_ids_go_by_name_and_number(tmp_path: Path) -> None:
    rows = [{"type": "message", "date_unixtime": "5", "from": "Ann", "text": text} for text in ("one", "two")]
    messages, _ = imported(write(tmp_path, "a.b.json.gz", {"messages": rows}), "telegram")
    assert [message.id for message in messages] == ["telegram:a.b:#0", "telegram:a.b:#1"]
    assert messages[0].author == "Ann"


def test_text_in_parts_is_joined_and_a_mention_by_id_is_a_call(tmp_path: Path) -> None:
    text = ["Look, ", {"type": "mention_name", "text": "Ben", "user_id": 22}, {"type": "bold", "text": "! "}, "There."]
    (message,), _ = imported(write(tmp_path, "a.json", telegram(telegram_message(1, text))), "telegram")
    assert message.pieces == ("Look, ", Called("user22"), "! There.")


def test_a_username_is_who_speaks_under_it_or_someone(tmp_path: Path) -> None:
    def mention(username: str) -> list[Any]:
        return ["ask ", {"type": "mention", "text": username}, " then"]

    rows = [
        telegram_message(1, "hello", 22, **{"from": "Hazel_88"}),
        telegram_message(2, mention("@hazel_88")),
        telegram_message(3, mention("@rowan_the_second")),
    ]
    messages, problems = imported(write(tmp_path, "a.json", telegram(*rows)), "telegram")
    assert messages[1].pieces == ("ask ", Called("user22"), " then")
    assert messages[2].pieces == ("ask @someone then",)
    assert problems.count == 0


def test_entities_stand_in_for_a_missing_text(tmp_path: Path) -> None:
    row = telegram_message(1, None, text_entities=[{"type": "plain", "text": "words"}])
    (message,), _ = imported(write(tmp_path, "a.json", telegram(row)), "telegram")
    assert message.pieces == ("words",)


def test_messages_of_a_topic_are_a_thread_and_no_replies_to_its_beginning(tmp_path: Path) -> None:
    rows = [
        opened(2),
        telegram_message(3, "in the topic", reply_to_message_id=2),
        telegram_message(4, "answers that", reply_to_message_id=3),
        telegram_message(5, "elsewhere"),
        telegram_message(6, "answers elsewhere", reply_to_message_id=5),
    ]
    messages, _ = imported(write(tmp_path, "a.json", telegram(*rows)), "telegram")
    assert [(message.thread, message.reply_to) for message in messages] == [
        ("2", None),
        ("2", "telegram:5:3"),
        (None, None),
        (None, "telegram:5:5"),
    ]


def test_a_picture_without_words_hands_its_topic_on(tmp_path: Path) -> None:
    rows = [
        opened(2),
        telegram_message(3, "", reply_to_message_id=2, photo="p.jpg"),
        telegram_message(4, "pretty", reply_to_message_id=3),
    ]
    (message,), problems = imported(write(tmp_path, "a.json", telegram(*rows)), "telegram")
    assert (message.thread, message.reply_to) == ("2", "telegram:5:3")
    assert problems.skipped == {"service message": 1, "no text": 1}


def test_topics_of_old_messages_are_forgotten_but_links_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_MAX_REMEMBERED", 2)
    rows = [opened(2), *(telegram_message(id, "x", reply_to_message_id=2) for id in (3, 4, 5))]
    rows += [telegram_message(6, "late", reply_to_message_id=3), telegram_message(7, "y", reply_to_message_id=2)]
    messages, _ = imported(write(tmp_path, "a.json", telegram(*rows)), "telegram")
    late, after = messages[-2:]
    assert (late.thread, late.reply_to, after.thread) == (None, "telegram:5:3", "2")


def test_a_reply_to_another_chat_is_none(tmp_path: Path) -> None:
    row = telegram_message(4, "there", reply_to_message_id=3, reply_to_peer_id="channel9")
    (message,), _ = imported(write(tmp_path, "a.json", telegram(row)), "telegram")
    assert message.reply_to is None


@pytest.mark.parametrize(
    ("text", "fields", "kind", "is_bot"),
    [
        ("hi", {"forwarded_from": "Someone"}, Kind.FORWARD, False),
        ("hi", {"forwarded_from": None}, Kind.FORWARD, False),  # of a deleted account
        ("hi", {"forwarded_from_id": None}, Kind.FORWARD, False),
        ("a song", {"via_bot": None}, Kind.MESSAGE, True),
        ([{"type": "bot_command", "text": "/start"}, " now"], {}, Kind.COMMAND, False),
        ("/start", {"text_entities": [{"type": "bot_command", "text": "/start"}]}, Kind.COMMAND, False),
        (["see ", {"type": "bot_command", "text": "/start"}], {}, Kind.MESSAGE, False),
        ("a song", {"via_bot": "@songs"}, Kind.MESSAGE, True),
    ],
)
def test_the_fields_of_a_message_say_what_it_is(
    tmp_path: Path, text: Any, fields: dict[str, Any], kind: Kind, is_bot: bool
) -> None:
    (message,), _ = imported(write(tmp_path, "a.json", telegram(telegram_message(1, text, **fields))), "telegram")
    assert (message.kind, message.is_bot) == (kind, is_bot)


def test_in_a_chat_with_a_bot_the_bot_is_known(tmp_path: Path) -> None:
    export = telegram(telegram_message(1, "hi", 21), telegram_message(2, "beep", 5), type="bot_chat")
    messages, _ = imported(write(tmp_path, "a.json", export), "telegram")
    assert [message.is_bot for message in messages] == [False, True]


def test_a_deleted_account_has_an_id_and_no_name(tmp_path: Path) -> None:
    row = telegram_message(1, "hi") | {"from": None}
    (message,), _ = imported(write(tmp_path, "a.json", telegram(row)), "telegram")
    assert (message.author, message.name) == ("user21", "")


def test_bad_rows_are_listed_and_good_ones_kept(tmp_path: Path) -> None:
    rows = [
        telegram_message(1, "first"),
        None,
        telegram_message(2, 17),
        telegram_message(3, "x", date_unixtime="soon"),
        telegram_message(4, "x", date_unixtime="9" * 30),
        telegram_message(5, "x", type="mystery"),
        telegram_message(6, ["x", 3]),
        telegram_message(7, "last"),
        {"type": "unsupported", "id": 8},
    ]
    messages, problems = imported(write(tmp_path, "a.json", telegram(*rows)), "telegram")
    assert texts(messages) == ["first", "last"]
    assert [problem.place for problem in problems.first] == [f"messages[{number}]" for number in range(1, 7)]
    assert problems.skipped == {"unsupported message": 1}
