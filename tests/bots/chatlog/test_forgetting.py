"""Who asks to be forgotten is: every row, every text, and the way from the pseudonym to the person."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chatlog_samples import (
    ANNA,
    BERT,
    CHAT,
    DIRECT,
    answer,
    ask,
    decide,
    message,
    said,
    settings,
    spoken,
    talk_now,
    trainable,
    write,
)
from sqlalchemy import Row, delete, select
from test_encryption import all_bytes

from bots.chatlog import (
    AnswerState,
    ChatLog,
    ChatSettings,
    DatabaseSettings,
    FeedbackSource,
    Forgotten,
    Person,
    QuestionState,
    places,
)
from bots.chatlog.places import ENCRYPTED
from bots.chatlog.schema import consents, lineage, messages, metadata
from bots.errors import DatabaseError
from bots.message import ChatRef, MessageId, Quote, Text, User
from bots.policy import Purpose

MARKED = User("telegram", "4711", "Xanthippe")
THREAD = ChatRef("telegram", "bot1", "100", "5")
PRIVATE = ChatRef("telegram", "bot2", "4711")
MARK = "xanthippes word"
LONG = User("telegram", "471147114711", "Xanthippe")


async def fill(log: ChatLog) -> None:
    """Everything of the marked person, and much of the same of others, in a group and in private."""
    for user, chat in ((MARKED, CHAT), (BERT, CHAT), (MARKED, PRIVATE)):
        for purpose in (Purpose.TRAINING, Purpose.MEMORY):
            await decide(log, user=user, chat=chat, purpose=purpose, is_private=chat == PRIVATE)
    await talk_now(log, 1, author=BERT)
    first = await ask(log, 20, f"{MARK} 1", author=MARKED, time=log.now())
    await answer(log, [first], f"{MARK} answered", post=21)
    await answer(log, [first], f"{MARK} answered anew", post=22)
    threaded = await ask(log, 30, f"{MARK} 2", author=MARKED, chat=THREAD, time=log.now())
    await answer(log, [threaded], "in the thread", post=31, chat=THREAD)
    private = await ask(log, 40, f"{MARK} 3", author=MARKED, chat=PRIVATE, time=log.now(), is_private=True)
    await answer(log, [private], "in private", post=41, chat=PRIVATE)
    quote = Quote(MessageId("50"), MARKED, (Text(f"{MARK} 4"),))
    sent = message(51, "what of this?", author=BERT, quote=quote, time=log.now())
    await log.note_quote(sent)
    row_id = await log.receive(sent, QuestionState.WAITING, addressed=DIRECT)
    assert row_id is not None
    await answer(log, [row_id], "hm", post=52)
    await ask(log, 60, f"{MARK} 5, open", author=MARKED, time=log.now())
    for user in (MARKED, BERT):
        for post in ("11", "22"):
            await log.give_feedback(CHAT, MessageId(post), user.id, 1, FeedbackSource.BUTTON)
            await log.corrections.give(CHAT, MessageId(post), user, (Text(f"{user.id} corrects {MARK}"),))
    await log.save_chat_settings(PRIVATE, ChatSettings(f"{MARK} persona"), is_private=True)
    for owner in (MARKED, BERT, PRIVATE, CHAT, None):
        await log.data.set("plugin", owner, "key", "kept")
    await log.mailbox.ask("train", PRIVATE, MARKED)
    await log.mailbox.ask("train", CHAT, BERT)
    await log.training.note_model("m1", [m.message_id for turn in await trainable(log) for m in turn.messages])


async def counts(log: ChatLog) -> dict[str, int]:
    async with log._database.read() as connection:
        return {
            table.name: len((await connection.execute(select(table.c.id))).all()) for table in metadata.sorted_tables
        }


async def test_all_of_a_person_goes_and_all_of_others_stays(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    before = await counts(log)
    assert before["corrections"] == 4
    forgotten = await log.forget("telegram", MARKED.id)
    after = await counts(log)
    assert forgotten == Forgotten(
        messages=5,
        answers=4,
        posts=3,
        feedback=3,
        corrections=3,
        training_messages=11,
        training_ratings=2,
        plugin_data=2,
        requests=1,
        chats=1,
        consents=4,
        model_versions=("m1",),
    )
    gone = {name: before[name] - after[name] for name in before if before[name] != after[name]}
    assert gone == {
        "messages": 9,
        "posts": 3,
        "feedback": 3,
        "corrections": 3,
        "training_messages": 11,
        "training_ratings": 4,
        "plugin_data": 2,
        "requests": 1,
        "chats": 1,
        "people": 1,
        "consents": -4,
    }
    assert said(await log.history(CHAT)) == [(["question 1"], "answer 1"), (["what of this?"], "hm")]
    assert await log.unfinished("telegram", "bot1") == []
    assert len(spoken(await trainable(log))) == 1
    assert [await log.data.get("plugin", owner, "key") for owner in (BERT, CHAT, None)] == ["kept"] * 3
    assert await log.data.get("plugin", MARKED, "key") is None


async def test_no_text_of_a_forgotten_person_can_be_opened(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    assert any(MARK in opened for opened in await opened_texts(log))
    await log.forget("telegram", MARKED.id)
    left = await opened_texts(log)
    assert len(left) > 10
    # What another person wrote about it is that person's.
    assert [opened for opened in left if MARK in opened and "8 corrects" not in opened] == []
    assert not any(MARKED.name in opened for opened in left)


async def opened_texts(log: ChatLog) -> list[str]:
    """Everything that is encrypted, in whichever table, decrypted by whoever has the key, whatever it is bound to."""
    texts = []
    async with log._database.read() as connection:
        assert {encrypted.table for encrypted in ENCRYPTED} == {t for t in metadata.tables.values() if "key_id" in t.c}
        for encrypted in ENCRYPTED:
            owner = [column.label(f"owner_{i}") for i, column in enumerate(encrypted.owner)]
            found = select(encrypted.table, *owner).select_from(encrypted.source)
            for row in (await connection.execute(found)).all():
                for name in encrypted.columns:
                    if (blob := getattr(row, name)) is not None:
                        texts.append(log._cipher.open(encrypted.place(row, name), blob).decode("utf-8", "replace"))
    return texts


async def test_nothing_leads_from_the_ledger_to_the_person(
    confirmed_log: ChatLog, log_settings: DatabaseSettings
) -> None:
    log = confirmed_log
    await fill(log)
    pseudonym = await log.consents.pseudonym("telegram", MARKED.id)
    await log.forget("telegram", MARKED.id)
    assert await log.consents.pseudonym("telegram", MARKED.id) is None
    assert await log.consents.history("telegram", MARKED.id) == []
    async with log._database.read() as connection:
        entries = (await connection.execute(select(consents).where(consents.c.pseudonym == pseudonym))).all()
        (seen,) = (await connection.execute(select(lineage).where(lineage.c.pseudonym == pseudonym))).all()
        assert seen.forgotten_at is not None
        assert len(entries) == 8
        assert {e.source for e in entries if not e.is_granted} == {"forget"}
        for table in metadata.sorted_tables:
            for row in (await connection.execute(select(table))).all():
                assert MARKED.id not in strings(row), table.name
    await decide(log, user=MARKED, chat=PRIVATE, is_private=True)  # a stranger, by another name
    assert await log.consents.pseudonym("telegram", MARKED.id) not in {None, pseudonym}


def strings(row: Row[tuple[object, ...]]) -> Iterator[str]:
    """All in a row that could name somebody, in pieces."""
    for value in row:
        if isinstance(value, str):
            yield value
            yield from value.split("/")


async def test_the_file_itself_forgets(sqlite_url: str, tmp_path: Path) -> None:
    async with ChatLog.open(settings(sqlite_url, tmp_path)) as log:
        await ask(log, 1, "x" * 3000, author=LONG, chat=PRIVATE, is_private=True)
        await decide(log, user=LONG, chat=PRIVATE, is_private=True)
        assert LONG.id.encode() in await all_bytes(sqlite_url)
        await log.forget("telegram", LONG.id)
        assert LONG.id.encode() not in await all_bytes(sqlite_url)


async def test_in_one_chat_what_is_elsewhere_stays(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    forgotten = await log.forget_in("telegram", MARKED.id, THREAD)
    assert (forgotten.messages, forgotten.answers, forgotten.feedback, forgotten.corrections) == (4, 3, 3, 3)
    assert (forgotten.chats, forgotten.plugin_data, forgotten.requests, forgotten.consents) == (0, 0, 0, 1)
    assert (forgotten.training_messages, forgotten.training_ratings) == (9, 2)
    assert forgotten.model_versions == ("m1",)
    assert await log.history(THREAD) == []
    assert len(await log.history(CHAT)) == 2
    assert said(await log.history(PRIVATE)) == [([f"{MARK} 3"], "in private")]
    assert await log.data.get("plugin", MARKED, "key") == "kept"
    standing = await log.consents.standing(MARKED, CHAT)
    assert {p: e and e.is_granted for p, e in standing.items()} == {Purpose.MEMORY: True, Purpose.TRAINING: False}
    assert set(await log.training.tainted_since()) == {"m1"}
    assert len(await trainable(log)) == 2


async def test_a_private_chat_that_is_forgotten_begins_anew(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    assert (await log.forget_in("telegram", MARKED.id, PRIVATE)).chats == 1
    assert await log.chat_settings(PRIVATE) == ChatSettings()
    assert await log.data.get("plugin", PRIVATE, "key") is None
    assert await log.history(PRIVATE) == []
    assert len(await log.history(CHAT)) == 3
    row_id = await ask(log, 40, "again", author=MARKED, chat=PRIVATE, time=log.now(), is_private=True)
    await answer(log, [row_id], chat=PRIVATE)
    assert said(await log.history(PRIVATE)) == [(["again"], "hi")]


async def test_a_refusal_to_be_remembered_outlives_forgetting_one_chat(log: ChatLog) -> None:
    await decide(log, False, purpose=Purpose.MEMORY)
    await log.forget_in("telegram", ANNA.id, CHAT)
    await talk_now(log, 1)
    assert await log.history(CHAT) == []


async def test_a_refusal_to_be_remembered_outlives_forgetting_a_private_chat(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await fill(log)
    await decide(log, False, user=MARKED, chat=PRIVATE, purpose=Purpose.MEMORY)
    assert (await log.forget_in("telegram", MARKED.id, PRIVATE)).chats == 1
    assert not (await log.consents.verdicts(MARKED, PRIVATE))[Purpose.MEMORY].is_allowed
    assert await log.chat_settings(PRIVATE) == ChatSettings()
    assert await log.data.get("plugin", PRIVATE, "key") is None
    await talk_now(log, 9, PRIVATE, author=MARKED, is_private=True)
    assert await log.history(PRIVATE) == []
    assert (await log.forget("telegram", MARKED.id)).chats == 1
    assert (await counts(log))["chats"] == 2


async def test_nobody_makes_a_group_private_to_have_it_forgotten(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for number, user in enumerate((ANNA, BERT), start=1):
        await decide(log, user=user)
        await talk_now(log, number, author=user)
    await log.save_chat_settings(CHAT, ChatSettings("ours"), is_private=False)
    await decide(log, user=MARKED, is_private=True)
    await log.save_chat_settings(CHAT, ChatSettings("ours"), is_private=True)
    assert (await log.forget_in("telegram", MARKED.id, CHAT)).chats == 0
    assert (await log.forget("telegram", MARKED.id)).chats == 0
    assert (len(await log.history(CHAT)), len(await trainable(log))) == (2, 2)
    assert (await log.chat_settings(CHAT)).persona == "ours"
    answered = await log.answer_at(CHAT, MessageId("11"))
    assert answered is not None
    assert not answered.is_private


@pytest.mark.parametrize("is_said", [True, False])
async def test_a_chat_in_which_others_speak_or_decide_is_nobodys_private_one(log: ChatLog, is_said: bool) -> None:
    await decide(log, user=MARKED, is_private=True)  # before anybody has spoken
    if is_said:
        await ask(log, 1, author=BERT, is_private=True)
    else:
        await decide(log, user=BERT)
    assert (await log.forget("telegram", MARKED.id)).chats == 0
    assert (await counts(log))["chats"] == 1


async def test_an_answer_whose_question_is_gone_goes_too(log: ChatLog) -> None:
    await talk_now(log, 1)
    row_id = await talk_now(log, 2, author=BERT)
    async with log._database.write() as connection:  # as when PostgreSQL shows an answer late
        await connection.execute(delete(messages).where(messages.c.id == row_id))
    await log.forget("telegram", ANNA.id)
    assert (await counts(log))["messages"] == 0


async def test_no_answer_is_begun_in_a_chat_that_is_gone(log: ChatLog) -> None:
    row_id = await ask(log, 1, chat=PRIVATE, author=MARKED, is_private=True)
    await log.forget("telegram", MARKED.id)
    with pytest.raises(ValueError, match="forgotten"):
        await log.begin_answer(PRIVATE, [row_id])
    assert (await counts(log))["chats"] == 0


async def test_what_is_decided_and_kept_after_another_process_removed_the_chat_holds(
    log_settings: DatabaseSettings,
) -> None:
    async with ChatLog.open(log_settings) as bot, ChatLog.open(log_settings) as other:
        await ask(bot, 1, chat=PRIVATE, author=MARKED, is_private=True)
        await other.forget("telegram", MARKED.id)
        await decide(bot, False, user=MARKED, chat=PRIVATE, purpose=Purpose.MEMORY, is_private=True)
        assert (await bot.consents.standing(MARKED, PRIVATE))[Purpose.MEMORY] is not None
        await other.forget("telegram", MARKED.id)
        await bot.data.set("plugin", PRIVATE, "key", 1)
        for log in (bot, other):
            assert await log.data.get("plugin", PRIVATE, "key") == 1
        await bot.save_chat_settings(PRIVATE, ChatSettings("mine"), is_private=True)
        assert (await bot.chat_settings(PRIVATE)).persona == "mine"


async def test_an_answer_under_way_to_somebody_forgotten_comes_to_nothing(log: ChatLog) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1)])
    await log.forget("telegram", ANNA.id)
    await write(log, answer_id)
    await log.posting(answer_id, 0, "n")
    await log.posted(answer_id, 0, MessageId("2"))
    await log.end_answer(answer_id, AnswerState.DELIVERED)
    assert (await counts(log))["messages"] == 0


async def test_another_process_notices_that_a_chat_is_gone(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as bot, ChatLog.open(log_settings) as other:
        await ask(bot, 1, chat=PRIVATE, author=MARKED, is_private=True)
        await other.forget("telegram", MARKED.id)
        with pytest.raises(DatabaseError):
            await ask(bot, 2, chat=PRIVATE, author=MARKED, is_private=True)
        await ask(bot, 2, chat=PRIVATE, author=MARKED, is_private=True)  # as bots do, which try again


async def test_who_was_never_here_is_forgotten_easily(log: ChatLog) -> None:
    await talk_now(log, 1)
    assert await log.forget("telegram", "nobody") == Forgotten()
    assert await log.forget("discord", ANNA.id) == Forgotten()
    assert await log.forget_in("telegram", ANNA.id, ChatRef("telegram", "bot1", "999")) == Forgotten()
    assert len(await log.history(CHAT)) == 1


async def test_what_is_kept_for_one_person_is_not_another_ones_does_not_open_for_another(log: ChatLog) -> None:
    await log.data.set("plugin", Person("telegram", "1/2"), "key", "x")
    await log.data.set("plugin", Person("telegram/1", "2"), "key", "y")
    assert places.place("c", "a", "b|c") != places.place("c", "a|b", "c")
    assert await log.data.get("plugin", Person("telegram", "1/2"), "key") == "x"
