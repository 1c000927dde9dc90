"""Answers of the bot: written, posted, replaced, rated, and taken up again after a restart."""

import pytest
from chatlog_samples import BERT, CHAT, Clock, answer, ask, message, said, talk, words, write

from bots.chatlog import AnswerState, ChatLog, DatabaseSettings, FeedbackSource, QuestionState, Unfinished
from bots.message import Addressed, ChatRef, MessageId, MessagesDeleted, Quote, Text


async def left_over(log: ChatLog) -> list[Unfinished]:
    return await log.unfinished("telegram", "bot1")


async def test_an_answer_goes_from_writing_to_delivered(log: ChatLog) -> None:
    question_ids = [await ask(log, 1, "one"), await ask(log, 2, "two")]
    answer_id = await log.begin_answer(CHAT, question_ids)
    (left,) = await left_over(log)
    assert (left.answer_id, left.state, left.segments) == (answer_id, AnswerState.WRITING, None)
    assert left.question_ids == tuple(question_ids)
    await write(log, answer_id, "both")
    (left,) = await left_over(log)
    assert (left.state, left.segments) == (AnswerState.WRITTEN, (Text("both"),))
    assert await log.history(CHAT) == []
    await log.end_answer(answer_id, AnswerState.DELIVERED)
    assert await left_over(log) == []
    (turn,) = await log.history(CHAT)
    assert (turn.turn, turn.answer_id, said([turn])) == (question_ids[0], answer_id, [(["one", "two"], "both")])
    assert (await log.stats()).questions == {QuestionState.ANSWERED: 2}


@pytest.mark.parametrize(
    ("state", "question", "is_remembered"),
    [
        (AnswerState.DELIVERED, QuestionState.ANSWERED, True),
        (AnswerState.STOPPED, QuestionState.ANSWERED, True),
        (AnswerState.UNDELIVERED, QuestionState.ANSWERED, True),
        (AnswerState.FAILED, QuestionState.FAILED, False),
    ],
)
async def test_an_answers_end_decides_what_became_of_its_questions(
    log: ChatLog, state: AnswerState, question: QuestionState, is_remembered: bool
) -> None:
    await answer(log, [await ask(log, 1)], state=state)
    stats = await log.stats()
    assert (stats.answers, stats.questions) == ({state: 1}, {question: 1})
    assert bool(await log.history(CHAT)) is is_remembered
    assert await left_over(log) == []


@pytest.mark.parametrize("state", [AnswerState.WRITING, AnswerState.WRITTEN])
async def test_an_answer_does_not_end_as_one_under_way(log: ChatLog, state: AnswerState) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1)])
    with pytest.raises(ValueError, match=state):
        await log.end_answer(answer_id, state)


async def test_an_answer_that_was_stopped_before_its_first_word_is_not_remembered(log: ChatLog) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1)])
    await log.end_answer(answer_id, AnswerState.STOPPED)
    await write(log, answer_id, "")
    assert (await log.stats()).answers == {AnswerState.STOPPED: 1}


async def test_an_answer_without_a_question_of_its_chat_is_refused(log: ChatLog) -> None:
    other = ChatRef("telegram", "bot1", "200")
    here, there = await ask(log, 1), await ask(log, 1, chat=other)
    context = await log.note_quote(message(3, quote=Quote(MessageId("2"), BERT, (Text("quoted"),))))
    assert context is not None
    for ids in ([], [there], [here, there], [context], [12345]):
        with pytest.raises(ValueError, match="rows"):
            await log.begin_answer(CHAT, ids)
    answer_id = await log.begin_answer(CHAT, [here, context])
    with pytest.raises(ValueError, match="no messages of"):
        await log.join_answer(answer_id, [there])
    with pytest.raises(ValueError, match="no messages of"):
        await log.begin_answer(CHAT, [answer_id])
    assert (await log.stats()).answers == {AnswerState.WRITING: 1}


async def test_a_message_may_join_an_answer_under_way(log: ChatLog) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1, "one")])
    await log.join_answer(answer_id, [await ask(log, 2, "two")])
    await write(log, answer_id)
    await log.end_answer(answer_id, AnswerState.DELIVERED)
    assert said(await log.history(CHAT)) == [(["one", "two"], "hi")]


async def test_a_question_that_was_deleted_meanwhile_stays_cancelled(log: ChatLog, clock: Clock) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1), await ask(log, 2)])
    await log.delete(MessagesDeleted(CHAT, (MessageId("1"),), clock()))
    await log.end_answer(answer_id, AnswerState.DELIVERED)
    assert (await log.stats()).questions == {QuestionState.CANCELLED: 1, QuestionState.ANSWERED: 1}


