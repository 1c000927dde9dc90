"""Everybody can read what is kept of them, and nothing of anybody else."""

import json
from typing import Any

from chatlog_samples import BERT, CHAT, DIRECT, START, message
from test_forgetting import MARK, MARKED, PRIVATE, THREAD, fill

from bots.chatlog import ChatLog, QuestionState
from bots.message import Attachment, ChatRef, Mention, MessageId, MessagesDeleted, Text, User


async def exported(log: ChatLog, user: User) -> dict[str, Any]:
    """As it comes out of a file."""
    result: dict[str, Any] = json.loads(json.dumps(await log.export(user.platform, user.id)))
    return result


async def test_an_export_has_everything_of_a_person(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    found = await exported(log, MARKED)
    assert (found["platform"], found["user_id"]) == ("telegram", "4711")
    assert [(m["chat"], m["text"]) for m in found["messages"]] == [
        (CHAT.key, f"{MARK} 1"),
        (THREAD.key, f"{MARK} 2"),
        (PRIVATE.key, f"{MARK} 3"),
        (CHAT.key, f"{MARK} 4"),
        (CHAT.key, f"{MARK} 5, open"),
    ]
    assert {m["name"] for m in found["messages"]} == {"Xanthippe"}
    assert all(m["sent_at"].startswith("2026-03-01T12:") for m in found["messages"])
    assert [a["text"] for a in found["answers"]] == [
        f"{MARK} answered",
        f"{MARK} answered anew",
        "in the thread",
        "in private",
    ]
    assert [f["score"] for f in found["feedback"]] == [1, 1]
    assert [c["text"] for c in found["corrections"]] == [f"4711 corrects {MARK}"] * 2
    assert found["plugin_data"] == {"plugin": {"key": "kept"}}
    assert found["private_chats"] == [
        {
            "chat": PRIVATE.key,
            "persona": f"{MARK} persona",
            "trigger": "addressed",
            "keywords": [],
            "plugins_off": [],
            "plugin_data": {"plugin": {"key": "kept"}},
        }
    ]
    assert [(r["kind"], r["chat"]) for r in found["requests"]] == [("train", PRIVATE.key)]
    assert [(c["chat"], c["purpose"], c["is_granted"], c["wording"]) for c in found["consents"]] == [
        (CHAT.key, "training", True, "training-2"),
        (CHAT.key, "memory", True, "memory-1"),
        (PRIVATE.key, "training", True, "training-2"),
        (PRIVATE.key, "memory", True, "memory-1"),
    ]
    assert sorted((t["role"], t["text"]) for t in found["training"]) == [
        ("correction", f"4711 corrects {MARK}"),
        ("correction", f"4711 corrects {MARK}"),
        ("user", f"{MARK} 1"),
        ("user", f"{MARK} 2"),
        ("user", f"{MARK} 3"),
    ]
    assert [(r["chat"], r["score"]) for r in found["training_ratings"]] == [(CHAT.key, 1)] * 2
    assert found["model_versions"] == ["m1"]
    answers = {a["id"] for a in found["answers"]}
    assert [m["answer"] in answers for m in found["messages"]] == [True, True, True, False, False]


async def test_an_export_has_no_words_of_others(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    of_bert = json.dumps(await exported(log, BERT))
    assert "what of this?" in of_bert
    for strange in (f"{MARK} 1", f"{MARK} 4", "4711", "Xanthippe", "4711 corrects", "persona", "in private"):
        assert strange not in of_bert
    of_marked = json.dumps(await exported(log, MARKED))
    for strange in ("question 1", "what of this?", "8 corrects", "Bert"):
        assert strange not in of_marked


async def test_a_stranger_gets_an_empty_export(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    for stranger in (User("telegram", "999", ""), User("discord", MARKED.id, "")):
        found = await exported(log, stranger)
        assert not any(value for key, value in found.items() if isinstance(value, list | dict))


async def test_an_export_tells_of_what_was_wiped_and_of_files(log: ChatLog) -> None:
    file = Attachment("a.txt", "text/plain", 12, "secret locator", "read \ud83d")
    said = (Text("for "), Mention("8", "Bert"), file)
    await log.receive(message(1, said), QuestionState.WAITING, addressed=DIRECT)
    await log.receive(message(2, "gone"), QuestionState.WAITING, addressed=DIRECT)
    await log.delete(MessagesDeleted(CHAT, (MessageId("2"),), START))
    kept, gone = (await exported(log, User("telegram", "7", "")))["messages"]
    assert kept["text"] == "for @Bert"
    assert kept["attachments"] == [
        {"name": "a.txt", "media_type": "text/plain", "size_bytes": 12, "text": "read \ud83d"}
    ]
    assert (gone["text"], gone["deleted_at"]) == (None, START.isoformat())


async def test_after_a_move_an_export_names_the_place_where_it_is(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    new = ChatRef("telegram", "bot1", "-100999")
    await log.move_chat(CHAT, new)
    found = await exported(log, MARKED)
    keys = {m["chat"] for m in found["messages"]} | {c["chat"] for c in found["consents"]}
    assert keys == {new.key, f"{new.key}/5", PRIVATE.key}
