"""What people say the bot should have answered, and what bots and programs beside them tell each other."""

import asyncio
from datetime import timedelta

from chatlog_samples import ANNA, BERT, CHAT, answer, ask, decide, talk, words
from sqlalchemy import select

from bots.chatlog import ChatLog, DatabaseSettings, Person, RequestState, content
from bots.chatlog.places import CORRECTION, place
from bots.chatlog.schema import chats, corrections
from bots.message import ChatRef, MessageId, MessagesDeleted, Text, User
from bots.policy import Purpose

OTHER = ChatRef("telegram", "bot1", "200")


async def given(log: ChatLog) -> list[tuple[str, str]]:
    async with log._database.read() as connection:
        uuid = await connection.scalar(select(chats.c.uuid).where(chats.c.key == CHAT.key))
        rows = (await connection.execute(select(corrections).order_by(corrections.c.id))).all()
    opened = (log._cipher.open(place(CORRECTION, str(uuid)), row.content) for row in rows)
    return [(row.user_id, words(content.unpack(data).segments)) for row, data in zip(rows, opened, strict=True)]


async def test_a_persons_newest_correction_of_an_answer_is_kept(log: ChatLog) -> None:
    await talk(log, 1)
    for user, said in ((ANNA, "first"), (BERT, "his"), (ANNA, "second")):
        assert await log.corrections.give(CHAT, MessageId("11"), user, (Text(said),))
    assert await given(log) == [("7", "second"), ("8", "his")]


async def test_only_answers_of_ours_can_be_corrected(log: ChatLog) -> None:
    await talk(log, 1)
    for chat, id in ((CHAT, "10"), (CHAT, "12"), (OTHER, "11"), (ChatRef("telegram", "bot2", "100"), "11")):
        assert not await log.corrections.give(chat, MessageId(id), ANNA, (Text("no"),))
    bot = User("telegram", "9", "Another", is_bot=True)
    assert await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("yes"),))
    assert await log.corrections.give(CHAT, MessageId("11"), bot, (Text("no"),)) is False
    assert await given(log) == [("7", "yes")]


async def test_a_correction_of_who_wants_not_to_be_remembered_is_not_kept(log: ChatLog) -> None:
    await talk(log, 1, author=BERT)
    await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("before"),))
    await decide(log, False, purpose=Purpose.MEMORY)
    assert await given(log) == []
    assert not await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("after"),))
    assert await given(log) == []


async def test_a_correction_goes_with_its_answer(log: ChatLog) -> None:
    await talk(log, 1)
    await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("better"),))
    await log.purge(log.now())
    assert (await log.stats()).others["corrections"] == 0


async def test_a_deleted_answer_cannot_be_corrected(log: ChatLog) -> None:
    await answer(log, [await ask(log, 1)], post=2)
    await log.delete(MessagesDeleted(CHAT, (MessageId("2"),), log.now()))
    assert not await log.corrections.give(CHAT, MessageId("2"), ANNA, (Text("better"),))


async def test_a_request_is_taken_once_oldest_first(log: ChatLog) -> None:
    first = await log.mailbox.ask("train", CHAT, ANNA)
    second = await log.mailbox.ask("train", OTHER, Person("telegram", "8"))
    await log.mailbox.ask("rollback", CHAT, ANNA)
    taken = await log.mailbox.take("train")
    assert taken is not None
    assert (taken.id, taken.chat_key, taken.user, taken.state) == (
        first,
        CHAT.key,
        Person("telegram", "7"),
        RequestState.TAKEN,
    )
    assert taken.changed_at > taken.asked_at
    other = await log.mailbox.take("train")
    assert other is not None
    assert other.id == second
    assert await log.mailbox.take("train") is None
    await log.mailbox.end(first, is_done=True)
    await log.mailbox.end(second, is_done=False, note="no data")
    found = await log.mailbox.requests("train")
    assert [(r.id, r.state, r.note) for r in found] == [
        (second, RequestState.FAILED, "no data"),
        (first, RequestState.DONE, ""),
    ]
    assert [r.id for r in await log.mailbox.requests("train", 1)] == [second]
    assert [r.state for r in await log.mailbox.requests("rollback")] == [RequestState.WAITING]


async def test_what_a_program_that_died_has_taken_waits_again(log: ChatLog) -> None:
    first, second = [await log.mailbox.ask("train", CHAT, ANNA) for _ in range(2)]
    other = await log.mailbox.ask("rollback", CHAT, ANNA)
    for kind in ("train", "train", "rollback"):
        assert await log.mailbox.take(kind) is not None
    await log.mailbox.end(second, is_done=True)
    taken = await log.mailbox.request(first)
    assert taken is not None
    assert await log.mailbox.reclaim("train", taken.changed_at) == 0
    assert await log.mailbox.reclaim("train", taken.changed_at + timedelta(microseconds=1)) == 1
    again = await log.mailbox.take("train")
    assert again is not None
    assert again.id == first
    assert await log.mailbox.take("train") is None
    left = await log.mailbox.request(other)
    assert left is not None
    assert left.state is RequestState.TAKEN


async def test_only_what_nobody_has_taken_can_be_taken_back(log: ChatLog) -> None:
    first, second = [await log.mailbox.ask("train", CHAT, ANNA) for _ in range(2)]
    assert await log.mailbox.take("train") is not None
    assert not await log.mailbox.withdraw(first)
    assert await log.mailbox.withdraw(second)
    assert not await log.mailbox.withdraw(second)
    assert await log.mailbox.take("train") is None
    states = [request.state for request in await log.mailbox.requests("train")]
    assert states == [RequestState.FAILED, RequestState.TAKEN]
    assert await log.mailbox.request(second + 1) is None


async def test_two_programs_never_take_the_same_request(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as one, ChatLog.open(log_settings) as other:
        asked = [await one.mailbox.ask("train", CHAT, ANNA) for _ in range(20)]
        taken = await asyncio.gather(*(log.mailbox.take("train") for log in (one, other) * 10))
        assert sorted(request.id for request in taken if request is not None) == asked


async def test_a_notice_is_there_until_it_was_told(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        first, second = await log.mailbox.post_notice("a new model"), await log.mailbox.post_notice("and another")
        await log.mailbox.delivered(first)
    async with ChatLog.open(log_settings) as log:
        assert [(notice.id, notice.text) for notice in await log.mailbox.undelivered()] == [(second, "and another")]