async def test_a_retry_takes_the_place_of_the_answer_before(log: ChatLog) -> None:
    first = await talk(log, 1)
    await talk(log, 2)
    old = await log.answer_at(CHAT, MessageId("11"))
    assert old is not None
    new_id = await log.begin_answer(CHAT, old.question_ids)
    (left,) = await left_over(log)
    assert [(post.part, post.platform_id) for post in left.posts] == [(0, "11")]
    assert [words(turn.answer) for turn in await log.history(CHAT)] == ["answer 2"]
    await write(log, new_id, "better")
    await log.end_answer(new_id, AnswerState.DELIVERED)
    await log.end_answer(old.answer_id, AnswerState.DELIVERED)  # a late word from whoever was at the old one
    turns = await log.history(CHAT)
    assert said(turns) == [(["question 1"], "better"), (["question 2"], "answer 2")]
    assert turns[0].turn == first
    new = await log.answer_at(CHAT, MessageId("11"))
    assert new is not None
    assert (new.answer_id, new.turn, new.is_newest) == (new_id, first, False)
    assert (await log.stats()).answers == {AnswerState.DELIVERED: 2, AnswerState.SUPERSEDED: 1}


async def test_a_retry_that_fails_leaves_the_answer_before_in_memory(log: ChatLog) -> None:
    await talk(log, 1)
    for _ in range(2):
        old = await log.answer_at(CHAT, MessageId("11"))
        assert old is not None
        await log.set_state(old.question_ids, QuestionState.WAITING)
        await log.end_answer(await log.begin_answer(CHAT, old.question_ids), AnswerState.FAILED)
        assert said(await log.history(CHAT)) == [(["question 1"], "answer 1")]
        again = await log.answer_at(CHAT, MessageId("11"))
        assert again == old
        assert await left_over(log) == []
    assert (await log.stats()).questions == {QuestionState.ANSWERED: 1}


async def test_a_retry_of_a_failed_answer_that_fails_again_stays_failed(log: ChatLog) -> None:
    row_id = await ask(log, 1)
    for _ in range(2):
        await log.end_answer(await log.begin_answer(CHAT, [row_id]), AnswerState.FAILED)
    assert (await log.stats()).questions == {QuestionState.FAILED: 1}
    assert await log.history(CHAT) == []


async def test_an_answer_to_the_questions_of_two_takes_the_place_of_both(log: ChatLog) -> None:
    first, second = await talk(log, 1), await talk(log, 2)
    await answer(log, [first, second], "both")
    turns = await log.history(CHAT)
    assert said(turns) == [(["question 1", "question 2"], "both")]
    assert turns[0].turn == first
    both = await log.answer_at(CHAT, MessageId("21"))
    assert both is not None
    assert both.answer_id == turns[0].answer_id


async def test_a_text_that_comes_late_does_not_revive_an_answer(log: ChatLog) -> None:
    row_id = await ask(log, 1)
    old_id = await log.begin_answer(CHAT, [row_id])
    await log.begin_answer(CHAT, [row_id])
    await write(log, old_id, "late")
    assert (await log.stats()).answers == {AnswerState.SUPERSEDED: 1, AnswerState.WRITING: 1}


async def test_posts_are_known_before_and_after_they_are_acknowledged(log: ChatLog, clock: Clock) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1)])
    await log.posting(answer_id, 0, "a")
    await log.posting(answer_id, 1, "b")
    before = clock.time
    await log.posted(answer_id, 0, MessageId("2"))
    (left,) = await left_over(log)
    assert [(p.part, p.nonce, p.platform_id) for p in left.posts] == [(0, "a", "2"), (1, "b", None)]
    assert left.posts[1].created_at == before
    await log.posting(answer_id, 0, "c")  # the message was gone
    await log.unposted(answer_id, 1)
    (left,) = await left_over(log)
    assert [(p.part, p.nonce, p.platform_id) for p in left.posts] == [(0, "c", None)]
    assert await log.answer_at(CHAT, MessageId("2")) is None


async def test_an_answer_is_found_by_each_of_its_posts(log: ChatLog) -> None:
    row_id = await ask(log, 1, "one")
    answer_id = await log.begin_answer(CHAT, [row_id])
    for part in range(3):
        await log.posting(answer_id, part, f"n{part}")
        await log.posted(answer_id, part, MessageId(f"p{part}"))
    await write(log, answer_id, "long")
    for part in range(3):
        found = await log.answer_at(CHAT, MessageId(f"p{part}"))
        assert found is not None
        assert (found.answer_id, found.state, found.segments) == (answer_id, AnswerState.WRITTEN, (Text("long"),))
        assert (found.question_ids, len(found.posts), found.model_version) == ((row_id,), 3, "v1")
        assert found.is_newest
        assert found.is_under_way
    assert await log.answer_at(CHAT, MessageId("1")) is None  # a person's


async def test_the_newest_answer_is_the_one_of_the_last_turn_that_did_not_fail(log: ChatLog) -> None:
    async def is_newest(post: int) -> bool:
        found = await log.answer_at(CHAT, MessageId(str(post)))
        assert found is not None
        return found.is_newest

    await talk(log, 1)
    assert await is_newest(11)
    await answer(log, [await ask(log, 20)], state=AnswerState.FAILED)
    assert await is_newest(11)
    await talk(log, 3)
    assert [await is_newest(11), await is_newest(31)] == [False, True]
    await log.begin_answer(CHAT, [await ask(log, 40)])
    assert not await is_newest(31)


