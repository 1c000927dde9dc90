"""What people say: received once, edited, deleted, quoted."""

from datetime import timedelta

from chatlog_samples import ANNA, BERT, CHAT, DIRECT, START, answer, ask, message, said, talk, words, write

from bots.chatlog import AnswerState, ChatLog, DatabaseSettings, QuestionState
from bots.message import (
    Addressed,
    Attachment,
    Mention,
    MessageEdited,
    MessageId,
    MessagesDeleted,
    Quote,
    Text,
    User,
)


def edited(id: int, *segments: object, after_s: float = 60) -> MessageEdited:
    return MessageEdited(CHAT, MessageId(str(id)), segments, START + timedelta(seconds=after_s))  # type: ignore[arg-type]


def deleted(*ids: int) -> MessagesDeleted:
    return MessagesDeleted(CHAT, tuple(MessageId(str(id)) for id in ids), START + timedelta(seconds=90))


async def test_everything_a_message_says_comes_back_as_it_was(log: ChatLog) -> None:
    segments = (
        Text("héllo \ud83d 𝄞\x00\n| a/b%"),
        Mention("9", "Cä\tsar"),
        Attachment("a.txt", "text/plain", 12, "loc:1", None),
        Attachment("b.txt", "", 0, "", "read"),
    )
    author = User("telegram", "7", "Ann\ud83da", is_bot=False)
    sent = message(5, segments, author=author, quote=Quote(MessageId("4"), None), is_private=True)
    why = frozenset({Addressed.REPLY, Addressed.DIRECT})
    row_id = await log.receive(sent, QuestionState.WAITING, addressed=why)
    (left,) = await log.unfinished("telegram", "bot1")
    (question,) = left.questions
    assert left.chat == CHAT
    assert left.is_private
    assert left.question_ids == (row_id,)
    assert (question.author, question.segments, question.sent_at) == (author, segments, START)
    assert (question.platform_id, question.reply_to, question.addressed) == ("5", "4", why)
    assert question.state is QuestionState.WAITING


async def test_a_message_is_received_once(log: ChatLog) -> None:
    await ask(log, 5)
    for state in QuestionState:
        assert await log.receive(message(5, "again"), state, addressed=DIRECT) is None
    (left,) = await log.unfinished("telegram", "bot1")
    assert words(left.questions[0].segments) == "hello"


