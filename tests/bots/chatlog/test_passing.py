"""Who wants not to be remembered is answered, and then forgotten, turn by turn."""

import pytest
from chatlog_samples import (
    ANNA,
    BERT,
    CHAT,
    DIRECT,
    Clock,
    answer,
    ask,
    decide,
    message,
    said,
    talk,
    talk_now,
    words,
    write,
)
from sqlalchemy import select

from bots.chatlog import AnswerState, ChatLog, DatabaseSettings, QuestionState
from bots.chatlog.schema import messages
from bots.message import Addressed, ChatRef, MessageEdited, MessageId, Quote, Text, User
from bots.policy import Purpose

THREAD = ChatRef("telegram", "bot1", "100", "5")


async def refuse(log: ChatLog, **values: object) -> None:
    await decide(log, False, purpose=Purpose.MEMORY, **values)  # type: ignore[arg-type]


async def texts(log: ChatLog) -> int:
    """How many rows say anything."""
    async with log._database.read() as connection:
        return len((await connection.execute(select(messages.c.id).where(messages.c.content.is_not(None)))).all())


async def test_what_was_not_said_to_the_bot_is_not_kept(log: ChatLog) -> None:
    sent = message(1, "ambient")
    assert await log.receive(sent, QuestionState.WAITING, addressed=frozenset()) is None
    assert await log.receive(sent, QuestionState.CONTEXT, addressed=frozenset()) is None
    bot = User("telegram", "9", "Another", is_bot=True)
    assert await log.receive(message(2, author=bot), QuestionState.WAITING, addressed=DIRECT) is None
    stats = await log.stats()
    assert (stats.chats, stats.questions) == (0, {})
    why = frozenset({Addressed.EVERY})
    assert await log.receive(sent, QuestionState.WAITING, addressed=why) is not None


@pytest.mark.parametrize(
    "state", [AnswerState.DELIVERED, AnswerState.STOPPED, AnswerState.UNDELIVERED, AnswerState.FAILED]
)
async def test_a_refusers_turn_is_wiped_once_it_is_answered(log: ChatLog, state: AnswerState) -> None:
    await refuse(log)
    row_id = await ask(log, 1, "secret", chat=THREAD)
    answer_id = await log.begin_answer(THREAD, [row_id])
    await write(log, answer_id, "hidden")
    (left,) = await log.unfinished("telegram", "bot1")
    assert (words(left.questions[0].segments), words(left.segments or ())) == ("secret", "hidden")
    await log.end_answer(answer_id, state)
    assert await texts(log) == 0
    assert await log.history(THREAD) == []
    await write(log, answer_id, "hidden, late")
    assert await texts(log) == 0
    assert await log.receive(message(1, chat=THREAD), QuestionState.WAITING, addressed=DIRECT) is None  # known still


async def test_a_refusers_question_survives_a_crash_until_it_is_answered(
    log_settings: DatabaseSettings, clock: Clock
) -> None:
    async with ChatLog.open(log_settings, now=clock) as log:
        await refuse(log)
        row_id = await ask(log, 1, "secret")
        await log.edit(MessageEdited(CHAT, MessageId("1"), (Text("secret, edited"),), clock()))
    async with ChatLog.open(log_settings, now=clock) as log:
        (left,) = await log.unfinished("telegram", "bot1")
        assert words(left.questions[0].segments) == "secret, edited"
        answer_id = await log.begin_answer(CHAT, [row_id])
        await write(log, answer_id)
    async with ChatLog.open(log_settings, now=clock) as log:
        (left,) = await log.unfinished("telegram", "bot1")
        assert words(left.segments or ()) == "hi"
        await log.end_answer(answer_id, AnswerState.DELIVERED)
        assert await texts(log) == 0


@pytest.mark.parametrize("state", [QuestionState.CANCELLED, QuestionState.FAILED, QuestionState.EXPIRED])
async def test_a_refusers_question_that_is_given_up_is_wiped(log: ChatLog, state: QuestionState) -> None:
    await refuse(log)
    await refuse(log, user=BERT)
    sent = message(2, quote=Quote(MessageId("1"), BERT, (Text("quoted"),)))
    await log.note_quote(sent)
    row_id = await log.receive(sent, QuestionState.WAITING, addressed=DIRECT)
    assert row_id is not None
    assert await texts(log) == 2
    await log.set_state([row_id], state)
    assert await texts(log) == 0


