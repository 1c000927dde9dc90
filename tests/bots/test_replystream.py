import asyncio

import pytest
from manual_time import ManualTime, settle
from recording_adapter import CHAT, RecordingAdapter

from bots import Caps, MessageTooLongError, RateLimitedError, ReplyStream
from bots.errors import BotError


@pytest.fixture
def time():
    return ManualTime()


def open_stream(adapter, time):
    return ReplyStream.open(adapter, CHAT, clock=time.clock, sleep=time.sleep)


async def test_the_first_words_are_drafted_at_once_and_the_rest_at_the_interval(time):
    adapter = RecordingAdapter(Caps(draft_interval_s=2.0))
    async with open_stream(adapter, time) as reply:
        reply.push("One")
        await settle()
        assert adapter.texts("draft") == ["One"]
        reply.push(" two")
        await time.advance(1.9)
        assert adapter.texts("draft") == ["One"]
        reply.push(" three")
        await time.advance(0.1)
        assert adapter.texts("draft") == ["One", "One two three"]


async def test_only_one_draft_is_under_way_and_the_newest_text_wins(time):
    adapter = RecordingAdapter()
    adapter.draft_gate.clear()
    async with open_stream(adapter, time) as reply:
        for piece in ("a", "b", "c", "d"):
            reply.push(piece)
            await settle()
        adapter.draft_gate.set()
        await settle()
        assert adapter.texts("draft") == ["a", "abcd"]


async def test_a_text_that_looks_the_same_is_not_drafted_again(time):
    adapter = RecordingAdapter()
    async with open_stream(adapter, time) as reply:
        for piece in ("word", " ", "\n"):
            reply.push(piece)
            await settle()
        assert adapter.texts("draft") == ["word"]


async def test_a_chat_without_drafts_gets_the_reply_alone(time):
    adapter = RecordingAdapter(Caps(draft_interval_s=None))
    async with open_stream(adapter, time) as reply:
        reply.push("words")
        await settle()
        await reply.finish()
    assert [(kind, text) for kind, _, text in adapter.shown] == [("send", "words")]


async def test_finish_waits_for_the_draft_under_way_and_nothing_is_drafted_after_it(time):
    adapter = RecordingAdapter()
    adapter.draft_gate.clear()
    async with open_stream(adapter, time) as reply, asyncio.TaskGroup() as group:
        reply.push("half")
        await settle()
        finishing = group.create_task(reply.finish())
        reply.push(" whole")
        await settle()
        assert not finishing.done()
        adapter.draft_gate.set()
    assert [(kind, text) for kind, _, text in adapter.shown] == [("draft", "half"), ("send", "half whole")]


async def test_the_final_text_is_sent_until_it_is_accepted(time):
    adapter = RecordingAdapter()
    adapter.faults["send"].extend([RateLimitedError(3.0), RateLimitedError(7.0)])
    async with open_stream(adapter, time) as reply, asyncio.TaskGroup() as group:
        reply.push("precious")
        finishing = group.create_task(reply.finish())
        await settle()
        await time.advance(3.0)
        await time.advance(6.9)
        assert adapter.texts("send") == []
        await time.advance(0.1)
        assert len(finishing.result()) == 1
    assert adapter.texts("send") == ["precious"]


async def test_a_refused_draft_is_tried_again_when_the_platform_allows_it(time):
    adapter = RecordingAdapter(Caps(draft_interval_s=1.0))
    adapter.faults["draft"].append(RateLimitedError(5.0))
    async with open_stream(adapter, time) as reply:
        reply.push("words")
        await settle()
        await time.advance(4.9)
        assert adapter.texts("draft") == []
        await time.advance(0.1)
        assert adapter.texts("draft") == ["words"]


async def test_a_draft_that_fails_costs_nothing_but_itself(time):
    adapter = RecordingAdapter()
    adapter.faults["draft"].append(BotError("not today"))
    async with open_stream(adapter, time) as reply:
        reply.push("one")
        await settle()
        reply.push(" two")
        await settle()
        await reply.finish()
    assert [(kind, text) for kind, _, text in adapter.shown] == [("draft", "one two"), ("send", "one two")]


async def test_a_hint_is_shown_until_there_is_text_and_is_no_part_of_the_reply(time):
    adapter = RecordingAdapter()
    async with open_stream(adapter, time) as reply:
        reply.hint("number 2")
        await settle()
        reply.push("Hello")
        await settle()
        reply.hint("number 1")
        await settle()
        await reply.finish()
    assert [(kind, text) for kind, _, text in adapter.shown] == [
        ("draft", "number 2"),
        ("draft", "Hello"),
        ("send", "Hello"),
    ]


async def test_an_empty_reply_is_not_posted(time):
    adapter = RecordingAdapter()
    async with open_stream(adapter, time) as reply:
        reply.push(" \n")
        assert await reply.finish() == ()
    assert adapter.shown == []


async def test_leaving_without_finish_gives_the_reply_up_and_lets_the_error_through(time):
    adapter = RecordingAdapter()
    adapter.draft_gate.clear()
    with pytest.raises(ZeroDivisionError):
        async with open_stream(adapter, time) as reply:
            reply.push("half")
            await settle()
            raise ZeroDivisionError
    adapter.draft_gate.set()
    await settle()
    assert adapter.shown == []
    assert adapter.num_drafts_under_way == 0
    assert await reply.finish() == ()


async def test_a_refusal_for_good_reaches_the_caller(time):
    adapter = RecordingAdapter(Caps(max_length=3))
    async with open_stream(adapter, time) as reply:
        reply.push("four")
        with pytest.raises(MessageTooLongError) as caught:
            await reply.finish()
    assert (caught.value.length, caught.value.limit) == (4, 3)