async def test_a_message_is_received_once_over_restarts(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await ask(log, 5)
    async with ChatLog.open(log_settings) as log:
        assert await log.receive(message(5), QuestionState.WAITING, addressed=DIRECT) is None


async def test_a_message_known_as_context_may_come_to_be_answered(log: ChatLog) -> None:
    quoted = Quote(MessageId("1"), BERT, (Text("known"),))
    first = await ask(log, 2, "what of this?", quote=quoted)
    assert await log.note_quote(message(2, quote=quoted)) is not None
    await answer(log, [first], "that")
    row_id = await ask(log, 1, "known, and new", author=BERT)
    await answer(log, [row_id], "new")
    assert said(await log.history(CHAT)) == [(["what of this?"], "that"), (["known, and new"], "new")]
    assert await log.receive(message(1), QuestionState.WAITING, addressed=DIRECT) is None


async def test_a_deleted_context_does_not_come_back(log: ChatLog) -> None:
    await log.note_quote(message(2, quote=Quote(MessageId("1"), BERT, (Text("known"),))))
    assert await log.delete(deleted(1))
    assert await log.receive(message(1), QuestionState.WAITING, addressed=DIRECT) is None


async def test_a_quote_is_noted_once_and_only_if_a_person_said_something(log: ChatLog) -> None:
    bot = User("telegram", "99", "Other bot", is_bot=True)
    for quote in (
        None,
        Quote(MessageId("1"), None, (Text("ours"),)),
        Quote(MessageId("1"), BERT),
        Quote(MessageId("1"), bot, (Text("a bot's"),)),
    ):
        assert await log.note_quote(message(2, quote=quote)) is None
    quote = Quote(MessageId("1"), BERT, (Text("hers"),))
    assert await log.note_quote(message(2, quote=quote)) is not None
    assert await log.note_quote(message(3, quote=quote)) is None
    assert (await log.stats()).questions == {QuestionState.CONTEXT: 1}


async def test_a_quote_does_not_replace_the_message_itself(log: ChatLog) -> None:
    await ask(log, 1, "as I said it", author=BERT)
    assert await log.note_quote(message(2, quote=Quote(MessageId("1"), BERT, (Text("as"),)))) is None
    (left,) = await log.unfinished("telegram", "bot1")
    assert words(left.questions[0].segments) == "as I said it"


async def test_an_edit_changes_what_a_message_says_and_nothing_else(log: ChatLog) -> None:
    row_id = await ask(log, 5)
    assert await log.edit(edited(5, Text("changed"))) == row_id
    (left,) = await log.unfinished("telegram", "bot1")
    assert left.questions[0].author == ANNA
    assert left.questions[0].segments == (Text("changed"),)
    assert left.questions[0].sent_at == START


async def test_an_edit_that_is_no_news_changes_nothing(log: ChatLog) -> None:
    await ask(log, 5)
    assert await log.edit(edited(5, Text("hello"))) is None  # a preview was added to a link
    assert await log.edit(edited(6, Text("unknown"))) is None
    assert await log.edit(edited(5, Text("second"), after_s=60)) is not None
    assert await log.edit(edited(5, Text("first"), after_s=30)) is None
    assert await log.edit(edited(5, Text("third"), after_s=60)) is not None  # Telegram's times are whole seconds
    await log.delete(deleted(5))
    assert await log.edit(edited(5, Text("fourth"), after_s=99)) is None


async def test_what_was_read_of_an_attachment_survives_an_edit(log: ChatLog) -> None:
    file = Attachment("a.txt", "text/plain", 12, "loc:1")
    row_id = await log.receive(message(5, (Text("see"), file)), QuestionState.WAITING, addressed=DIRECT)
    assert row_id is not None
    read = Attachment("a.txt", "text/plain", 12, "loc:1", "contents")
    await log.set_content(row_id, (Text("see"), read))
    moved = Attachment("a.txt", "text/plain", 12, "loc:2")
    assert await log.edit(edited(5, Text("see"), moved)) is None
    assert await log.edit(edited(5, Text("look"), moved)) == row_id
    (left,) = await log.unfinished("telegram", "bot1")
    assert left.questions[0].segments == (Text("look"), Attachment("a.txt", "text/plain", 12, "loc:2", "contents"))
    assert left.questions[0].author == ANNA


async def test_a_deleted_message_is_wiped_and_not_answered_any_more(log: ChatLog) -> None:
    row_id, other = await ask(log, 5), await ask(log, 6, "stays")
    assert await log.delete(deleted(5, 77)) == (row_id,)
    assert await log.delete(deleted(5)) == ()
    await log.set_content(row_id, (Text("read too late"),))
    (left,) = await log.unfinished("telegram", "bot1")
    assert left.question_ids == (other,)
    assert (await log.stats()).questions == {QuestionState.CANCELLED: 1, QuestionState.WAITING: 1}


async def test_a_deleted_question_is_left_out_of_memory_and_with_it_an_empty_turn(log: ChatLog) -> None:
    first, second = await ask(log, 1, "one"), await ask(log, 2, "two")
    await answer(log, [first, second], "both")
    await log.delete(deleted(1))
    assert said(await log.history(CHAT)) == [(["two"], "both")]
    await log.delete(deleted(2))
    assert await log.history(CHAT) == []


async def test_an_answer_whose_posts_were_all_deleted_is_wiped(log: ChatLog) -> None:
    row_id = await ask(log, 1)
    answer_id = await log.begin_answer(CHAT, [row_id])
    await write(log, answer_id, "long")
    for part, id in enumerate(("2", "3")):
        await log.posting(answer_id, part, f"n{part}")
        await log.posted(answer_id, part, MessageId(id))
    await log.end_answer(answer_id, AnswerState.DELIVERED)
    assert await log.delete(deleted(2)) == ()
    assert said(await log.history(CHAT)) == [(["hello"], "long")]
    assert await log.delete(deleted(3)) == (answer_id,)
    assert await log.history(CHAT) == []


async def test_an_answer_under_way_survives_that_its_first_post_is_deleted(log: ChatLog) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1)])
    await log.posting(answer_id, 0, "n")
    await log.posted(answer_id, 0, MessageId("2"))
    await log.delete(deleted(2))
    await write(log, answer_id, "whole")
    (left,) = await log.unfinished("telegram", "bot1")
    assert left.segments == (Text("whole"),)
    assert left.posts == ()


async def test_nothing_happens_to_messages_of_a_chat_that_was_never_seen(log: ChatLog) -> None:
    assert await log.edit(edited(5, Text("x"))) is None
    assert await log.delete(deleted(5)) == ()
    await log.reset(CHAT)
    await log.forget_before(CHAT, 5)
    assert (await log.stats()).chats == 0


async def test_the_second_chat_that_is_private_is_known_as_private_later(log: ChatLog) -> None:
    await ask(log, 1)
    await ask(log, 2, is_private=True)
    await log.begin_answer(CHAT, [(await ask(log, 3, is_private=True))])
    assert all(left.is_private for left in await log.unfinished("telegram", "bot1"))


async def test_times_are_exact_and_in_utc(log: ChatLog) -> None:
    await talk(log, 1, time=START + timedelta(microseconds=1))
    (turn,) = await log.history(CHAT)
    assert turn.questions[0].sent_at == START + timedelta(microseconds=1)
    assert turn.questions[0].sent_at.utcoffset() == timedelta(0)
