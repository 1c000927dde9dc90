"""How many ratings were good or bad in a time, of nobody in particular."""

from datetime import timedelta

import pytest
from chatlog_samples import ANNA, BERT, CHAT, Clock, talk_now

from bots.chatlog import ChatLog, FeedbackCounts, FeedbackSource
from bots.message import MessageId, User

WEEK = timedelta(days=7)
BUTTON, REACTION = FeedbackSource.BUTTON, FeedbackSource.REACTION


async def rate(log: ChatLog, post: int, score: int, user: User = ANNA, source: FeedbackSource = BUTTON) -> None:
    assert await log.give_feedback(CHAT, MessageId(str(post)), user.id, score, source)


async def test_ratings_are_counted_in_the_week_in_which_they_were_given(log: ChatLog, clock: Clock) -> None:
    for number in range(1, 4):
        await talk_now(log, number)
    await rate(log, 11, 1)
    await rate(log, 21, 1)
    await rate(log, 31, -1)
    clock.time += WEEK
    middle = log.now()
    await rate(log, 11, -1, BERT)
    await rate(log, 21, -1)  # has changed her mind
    now = log.now()
    assert await log.feedback_rates(middle - 2 * WEEK, middle) == FeedbackCounts(good=1, bad=1)
    assert await log.feedback_rates(middle, now) == FeedbackCounts(good=0, bad=2)
    assert await log.feedback_rates(now, now + WEEK) == FeedbackCounts(good=0, bad=0)


async def test_who_rates_an_answer_in_two_ways_has_one_vote_the_last(log: ChatLog) -> None:
    await talk_now(log, 1)
    start = log.now()
    await rate(log, 11, 1, source=BUTTON)
    await rate(log, 11, -1, source=REACTION)
    assert await log.feedback_rates(start, log.now()) == FeedbackCounts(good=0, bad=1)
    await rate(log, 11, 0, source=REACTION)
    assert await log.feedback_rates(start, log.now()) == FeedbackCounts(good=1, bad=0)


async def test_of_two_times_that_follow_each_other_one_has_a_rating(log: ChatLog, clock: Clock) -> None:
    await talk_now(log, 1)
    await rate(log, 11, 1)
    second, end = timedelta(seconds=1), clock.time + timedelta(seconds=1)
    counts = [await log.feedback_rates(end - (n + 1) * second, end - n * second) for n in range(30)]
    assert [each.good for each in counts if each.good] == [1]


@pytest.mark.parametrize(("good", "bad", "share"), [(0, 0, 0.0), (3, 1, 0.25), (0, 2, 1.0)])
def test_the_share_of_bad_ratings_is_of_all(good: int, bad: int, share: float) -> None:
    assert FeedbackCounts(good, bad).share_bad == share
