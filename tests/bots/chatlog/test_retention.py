"""What is too old is removed, and nothing else."""

import logging
from datetime import datetime, timedelta

import pytest
from chatlog_samples import BERT, CHAT, DIRECT, START, Clock, answer, ask, decide, message, said, talk, talk_now

from bots.chatlog import ChatLog, ChatSettings, FeedbackSource, QuestionState, keep_retention
from bots.chatlog.retention import BATCH, INTERVAL_S
from bots.errors import DatabaseError
from bots.message import MessageId, Quote, Text

DAY = timedelta(days=1)


async def test_what_is_older_goes_with_all_that_belongs_to_it(log: ChatLog, clock: Clock) -> None:
    await log.save_chat_settings(CHAT, ChatSettings("pirate"), is_private=False)
    await talk(log, 1, time=START)
    await log.give_feedback(CHAT, MessageId("11"), "7", 1, FeedbackSource.BUTTON)
    clock.time += 10 * DAY
    await talk(log, 2, time=clock.time)
    assert await log.purge(clock.time - DAY) == 2
    assert said(await log.history(CHAT)) == [(["question 2"], "answer 2")]
    stats = await log.stats()
    assert (stats.posts, stats.feedback, stats.chats) == (1, 0, 1)
    assert stats.oldest is not None
    assert stats.oldest > START + DAY
    assert (await log.chat_settings(CHAT)).persona == "pirate"
    assert await log.purge(clock.time - DAY) == 0


async def test_many_rows_go_in_several_bites(log: ChatLog) -> None:
    for number in range(BATCH + 10):
        await ask(log, number)
    assert await log.purge(START) == 0
    assert await log.purge(START + DAY) == BATCH + 10
    assert (await log.stats()).questions == {}


async def test_a_turn_that_is_cut_in_two_is_not_remembered(log: ChatLog, clock: Clock) -> None:
    row_id = await ask(log, 1, time=START)
    clock.time += DAY
    await answer(log, [row_id], post=2)
    assert await log.purge(START + DAY / 2) == 1
    assert await log.history(CHAT) == []
    found = await log.answer_at(CHAT, MessageId("2"))
    assert found is not None
    assert found.question_ids == ()


async def test_an_answer_may_go_before_its_question(log: ChatLog, clock: Clock) -> None:
    clock.time = START + 2 * DAY
    row_id = await ask(log, 1, "asked", time=START + 2 * DAY)
    clock.time = START
    await answer(log, [row_id])
    assert await log.purge(START + DAY) == 1
    clock.time = START + 3 * DAY
    await answer(log, [row_id], "again")
    assert said(await log.history(CHAT)) == [(["asked"], "again")]


async def test_ids_are_not_used_again_after_everything_is_gone(log: ChatLog) -> None:
    """A reset remembers an id: a later turn must not fall behind it."""
    await talk(log, 1)
    await log.reset(CHAT)
    await log.purge(START + 999 * DAY)
    await talk(log, 2)
    assert said(await log.history(CHAT)) == [(["question 2"], "answer 2")]


async def test_quotes_and_commands_go_as_well(log: ChatLog) -> None:
    await log.note_quote(message(2, quote=Quote(MessageId("1"), BERT, (Text("quoted"),))))
    await log.receive(message(3, "/help"), QuestionState.COMMAND, addressed=DIRECT)
    assert await log.purge(START + DAY) == 2


class EndedError(Exception):
    """The test has seen enough."""


async def kept(
    log: object, days: int, sleeps: int, *, training_days: int = 0, now: datetime = START + 30 * DAY
) -> list[float]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == sleeps:
            raise EndedError

    with pytest.raises(EndedError):
        await keep_retention(log, days, training_days=training_days, now=lambda: now, sleep=sleep)  # type: ignore[arg-type]
    return slept


async def test_retention_is_kept_hour_by_hour(log: ChatLog) -> None:
    await ask(log, 1, time=START - DAY)
    await ask(log, 2, time=START + DAY)
    assert await kept(log, 30, sleeps=2) == [INTERVAL_S, INTERVAL_S]
    assert (await log.stats()).questions == {QuestionState.WAITING: 1}


async def test_zero_days_keep_everything_for_ever(log: ChatLog) -> None:
    await ask(log, 1, time=datetime(2001, 1, 1, tzinfo=START.tzinfo))
    await keep_retention(log, 0, now=lambda: START)
    assert (await log.stats()).questions == {QuestionState.WAITING: 1}


async def test_each_log_has_a_limit_of_its_own(confirmed_log: ChatLog, clock: Clock) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    clock.time += 31 * DAY
    for retention_days, training_days, left in ((30, 0, (0, 2)), (0, 32, (0, 2)), (30, 30, (0, 0))):
        await kept(log, retention_days, sleeps=1, training_days=training_days, now=clock.time)
        stats = await log.stats()
        assert (sum(stats.questions.values()), stats.others["training_messages"]) == left


async def test_a_database_that_is_away_for_a_while_does_not_end_retention(caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        num_calls = 0

        async def purge(self, before: datetime) -> int:
            self.num_calls += 1
            raise DatabaseError("away")

        async def purge_training(self, before: datetime) -> int:
            raise DatabaseError("away")

    log = Away()
    with caplog.at_level(logging.ERROR):
        await kept(log, 30, sleeps=3)
    assert log.num_calls == 3
    assert "away" in caplog.text
