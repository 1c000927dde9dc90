import asyncio
import contextlib
import logging

import pytest
from manual_time import ManualTime, settle
from recording_adapter import CHAT, OTHER_CHAT, RecordingAdapter

from bots import Caps, Dispatcher, RateLimitedError
from bots.dispatcher import MAX_WAITING_PER_CHAT
from bots.testing import InQueue, Refusal, ScriptedEngine
from engine.errors import EngineClosedError, EngineError, PromptTooLongError, QueueFullError


@contextlib.asynccontextmanager
async def serving(*scripts, caps=None, time=None):
    """A dispatcher at work; the block is the people on the platform."""
    adapter = RecordingAdapter(caps)
    time = time or ManualTime()
    async with ScriptedEngine(scripts) as engine, adapter, asyncio.TaskGroup() as group:
        dispatcher = Dispatcher(adapter, engine, persona="Be kind.", clock=time.clock, sleep=time.sleep)
        running = group.create_task(dispatcher.run())
        yield adapter, engine, dispatcher
        adapter.end_input()
        await running


async def test_a_message_is_answered_in_its_chat():
    async with serving(["Hello", " you"]) as (adapter, engine, dispatcher):
        adapter.say("Hi")
        await adapter.until_settled(1)
        assert adapter.texts("send", CHAT) == ["Hello you"]
        assert dispatcher.num_failed_replies == 0
        assert engine.num_running == 0


async def test_messages_of_a_chat_are_answered_in_order_and_each_is_settled_before_the_next():
    gate = asyncio.Event()
    async with serving(["one", gate.wait], ["two"], ["three"]) as (adapter, engine, _):
        for text in ("1", "2", "3"):
            adapter.say(text)
        await settle()
        assert len(engine.requests) == 1
        gate.set()
        await adapter.until_settled(3)
        assert adapter.texts("send") == ["one", "two", "three"]
        assert [message.text for message in adapter.settled_messages] == ["1", "2", "3"]


async def test_a_slow_answer_in_one_chat_does_not_hold_up_another():
    gate = asyncio.Event()
    async with serving(["slow", gate.wait], ["quick"]) as (adapter, _, __):
        adapter.say("1", CHAT)
        adapter.say("2", OTHER_CHAT)
        await adapter.until_settled(1)
        assert adapter.texts("send", OTHER_CHAT) == ["quick"]
        gate.set()
        await adapter.until_settled(2)


async def test_chats_do_not_see_each_others_words():
    async with serving() as (adapter, engine, _):
        adapter.say("my secret", CHAT)
        await adapter.until_settled(1)
        adapter.say("hello", OTHER_CHAT)
        await adapter.until_settled(2)
        assert "secret" not in repr(engine.requests[1])


async def test_a_message_that_is_not_for_the_bot_is_left_alone():
    async with serving() as (adapter, engine, _):
        adapter.say("/help", addressed=frozenset())
        adapter.say("hello", addressed=frozenset())
        await adapter.until_settled(2)
        assert adapter.shown == []
        assert engine.requests == []


async def test_stop_acts_at_once_and_the_answer_keeps_what_was_shown():
    async with serving(["Once upon", asyncio.Event().wait, " a time"]) as (adapter, engine, dispatcher):
        adapter.say("A story")
        await adapter.until_shown("draft", "Once upon")
        adapter.say("/stop")
        await adapter.until_settled(2)
        assert adapter.texts("send") == ["Once upon"]
        assert adapter.texts("notice") == ["Stopped."]
        assert dispatcher.num_failed_replies == 0
        adapter.say("go on")
        await adapter.until_settled(3)
        assert [message.content for message in engine.requests[-1].messages] == [
            "Be kind.",
            "A story",
            "Once upon",
            "go on",
        ]


async def test_stop_before_the_first_word_ends_the_question_and_the_next_one_is_answered():
    async with serving([InQueue(4), asyncio.Event().wait], ["next"]) as (adapter, _, dispatcher):
        adapter.say("A story")
        await settle()
        adapter.say("Another")
        adapter.say("/stop")
        await adapter.until_settled(3)
        assert adapter.texts("send") == ["next"]
        assert dispatcher.num_failed_replies == 0


async def test_other_commands_wait_for_the_answer_before_them():
    gate = asyncio.Event()
    async with serving(["one", gate.wait], ["two"]) as (adapter, engine, _):
        adapter.say("1")
        adapter.say("/reset")
        adapter.say("2")
        await settle()
        assert adapter.texts("notice") == []
        gate.set()
        await adapter.until_settled(3)
        assert [message.content for message in engine.requests[1].messages] == ["Be kind.", "2"]