async def test_the_last_answer_is_found_whatever_became_of_it_but_not_from_before_a_reset(log: ChatLog) -> None:
    assert await log.last_answer(CHAT) is None
    await talk(log, 1)
    failed = await answer(log, [await ask(log, 20)], state=AnswerState.FAILED)
    last = await log.last_answer(CHAT)
    assert last is not None
    assert (last.answer_id, last.state, last.is_under_way) == (failed, AnswerState.FAILED, False)
    await log.reset(CHAT)
    assert await log.last_answer(CHAT) is None


async def test_people_rate_an_answer_by_any_of_its_posts_and_change_their_minds(log: ChatLog) -> None:
    await talk(log, 1)

    async def give(user: str, score: int, source: FeedbackSource = FeedbackSource.BUTTON, post: str = "11") -> bool:
        return await log.give_feedback(CHAT, MessageId(post), user, score, source)

    assert await give("7", 1)
    assert await give("7", -1)
    assert await give("7", 1, FeedbackSource.REACTION)
    assert await give("8", 1)
    assert (await log.stats()).feedback == 3
    assert await give("7", 0)
    assert await give("7", 0)
    assert (await log.stats()).feedback == 2
    assert not await give("7", 1, post="10")
    assert not await log.give_feedback(ChatRef("telegram", "bot1", "9"), MessageId("11"), "7", 1, FeedbackSource.BUTTON)
    assert (await log.stats()).feedback == 2


async def test_after_a_restart_everything_that_was_left_is_known(log_settings: DatabaseSettings) -> None:
    other = ChatRef("telegram", "bot1", "200", "7")
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)
        await ask(log, 1, "elsewhere", chat=other)
        under_way = await log.begin_answer(CHAT, [await ask(log, 2, "under way")])
        await log.posting(under_way, 0, "nonce")
        await ask(log, 3, "Anna 1")
        await ask(log, 4, "Bert 1", author=BERT)
        await ask(log, 5, "Anna 2")
        await log.receive(message(6, "/reset"), QuestionState.COMMAND, addressed=frozenset({Addressed.COMMAND}))
        cancelled = await ask(log, 7, "cancelled")
        await log.set_state([cancelled], QuestionState.CANCELLED)
        await ask(log, 8, "other account", chat=ChatRef("telegram", "bot2", "100"))
        await ask(log, 9, "other platform", chat=ChatRef("discord", "bot1", "100"))
    async with ChatLog.open(log_settings) as log:
        left = await left_over(log)
    assert [(u.chat, u.answer_id, [words(q.segments) for q in u.questions]) for u in left] == [
        (other, None, ["elsewhere"]),
        (CHAT, under_way, ["under way"]),
        (CHAT, None, ["Anna 1", "Anna 2"]),
        (CHAT, None, ["Bert 1"]),
    ]
    assert [(post.part, post.nonce, post.platform_id) for post in left[1].posts] == [(0, "nonce", None)]


async def test_a_question_that_waits_for_a_retry_is_left_over_once(log: ChatLog) -> None:
    row_id = await talk(log, 1)
    await log.set_state([row_id], QuestionState.WAITING)
    assert [(left.answer_id, left.question_ids) for left in await left_over(log)] == [(None, (row_id,))]
    new_id = await log.begin_answer(CHAT, [row_id])
    assert [(left.answer_id, left.question_ids) for left in await left_over(log)] == [(new_id, (row_id,))]


async def test_a_quote_is_known_with_the_question_that_is_left_over(log: ChatLog) -> None:
    quote = Quote(MessageId("1"), BERT, (Text("quoted"),))
    row_id = await ask(log, 2, "what?", quote=quote)
    await log.note_quote(message(2, quote=quote))
    (waiting,) = await left_over(log)
    await log.begin_answer(CHAT, waiting.question_ids)
    (under_way,) = await left_over(log)
    for left in (waiting, under_way):
        assert [(words(q.segments), q.is_context) for q in left.questions] == [("quoted", True), ("what?", False)]
        assert left.question_ids == (row_id,)


async def test_an_answer_whose_questions_were_all_deleted_is_left_over_without_any(log: ChatLog, clock: Clock) -> None:
    answer_id = await log.begin_answer(CHAT, [await ask(log, 1)])
    await log.delete(MessagesDeleted(CHAT, (MessageId("1"),), clock()))
    (left,) = await left_over(log)
    assert (left.answer_id, left.questions) == (answer_id, ())


async def test_what_is_left_over_can_be_given_up(log: ChatLog) -> None:
    written = await log.begin_answer(CHAT, [await ask(log, 1)])
    await write(log, written)
    await log.begin_answer(CHAT, [await ask(log, 2)])
    await ask(log, 3)
    for left in await left_over(log):
        await log.expire(left)
    assert await left_over(log) == []
    stats = await log.stats()
    assert stats.questions == {QuestionState.EXPIRED: 3}
    assert stats.answers == {AnswerState.UNDELIVERED: 1, AnswerState.FAILED: 1}