async def test_what_a_refuser_has_left_undone_is_wiped_when_it_expires(log: ChatLog) -> None:
    await refuse(log)
    await log.begin_answer(CHAT, [await ask(log, 1)])
    written = await log.begin_answer(CHAT, [await ask(log, 2)])
    await write(log, written)
    await ask(log, 3)
    for left in await log.unfinished("telegram", "bot1"):
        await log.expire(left)
    assert await texts(log) == 0


async def test_a_refusers_command_is_not_kept_at_all(log: ChatLog) -> None:
    await refuse(log)
    row_id = await log.receive(message(1, "/secret"), QuestionState.COMMAND, addressed=DIRECT)
    assert row_id is not None
    assert await texts(log) == 0
    assert await log.receive(message(1, "/secret"), QuestionState.COMMAND, addressed=DIRECT) is None


async def test_an_answer_that_was_superseded_does_not_outlive_a_refusers_turn(log: ChatLog) -> None:
    await refuse(log)
    row_id = await ask(log, 1)
    first = await log.begin_answer(CHAT, [row_id])
    await write(log, first, "first")
    second = await log.begin_answer(CHAT, [row_id])
    await write(log, second, "second")
    await log.end_answer(second, AnswerState.DELIVERED)
    await write(log, first, "first, late")
    assert await texts(log) == 0


async def test_a_refuser_who_is_quoted_is_wiped_and_the_rest_of_the_turn_stays(log: ChatLog) -> None:
    await refuse(log, user=BERT)
    sent = message(2, "what of this?", quote=Quote(MessageId("1"), BERT, (Text("quoted"),)))
    await log.note_quote(sent)
    row_id = await log.receive(sent, QuestionState.WAITING, addressed=DIRECT)
    assert row_id is not None
    (left,) = await log.unfinished("telegram", "bot1")
    assert [words(q.segments) for q in left.questions] == ["quoted", "what of this?"]
    await answer(log, [row_id], "that")
    assert said(await log.history(CHAT)) == [(["what of this?"], "that")]
    assert await texts(log) == 2


async def test_a_refusal_wipes_what_was_said_in_that_chat_before(log: ChatLog, clock: Clock) -> None:
    other = ChatRef("telegram", "bot1", "200")
    await decide(log)
    await talk(log, 1)
    await talk(log, 2, THREAD)
    await talk(log, 3, other)
    await talk(log, 4, author=BERT)
    quote = Quote(MessageId("50"), ANNA, (Text("quoted"),))
    sent = message(60, "hers?", author=BERT, quote=quote)
    await log.note_quote(sent)
    asked = await log.receive(sent, QuestionState.WAITING, addressed=DIRECT)
    assert asked is not None
    await answer(log, [asked], "yes")
    open_id = await ask(log, 70, "still open")
    await refuse(log)
    assert await log.history(THREAD) == []
    assert len(await log.history(other)) == 1
    assert said(await log.history(CHAT)) == [(["question 4"], "answer 4"), (["hers?"], "yes")]
    (left,) = await log.unfinished("telegram", "bot1")
    assert words(left.questions[0].segments) == "still open"
    await answer(log, [open_id])
    assert len(await log.history(CHAT)) == 2
    standing = await log.consents.standing(ANNA, CHAT)
    assert {p: e and e.is_granted for p, e in standing.items()} == {Purpose.MEMORY: False, Purpose.TRAINING: False}


async def test_an_answer_under_way_is_kept_until_it_has_arrived(log: ChatLog) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1, "asked")])
    await write(log, answer_id, "written")
    await refuse(log)
    (left,) = await log.unfinished("telegram", "bot1")
    assert (words(left.questions[0].segments), words(left.segments or ())) == ("asked", "written")
    await log.end_answer(answer_id, AnswerState.DELIVERED)
    assert await texts(log) == 0


async def test_who_changes_the_mind_is_remembered_again(log: ChatLog) -> None:
    await refuse(log)
    await talk_now(log, 1)
    await decide(log, purpose=Purpose.MEMORY)
    await talk_now(log, 2)
    assert said(await log.history(CHAT)) == [(["question 2"], "answer 2")]


async def test_a_refusal_is_the_persons_own_and_for_that_chat(log: ChatLog) -> None:
    await refuse(log)
    await talk(log, 1, author=BERT)
    await talk(log, 2, ChatRef("telegram", "bot2", "100"))
    assert len(await log.history(CHAT)) == 1
    assert len(await log.history(ChatRef("telegram", "bot2", "100"))) == 1