async def test_two_slashes_reach_the_model_as_one():
    async with serving() as (adapter, engine, _):
        adapter.say("//help me")
        await adapter.until_settled(1)
        assert engine.requests[0].messages[-1].content == "/help me"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (QueueFullError(256, 256), ["too busy", "256", "try again"]),
        (PromptTooLongError(3000, 2048), ["too long", "3000", "2048", "shorten"]),
        (EngineClosedError("closing"), ["shutting down", "try again"]),
        (EngineError("the\nreason"), ["the reason", "try again", "/reset"]),
    ],
)
@pytest.mark.parametrize("is_refused", [True, False])
async def test_what_the_engine_refuses_becomes_one_line_that_says_what_to_do(error, words, is_refused):
    script = [Refusal(error)] if is_refused else ["Half an ", error]
    async with serving(script, ["fine"]) as (adapter, _, dispatcher):
        adapter.say("question")
        await adapter.until_settled(1)
        (line,) = adapter.texts("notice")
        assert "\n" not in line
        assert all(word in line for word in words)
        assert dispatcher.num_failed_replies == 1
        assert adapter.texts("send") == []
        adapter.say("question")
        await adapter.until_settled(2)
        assert adapter.texts("send") == ["fine"]


async def test_a_bug_is_logged_with_its_traceback_and_reported_in_one_line(caplog):
    async with serving(["Half", ZeroDivisionError("a bug")], ["fine"]) as (adapter, _, dispatcher):
        adapter.say("question")
        await adapter.until_settled(1)
        (line,) = adapter.texts("notice")
        assert "went wrong" in line
        assert "a bug" not in line
        assert dispatcher.num_failed_replies == 1
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.exc_info[0] is ZeroDivisionError
        assert "question" not in record.getMessage()
        adapter.say("again")
        await adapter.until_settled(2)
        assert adapter.texts("send") == ["fine"]


async def test_an_answer_without_words_is_reported():
    async with serving([" "]) as (adapter, _, dispatcher):
        adapter.say("question")
        await adapter.until_settled(1)
        assert len(adapter.texts("notice")) == 1
        assert dispatcher.num_failed_replies == 1


async def test_an_answer_that_does_not_fit_is_reported():
    async with serving(["word " * 100], caps=Caps(max_length=200)) as (adapter, _, dispatcher):
        adapter.say("question")
        await adapter.until_settled(1)
        assert "does not fit" in adapter.texts("notice")[0]
        assert dispatcher.num_failed_replies == 1


async def test_the_place_in_the_queue_is_shown_until_the_answer_begins():
    gate, time = asyncio.Event(), ManualTime()
    script = [InQueue(3), gate.wait, InQueue(1), lambda: time.sleep(5), "At last"]
    caps = Caps(draft_interval_s=0.0, can_show_queue=True)
    async with serving(script, caps=caps, time=time) as (adapter, _, __):
        adapter.say("question")
        await adapter.until_shown("draft", "number 3")
        gate.set()
        await time.advance(1.0)
        await adapter.until_shown("draft", "number 1")
        await time.advance(5.0)
        await adapter.until_settled(1)
        assert adapter.texts("draft")[-1] == "At last"
        assert adapter.texts("send") == ["At last"]


async def test_a_chat_that_cannot_show_the_queue_is_spared_it():
    gate = asyncio.Event()
    async with serving([InQueue(3), gate.wait, "At last"]) as (adapter, _, __):
        adapter.say("question")
        await settle()
        assert adapter.shown == []
        gate.set()
        await adapter.until_settled(1)


async def test_a_flood_is_refused_beyond_the_limit_and_the_rest_is_answered():
    gate = asyncio.Event()
    async with serving([gate.wait, "first"]) as (adapter, engine, dispatcher):
        for number in range(MAX_WAITING_PER_CHAT + 3):
            adapter.say(f"message {number}")
            await settle()
        assert len(adapter.texts("notice")) == 2
        assert dispatcher.num_failed_replies == 2
        gate.set()
        await adapter.until_settled(MAX_WAITING_PER_CHAT + 3)
        assert len(adapter.texts("send")) == MAX_WAITING_PER_CHAT + 1
        assert engine.requests[-1].messages[-1].content == f"message {MAX_WAITING_PER_CHAT}"


async def test_a_notice_is_repeated_until_the_platform_takes_it():
    time = ManualTime()
    async with serving(time=time) as (adapter, _, __):
        adapter.faults["notice"].append(RateLimitedError(4.0))
        adapter.say("/help")
        await settle()
        assert adapter.settled_messages == []
        await time.advance(4.0)
        await adapter.until_settled(1)
        assert len(adapter.texts("notice")) == 1


async def test_when_the_input_ends_the_answer_under_way_is_posted_as_it_stands():
    async with serving(["Half", asyncio.Event().wait], ["never"]) as (adapter, engine, _):
        adapter.say("question")
        adapter.say("another")
        await adapter.until_shown("draft", "Half")
    assert adapter.texts("send") == ["Half"]
    assert len(engine.requests) == 1


async def test_an_adapter_that_goes_away_ends_the_run_quietly(caplog):
    async with serving(["Half", asyncio.Event().wait]) as (adapter, engine, dispatcher):
        adapter.say("question")
        await adapter.until_shown("draft", "Half")
        await adapter.__aexit__(None, None, None)
    assert engine.num_running == 0
    assert dispatcher.num_failed_replies == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
