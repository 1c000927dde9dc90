import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bots import (
    Addressed,
    Attachment,
    Button,
    Caps,
    ChatRef,
    DatabaseError,
    Mention,
    RateLimitedError,
    ServingRules,
    Text,
)
from bots.bot import BotRules, open_bot
from bots.buttons import RETRY, STOP
from bots.chatline import MAX_WAITING
from bots.chatlog import ChatLog
from bots.dispatcher import FORGOTTEN, NOT_YOURS
from bots.message import ChatMoved, MessageEdited, MessagesDeleted, Quote, Reacted
from bots.testing import (
    ANN,
    BOB,
    CHAT,
    OTHER_CHAT,
    FakePlatform,
    InQueue,
    Refusal,
    ScriptedEngine,
    VirtualClock,
    settle,
)
from engine.errors import EngineClosedError, EngineError, PromptTooLongError, QueueFullError
from engine.generation import Completion, FinishReason, Generation

GOOD, BAD, BETTER = (
    Button("feedback:good", "\N{THUMBS UP SIGN}"),
    Button("feedback:bad", "\N{THUMBS DOWN SIGN}"),
    Button("feedback:better", "\N{PENCIL} Better"),
)
AFTERWARDS = (RETRY, GOOD, BAD, BETTER)
MENTIONED = frozenset({Addressed.MENTION})
EDITS = Caps(can_edit=True, has_buttons=True)
GATHERING = ServingRules(gather_s=1.0, resume_within=timedelta(hours=1))


class Stage:
    """A dispatcher at work, and the people on the platform."""

    def __init__(self, adapter, engine, dispatcher, time):
        self.adapter, self.engine, self.dispatcher, self.time = adapter, engine, dispatcher, time
        self.say = adapter.say

    async def answered(self, count):
        await self.adapter.until_settled(count)

    async def all_taken(self):
        """Wait until all that was said so far has come in: commands that act at once come in order, too."""
        settled = len(self.adapter.settled_messages)
        self.say("/stop", ChatRef("memory", "bot", "a chat of its own"))
        await self.adapter.until_settled(settled + 1)

    def asked(self, number=-1):
        """What the engine was asked, without the persona."""
        return [message.content for message in self.engine.requests[number].messages[1:]]


@contextlib.asynccontextmanager
async def serving(chat_log, *scripts, caps=None, rules=None, adapter=None, engine=None):
    adapter, time = adapter or FakePlatform(caps), VirtualClock()
    rules = BotRules("Be kind.", serving=rules or ServingRules())
    async with (
        engine or ScriptedEngine(scripts) as engine,
        open_bot(engine, chat_log, rules) as bot,
        adapter,
        asyncio.TaskGroup() as group,
    ):
        # The plugins' own schedules go by the real clock, and stay out of the way.
        dispatcher = replace(bot, clock=time.clock, sleep=time.sleep).dispatcher(adapter)
        running = group.create_task(dispatcher.run())
        yield Stage(adapter, engine, dispatcher, time)
        adapter.end_input()
        while not running.done():
            await time.advance(0.1)
            await asyncio.sleep(0.001)


async def test_a_message_is_answered_in_its_chat(chat_log):
    async with serving(chat_log, ["Hello", " you"]) as stage:
        stage.say("Hi")
        await stage.answered(1)
        assert stage.adapter.texts("send", CHAT) == ["Hello you"]
        assert stage.engine.num_running == 0
    assert stage.dispatcher.num_failed_replies == 0


async def test_messages_of_a_chat_are_answered_in_order_and_each_is_settled_before_the_next(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["one", gate.wait], ["two"], ["three"]) as stage:
        for text in ("1", "2", "3"):
            stage.say(text)
        await stage.all_taken()
        await stage.adapter.until_shown("draft", "one")
        assert len(stage.engine.requests) == 1
        gate.set()
        await stage.answered(4)
        assert stage.adapter.texts("send") == ["one", "two", "three"]
        assert [m.text for m in stage.adapter.settled_messages if m.chat == CHAT] == ["1", "2", "3"]


async def test_a_slow_answer_in_one_chat_does_not_hold_up_another(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["slow", gate.wait], ["quick"]) as stage:
        stage.say("1", CHAT)
        await stage.adapter.until_shown("draft", "slow")
        stage.say("2", OTHER_CHAT)
        await stage.answered(1)
        assert stage.adapter.texts("send", OTHER_CHAT) == ["quick"]
        gate.set()
        await stage.answered(2)


async def test_the_engine_sees_what_was_said_before(chat_log):
    async with serving(chat_log, ["Hi Ann"], ["Paris"]) as stage:
        stage.say("Hello")
        await stage.answered(1)
        stage.say("Capital of France?")
        await stage.answered(2)
        assert stage.asked() == ["Hello", "Hi Ann", "Capital of France?"]
        assert stage.engine.requests[-1].chat == "memory/bot/room"


async def test_the_memory_outlives_the_process(database):
    async with ChatLog.open(database) as log, serving(log, ["Hi Ann"]) as stage:
        stage.say("Hello")
        await stage.answered(1)
    async with ChatLog.open(database) as log, serving(log, ["Fine"]) as stage:
        stage.say("How are you?")
        await stage.answered(1)
        assert stage.asked() == ["Hello", "Hi Ann", "How are you?"]


async def test_a_message_that_is_not_for_the_bot_is_left_alone_and_not_kept(chat_log):
    async with serving(chat_log) as stage:
        stage.say("/help", addressed=frozenset())
        stage.say("hello", addressed=frozenset())
        await stage.answered(2)
        assert stage.adapter.shown == []
        assert stage.engine.requests == []
    assert sum((await chat_log.stats()).questions.values()) == 0


async def test_the_same_message_twice_is_answered_once(chat_log):
    async with serving(chat_log, ["once"]) as stage:
        message = stage.say("Hi")
        stage.adapter.happen(message)
        await stage.answered(2)
        assert stage.adapter.texts("send") == ["once"]


async def test_stop_acts_at_once_and_the_answer_keeps_what_was_shown(chat_log):
    async with serving(chat_log, ["Once upon", asyncio.Event().wait, " a time"]) as stage:
        stage.say("A story")
        await stage.adapter.until_shown("draft", "Once upon")
        stage.say("/stop")
        await stage.answered(2)
        assert stage.adapter.texts("send") == ["Once upon"]
        assert stage.adapter.texts("notice") == ["Stopped."]
        stage.say("go on")
        await stage.answered(3)
        assert stage.asked() == ["A story", "Once upon", "go on"]
    assert stage.dispatcher.num_failed_replies == 0


async def test_stop_before_the_first_word_ends_the_question_and_the_next_one_is_answered(chat_log):
    async with serving(chat_log, [InQueue(4), asyncio.Event().wait], ["next"]) as stage:
        stage.say("A story")
        await until(lambda: stage.engine.requests)
        stage.say("Another")
        stage.say("/stop")
        await stage.answered(3)
        assert stage.adapter.texts("send") == ["next"]
    assert stage.dispatcher.num_failed_replies == 0


async def test_other_commands_wait_for_the_answer_before_them(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["one", gate.wait], ["two"]) as stage:
        stage.say("1")
        stage.say("/reset")
        stage.say("2")
        await stage.all_taken()
        assert stage.adapter.texts("notice", CHAT) == []
        gate.set()
        await stage.answered(4)
        assert stage.asked() == ["2"]


async def test_two_slashes_reach_the_model_as_one_and_ask_not_at_all(chat_log):
    async with serving(chat_log) as stage:
        stage.say("//help me")
        await stage.answered(1)
        assert stage.asked() == ["/help me"]
        stage.say("/ask what is up", OTHER_CHAT)
        await stage.answered(2)
        assert stage.asked() == ["what is up"]


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
async def test_what_the_engine_refuses_becomes_one_line_that_says_what_to_do(chat_log, error, words, is_refused):
    script = [Refusal(error)] if is_refused else [error]
    async with serving(chat_log, script, ["fine"]) as stage:
        stage.say("question")
        await stage.answered(1)
        (line,) = stage.adapter.texts("notice")
        assert "\n" not in line
        assert all(word in line for word in words)
        assert stage.adapter.texts("send") == []
        stage.say("question")
        await stage.answered(2)
        assert stage.adapter.texts("send") == ["fine"]
        assert stage.asked() == ["question"]
    assert stage.dispatcher.num_failed_replies == 1


async def test_an_engine_that_fails_in_the_middle_leaves_what_was_shown_and_says_so(chat_log):
    async with serving(chat_log, ["Half an ", EngineError("broken")], caps=EDITS) as stage:
        stage.say("question")
        await stage.answered(1)
        assert [post.text for post in stage.adapter.standing()] == ["Half an"]
        assert "broken" in stage.adapter.texts("notice")[0]


async def test_a_bug_is_logged_with_its_traceback_and_reported_in_one_line(chat_log, caplog):
    async with serving(chat_log, ["Half", ZeroDivisionError("a bug")], ["fine"]) as stage:
        stage.say("the words")
        await stage.answered(1)
        (line,) = stage.adapter.texts("notice")
        assert "went wrong" in line
        assert "a bug" not in line
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.exc_info[0] is ZeroDivisionError
        assert "the words" not in record.getMessage()
        stage.say("again")
        await stage.answered(2)
        assert stage.adapter.texts("send") == ["fine"]
    assert stage.dispatcher.num_failed_replies == 1


async def test_an_answer_without_words_is_reported(chat_log):
    async with serving(chat_log, [" "]) as stage:
        stage.say("question")
        await stage.answered(1)
        assert len(stage.adapter.texts("notice")) == 1
    assert stage.dispatcher.num_failed_replies == 1


async def test_an_answer_that_is_too_long_for_one_message_takes_several(chat_log):
    async with serving(chat_log, ["word " * 100], caps=Caps(max_length=200)) as stage:
        stage.say("question")
        await stage.answered(1)
        assert len(stage.adapter.texts("send")) == 3
        assert " ".join(stage.adapter.texts("send")).split() == ["word"] * 100


async def test_the_place_in_the_queue_is_shown_until_the_answer_begins(chat_log):
    gate = asyncio.Event()
    caps = Caps(draft_interval_s=0.0, can_show_queue=True)
    second = asyncio.Event()
    script = [InQueue(3), gate.wait, InQueue(1), second.wait, "At last"]
    async with serving(chat_log, script, caps=caps) as stage:
        stage.say("question")
        await stage.adapter.until_shown("draft", "number 3")
        gate.set()
        await settle()
        await stage.time.advance(1.0)
        await stage.adapter.until_shown("draft", "number 1")
        second.set()
        await stage.answered(1)
        assert stage.adapter.texts("send") == ["At last"]


async def test_a_flood_is_refused_beyond_the_limit_and_the_rest_is_answered(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, [gate.wait, "first"]) as stage:
        stage.say("message 0")
        await until(lambda: stage.engine.requests)
        for number in range(1, MAX_WAITING + 3):
            stage.say(f"message {number}")
        await stage.answered(2)
        assert len(stage.adapter.texts("notice")) == 1
        gate.set()
        await stage.answered(MAX_WAITING + 3)
        assert len(stage.adapter.texts("send")) == MAX_WAITING + 1
        assert stage.asked()[-1] == f"message {MAX_WAITING}"
    assert stage.dispatcher.num_failed_replies == 2


async def test_a_notice_is_repeated_until_the_platform_takes_it(chat_log):
    async with serving(chat_log) as stage:
        stage.adapter.faults["notice"].append(RateLimitedError(4.0))
        stage.say("/help")
        await until(lambda: not stage.adapter.faults["notice"])
        assert stage.adapter.settled_messages == []
        await stage.time.until_asleep()
        await stage.time.advance(4.0)
        await stage.answered(1)
        assert len(stage.adapter.texts("notice")) == 1


async def test_when_the_input_ends_the_answer_under_way_is_posted_as_it_stands(chat_log):
    async with serving(chat_log, ["Half", asyncio.Event().wait], ["never"]) as stage:
        stage.say("question")
        stage.say("another")
        await stage.adapter.until_shown("draft", "Half")
    assert stage.adapter.texts("send") == ["Half"]
    assert len(stage.engine.requests) == 1


async def test_an_adapter_that_goes_away_ends_the_run_quietly(chat_log, caplog):
    async with serving(chat_log, ["Half", asyncio.Event().wait]) as stage:
        stage.say("question")
        await stage.adapter.until_shown("draft", "Half")
        await stage.adapter.__aexit__(None, None, None)
    assert stage.engine.num_running == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# Groups


async def test_in_a_group_people_are_tags_to_the_model_and_names_to_each_other(chat_log):
    async with serving(chat_log, ["Hi [A]!"], ["[A] likes [B]."]) as stage:
        stage.say("Hello", addressed=MENTIONED)
        await stage.answered(1)
        stage.say("Who is who?", addressed=MENTIONED, author=BOB)
        await stage.answered(2)
        assert stage.asked() == ["[A] Hello", "Hi [A]!", "[B] Who is who?"]
        assert "\n[A]" in stage.engine.requests[-1].stop
        assert stage.adapter.texts("send") == ["Hi Ann!", "likes Bob."]
        assert "Ann" not in repr(stage.engine.requests)


async def test_a_name_cannot_smuggle_markup_into_an_answer(chat_log):
    evil = type(ANN)("memory", "9", "**[x](http://evil)**")
    async with serving(chat_log, ["Hi [A]!"]) as stage:
        stage.say("Hello", addressed=MENTIONED, author=evil)
        await stage.answered(1)
        assert stage.adapter.texts("send") == [r"Hi \*\*\[x\](http://evil)\*\*!"]


async def test_someone_who_is_mentioned_is_a_tag_too(chat_log):
    async with serving(chat_log, ["[B] is nice"]) as stage:
        segments = (Text("What of "), Mention(BOB.id, BOB.name), Text("?"))
        stage.say("", addressed=MENTIONED, segments=segments)
        await stage.answered(1)
        assert stage.asked() == ["[A] What of [B]?"]
        assert stage.adapter.texts("send") == ["is nice"]


async def test_chats_do_not_see_each_others_words(chat_log):
    threads = [ChatRef("memory", "bot", "room", "7"), ChatRef("memory", "other bot", "room"), OTHER_CHAT]
    async with serving(chat_log) as stage:
        secret = stage.say("my secret", CHAT)
        await stage.answered(1)
        for number, chat in enumerate(threads):
            stage.say("/persona I am the secret keeper", CHAT)
            stage.say("hello", chat, quote=Quote(secret.id, None))
            await stage.answered(3 + 2 * number)
            assert "secret" not in repr(stage.engine.requests[-1])


async def test_a_reply_to_something_long_ago_brings_back_what_led_to_it(chat_log):
    async with serving(chat_log, *[[f"answer {number}"] for number in range(130)]) as stage:
        stage.say("the beginning", addressed=MENTIONED)
        await stage.answered(1)
        for number in range(1, 105):
            stage.say(f"filler {number}", addressed=MENTIONED, author=BOB)
            await stage.answered(number + 1)
        first = stage.adapter.posted[0]
        stage.say("as I said", addressed=MENTIONED, quote=Quote(first.id, None, (Text(first.text),)))
        await stage.answered(106)
        assert stage.asked() == ["[A] the beginning", "answer 0", "[A] as I said"]


async def test_what_somebody_else_said_is_quoted_to_the_model_when_it_is_replied_to(chat_log):
    async with serving(chat_log, ["True"], ["Still true"]) as stage:
        quote = Quote("99", BOB, (Text("The earth is flat"),))
        stage.say("Is that so?", addressed=MENTIONED, quote=quote)
        await stage.answered(1)
        assert stage.asked() == ["[A] The earth is flat\n[B] Is that so?"]
        stage.say("Really?", addressed=MENTIONED)
        await stage.answered(2)
        assert stage.asked() == ["[A] The earth is flat\n[B] Is that so?", "True", "[B] Really?"]


async def test_keywords_and_every_message_are_answered_only_where_somebody_asked_for_it(chat_log):
    async with serving(chat_log) as stage:
        stage.adapter.moderators.add(ANN)
        stage.say("a bird sings", addressed=frozenset())
        stage.say("/trigger keywords bird, mynah", addressed=MENTIONED)
        await stage.answered(2)
        stage.say("a Bird!", addressed=frozenset())
        stage.say("birds", addressed=frozenset())
        await stage.answered(4)
        assert [m[-1] for m in map(stage.asked, range(len(stage.engine.requests)))] == ["[A] a Bird!"]
        stage.say("/trigger every", addressed=MENTIONED)
        await stage.answered(5)
        stage.say("birds", addressed=frozenset())
        await stage.answered(6)
        assert stage.asked()[-1] == "[A] birds"
        stage.say("elsewhere", OTHER_CHAT, addressed=frozenset())
        await stage.answered(7)
        assert len(stage.engine.requests) == 2


async def test_only_those_who_look_after_a_group_change_what_the_bot_does_there(chat_log):
    async with serving(chat_log) as stage:
        stage.say("/persona a pirate", addressed=MENTIONED, author=BOB)
        await stage.answered(1)
        assert "Only those" in stage.adapter.texts("notice")[-1]
        stage.say("/persona", addressed=MENTIONED, author=BOB)
        await stage.answered(2)
        assert "Be kind." in stage.adapter.texts("notice")[-1]


async def test_a_thread_into_which_the_bot_was_called_needs_no_mention_any_more(chat_log):
    thread = ChatRef("memory", "bot", "room", "thread 1")
    async with serving(chat_log) as stage:
        stage.say("nobody called", thread, addressed=frozenset())
        stage.say("come here", thread, addressed=MENTIONED)
        await stage.answered(2)
        stage.say("and now?", thread, addressed=frozenset())
        await stage.answered(3)
        assert len(stage.engine.requests) == 2
        assert stage.asked()[-1] == "[A] and now?"


async def test_other_bots_and_commands_for_them_are_left_alone(chat_log):
    bot = type(ANN)("memory", "77", "Other bot", is_bot=True)
    async with serving(chat_log) as stage:
        stage.say("hello", addressed=MENTIONED, author=bot)
        stage.say("/weather", addressed=frozenset({Addressed.COMMAND}))
        await stage.answered(2)
        assert stage.adapter.shown == []


# Messages in a row, edits and deletions


async def test_what_a_person_says_in_a_row_is_answered_as_one(chat_log):
    async with serving(chat_log, ["one answer"], rules=GATHERING) as stage:
        for text in ("Hello", "are you", "there?"):
            stage.say(text)
        await stage.all_taken()
        assert stage.engine.requests == []
        await stage.time.advance(1.0)
        await stage.answered(4)
        assert stage.asked() == ["Hello\nare you\nthere?"]
        assert stage.adapter.texts("send", CHAT) == ["one answer"]


async def test_somebody_who_never_stops_is_answered_all_the_same(chat_log):
    async with serving(chat_log, ["one"], rules=GATHERING) as stage:
        for number in range(6):
            stage.say(f"{number}")
            await stage.all_taken()
            await stage.time.advance(0.9)
        await until(lambda: stage.engine.requests)


async def test_what_follows_before_the_answer_has_begun_becomes_part_of_the_question(chat_log):
    async with serving(chat_log, [InQueue(2), asyncio.Event().wait], ["both"], rules=GATHERING) as stage:
        stage.say("Hello")
        await stage.all_taken()
        await stage.time.advance(1.0)
        await until(lambda: stage.engine.requests)
        stage.say("and how are you?")
        await stage.answered(3)
        assert stage.asked() == ["Hello\nand how are you?"]
        assert stage.adapter.texts("send") == ["both"]
        assert stage.engine.num_running == 0


async def test_what_comes_while_people_are_told_of_a_failure_is_a_question_of_its_own(chat_log):
    async with serving(chat_log, [Refusal(QueueFullError(9, 9))], ["fine"], rules=GATHERING) as stage:
        stage.say("first")
        await stage.all_taken()
        stage.adapter.faults["notice"].append(RateLimitedError(5.0))
        await stage.time.advance(1.0)
        await until(lambda: not stage.adapter.faults["notice"])
        stage.say("second")
        await stage.all_taken()
        await stage.time.advance(5.0)
        await stage.answered(3)
        await stage.time.advance(1.0)
        await stage.answered(4)
        assert stage.asked() == ["second"]
        assert stage.adapter.texts("send") == ["fine"]


async def test_stop_while_more_is_waited_for_leaves_the_question_unanswered(chat_log):
    async with serving(chat_log, rules=GATHERING) as stage:
        stage.say("never mind")
        await stage.all_taken()
        stage.say("/stop")
        await stage.answered(2)
        await stage.time.advance(1.0)
        await stage.answered(3)
        assert stage.engine.requests == []
        stage.say("but this")
        await stage.all_taken()
        await stage.time.advance(1.0)
        await stage.answered(5)
        assert stage.asked() == ["but this"]
    assert await is_done(chat_log)


@pytest.mark.parametrize("act", ["delete", "edit", "stop"])
async def test_what_happens_while_a_file_is_fetched_is_not_lost(chat_log, act):
    class SlowFiles(FakePlatform):
        async def read(self, attachment, limit_bytes):
            reading.set()
            await gate.wait()
            return b"the words"

    reading, gate = asyncio.Event(), asyncio.Event()
    attachment = Attachment("a.txt", "text/plain", 9, "a")
    async with serving(chat_log, ["answer"], adapter=SlowFiles()) as stage:
        message = stage.say("", segments=(Text("first"), attachment))
        await reading.wait()
        match act:
            case "delete":
                stage.adapter.delete_message(message)
            case "edit":
                stage.adapter.happen(MessageEdited(CHAT, message.id, (Text("second"), attachment), datetime.now(UTC)))
            case "stop":
                stage.say("/stop")
        await stage.all_taken()
        gate.set()
        await until(lambda: message in stage.adapter.settled_messages)
        expected = [["second\n(file: a.txt)\nthe words\n"]] if act == "edit" else []
        assert [stage.asked(number) for number in range(len(stage.engine.requests))] == expected


async def test_a_file_that_comes_while_the_question_waits_is_read_too(chat_log):
    script = [InQueue(2), asyncio.Event().wait]
    async with serving(chat_log, script, ["both"], rules=GATHERING) as stage:
        stage.adapter.files = {"a": b"the words"}
        stage.say("Read this")
        await stage.all_taken()
        await stage.time.advance(1.0)
        await until(lambda: stage.engine.requests)
        stage.say("", segments=(Attachment("a.txt", "text/plain", 9, "a"),))
        await stage.answered(3)
        assert "the words" in stage.asked()[0]


async def test_a_retry_still_knows_what_was_replied_to(chat_log):
    async with serving(chat_log, ["True"], ["Still true"], caps=EDITS) as stage:
        quote = Quote("99", BOB, (Text("The earth is flat"),))
        stage.say("Is that so?", addressed=MENTIONED, quote=quote)
        stage.say("/retry", addressed=MENTIONED)
        await stage.adapter.until_shown("edit", "Still true")
        assert stage.asked(0) == stage.asked(1) == ["[A] The earth is flat\n[B] Is that so?"]


async def test_two_people_in_a_group_get_an_answer_each(chat_log):
    async with serving(chat_log, rules=GATHERING) as stage:
        stage.say("I am Ann", addressed=MENTIONED)
        stage.say("I am Bob", addressed=MENTIONED, author=BOB)
        stage.say("Ann again", addressed=MENTIONED)
        await stage.all_taken()
        await stage.time.advance(1.0)
        await stage.answered(4)
        assert [stage.asked(number)[-1] for number in range(2)] == ["[A] I am Ann\n[A] Ann again", "[B] I am Bob"]


async def test_an_edit_before_the_answer_has_begun_changes_it(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["busy", gate.wait], [InQueue(1), asyncio.Event().wait], ["right"]) as stage:
        stage.say("first")
        waiting = stage.say("wrnog")
        stage.adapter.edit_message(waiting, "still wrong")
        await stage.all_taken()
        gate.set()
        await until(lambda: len(stage.engine.requests) == 2)
        assert stage.asked()[-1] == "still wrong"
        stage.adapter.edit_message(waiting, "right")
        await stage.answered(3)
        assert stage.asked()[-1] == "right"
        assert stage.adapter.texts("send", CHAT) == ["busy", "right"]


async def test_an_edit_after_the_answer_has_begun_changes_the_memory_alone(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["Half", gate.wait, " done"], ["next"]) as stage:
        message = stage.say("wrnog")
        await stage.adapter.until_shown("draft", "Half")
        stage.adapter.edit_message(message, "right")
        await stage.all_taken()
        gate.set()
        await stage.answered(2)
        assert stage.adapter.texts("send") == ["Half done"]
        stage.say("go on")
        await stage.answered(3)
        assert stage.asked() == ["right", "Half done", "go on"]


async def test_a_message_deleted_before_its_answer_has_begun_gets_none(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["busy", gate.wait], [InQueue(1), asyncio.Event().wait], ["last"]) as stage:
        stage.say("first")
        waiting, queued = stage.say("never asked"), stage.say("asked too soon")
        stage.adapter.delete_message(waiting)
        await stage.all_taken()
        gate.set()
        await until(lambda: len(stage.engine.requests) == 2)
        stage.adapter.delete_message(queued)
        await stage.answered(4)
        stage.say("last")
        await stage.answered(5)
        assert stage.adapter.texts("send", CHAT) == ["busy", "last"]
        assert stage.asked() == ["first", "busy", "last"]


async def test_a_message_deleted_later_stops_its_answer_and_is_forgotten(chat_log):
    async with serving(chat_log, ["Half", asyncio.Event().wait], ["next"]) as stage:
        message = stage.say("oh no")
        await stage.adapter.until_shown("draft", "Half")
        stage.adapter.delete_message(message)
        await stage.answered(1)
        stage.say("hello")
        await stage.answered(2)
        assert stage.asked() == ["hello"]


# Buttons


async def test_every_answer_has_buttons_and_those_who_asked_may_press_them(chat_log):
    async with serving(chat_log, ["Bad"], ["Good"], ["Next"], caps=EDITS) as stage:
        stage.say("question", addressed=MENTIONED)
        await stage.answered(1)
        (post,) = stage.adapter.standing()
        assert post.buttons == AFTERWARDS
        stage.adapter.press(post, RETRY, BOB)
        await stage.adapter.until(lambda: stage.adapter.told)
        stage.adapter.press(post, RETRY, ANN)
        await stage.adapter.until_shown("edit", "Good")
        await stage.adapter.until(lambda: len(stage.adapter.told) == 2)
        assert [text for _, text in stage.adapter.told] == [NOT_YOURS, ""]
        await until(lambda: not stage.engine.num_running)
        stage.say("go on", addressed=MENTIONED)
        await stage.answered(2)
        assert stage.asked() == ["[A] question", "Good", "[A] go on"]
        assert [post.text for post in stage.adapter.standing()] == ["Good", "Next"]


@pytest.mark.parametrize("script", [[Refusal(QueueFullError(9, 9))], [EngineError("broken")], [" "]])
async def test_a_retry_that_fails_leaves_the_answer_that_was_there(chat_log, script):
    async with serving(chat_log, ["First"], script, ["Next"], caps=replace(EDITS, can_show_queue=True)) as stage:
        stage.say("question")
        await stage.answered(1)
        stage.adapter.press(stage.adapter.posted[0], RETRY)
        await until(lambda: stage.adapter.texts("notice"))
        assert [post.text for post in stage.adapter.standing()] == ["First"]
        stage.say("go on")
        await stage.answered(2)
        assert stage.asked() == ["question", "First", "go on"]


async def test_the_stop_button_stops(chat_log):
    async with serving(chat_log, ["Once upon", asyncio.Event().wait], caps=EDITS) as stage:
        stage.say("A story")
        await until(lambda: stage.engine.requests)
        await stage.time.until_asleep()
        await stage.time.advance(1.0)
        await stage.adapter.until_shown("send", "Once upon")
        await until(lambda: stage.adapter.posted)
        (post,) = stage.adapter.standing()
        assert post.buttons == (STOP,)
        stage.adapter.press(post, STOP)
        await stage.answered(1)
        assert post.buttons == AFTERWARDS
        assert post.text == "Once upon"


async def test_thumbs_are_kept_one_for_each_person_and_the_last_counts(chat_log):
    async with serving(chat_log, ["So so"], caps=EDITS) as stage:
        stage.say("question", addressed=MENTIONED)
        await stage.answered(1)
        (post,) = stage.adapter.standing()
        for button, user in ((BAD, ANN), (GOOD, BOB), (GOOD, ANN)):
            stage.adapter.press(post, button, user)
        stage.adapter.happen(Reacted(CHAT, post.id, BOB, -1, datetime.now(UTC)))
        stage.adapter.happen(Reacted(CHAT, "unknown", BOB, -1, datetime.now(UTC)))
        await stage.all_taken()
        await until_async(lambda: has_feedback(chat_log, 3))
        stage.adapter.press(replace(post, id="unknown"), GOOD)
        await stage.adapter.until(lambda: len(stage.adapter.told) == 4)
        assert stage.adapter.told[-1] == (ANN, FORGOTTEN)
        assert all("Thank you" in text for _, text in stage.adapter.told[:3])


async def test_retry_by_command_answers_the_last_question_again(chat_log):
    async with serving(chat_log, ["First"], ["Second"], caps=EDITS) as stage:
        stage.say("question")
        stage.say("/retry")
        await stage.adapter.until_shown("edit", "Second")
        assert [post.text for post in stage.adapter.standing()] == ["Second"]


async def test_a_retry_that_is_asked_for_twice_is_done_once(chat_log):
    gate = asyncio.Event()
    long = "word " * 60
    async with serving(chat_log, ["Short"], [gate.wait, long], caps=replace(EDITS, max_length=100)) as stage:
        stage.say("question")
        await stage.answered(1)
        for _ in range(3):
            stage.adapter.press(stage.adapter.posted[0], RETRY)
        await stage.adapter.until(lambda: len(stage.adapter.told) == 3)
        gate.set()
        await until(lambda: not stage.engine.num_running)
        await stage.adapter.until(lambda: " ".join(p.text for p in stage.adapter.standing()) == long.strip())
        await stage.all_taken()
        assert len(stage.engine.requests) == 2
        assert "I am at it already." in [text for _, text in stage.adapter.told]


async def test_a_stop_button_stops_the_answer_that_it_stands_below_and_no_other(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["one"], ["two", gate.wait, " goes on"], caps=EDITS) as stage:
        stage.say("first")
        await stage.answered(1)
        stage.say("second")
        await until(lambda: len(stage.engine.requests) == 2)
        stage.adapter.press(stage.adapter.posted[0], STOP)
        await stage.adapter.until(lambda: stage.adapter.told)
        gate.set()
        await stage.answered(2)
        assert stage.adapter.standing()[-1].text == "two goes on"


async def test_an_answer_that_somebody_deletes_while_it_grows_does_not_come_again(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["Once upon", gate.wait, " a time"], caps=EDITS) as stage:
        stage.say("A story")
        await until(lambda: stage.engine.requests)
        await stage.time.until_asleep()
        await stage.time.advance(1.0)
        await stage.adapter.until(lambda: stage.adapter.posted)
        (post,) = stage.adapter.posted
        await settle()
        await stage.all_taken()
        post.is_deleted = True
        stage.adapter.happen(MessagesDeleted(CHAT, (post.id,), datetime.now(UTC)))
        await stage.answered(2)
        assert stage.adapter.standing() == []
        assert len(stage.adapter.posted) == 1
        stage.say("hello")
        await stage.answered(3)
        assert stage.asked() == ["hello"]


# Attachments


async def test_text_files_are_read_and_others_named(chat_log):
    async with serving(chat_log, ["Nice"], ["Yes"]) as stage:
        stage.adapter.files = {"a": b"\xef\xbb\xbfthe notes", "b": b"\x89PNG", "c": b"x" * 9000, "d": b"a\0b"}
        segments = (
            Text("Look"),
            Attachment("notes.txt", "text/plain", 9, "a"),
            Attachment("cat.png", "image/png", 4, "b"),
            Attachment("long.py", "", 9000, "c"),
            Attachment("lie.txt", "text/plain", 3, "d"),
        )
        stage.say("", segments=segments)
        await stage.answered(1)
        (question,) = stage.asked()
        assert question.startswith("Look\n(file: notes.txt)\nthe notes\n")
        assert "(image: cat.png)" in question
        assert 4096 <= question.count("x") < 4200
        assert "the rest of the file was left out" in question
        assert question.endswith("(file: lie.txt)")
        stage.say("and?")
        await stage.answered(2)
        assert "the notes" in stage.asked()[0]


async def test_turns_that_no_longer_fit_the_model_are_forgotten(chat_log):
    class Dropping(ScriptedEngine):
        async def submit(self, request):
            self.requests.append(request)
            generation = Generation()
            dropped = 1 if len(request.messages) > 5 else 0
            generation.feed("Yes")
            generation.finish(
                Completion(text="Yes", finish_reason=FinishReason.STOP, version="1", dropped_turns=dropped)
            )
            return generation

    async with serving(chat_log, engine=Dropping()) as stage:
        for number, text in enumerate(("one", "two", "three", "four")):
            stage.say(text)
            await stage.answered(number + 1)
        assert stage.asked() == ["two", "Yes", "three", "Yes", "four"]


async def test_a_question_that_waits_while_its_chat_moves_is_answered_in_the_new_place(chat_log):
    gate = asyncio.Event()
    async with serving(chat_log, ["one", gate.wait], ["two"]) as stage:
        stage.say("first", addressed=MENTIONED)
        await stage.adapter.until_shown("draft", "one")
        stage.say("second", addressed=MENTIONED, author=BOB)
        stage.adapter.happen(ChatMoved(CHAT, OTHER_CHAT))
        await stage.all_taken()
        gate.set()
        await stage.adapter.until_shown("send", "two")
        assert [post.text for post in stage.adapter.standing(OTHER_CHAT)] == ["two"]
        assert stage.asked() == ["[A] first", "one", "[B] second"]


class Failing:
    """A chat log whose calls of some kinds fail as often as told."""

    def __init__(self, log, **times):
        self._log, self._times = log, times

    def __getattr__(self, name):
        if self._times.get(name, 0) <= 0:
            return getattr(self._log, name)

        async def fail(*arguments, **options):
            self._times[name] -= 1
            raise DatabaseError("the database is away")

        return fail


@pytest.mark.parametrize(
    "call", ["receive", "note_quote", "begin_answer", "posting", "posted", "write_answer", "end_answer"]
)
async def test_a_database_that_is_away_for_a_moment_loses_nothing(chat_log, call):
    async with serving(Failing(chat_log, **{call: 3}), ["answer"], ["next"], caps=EDITS) as stage:
        stage.say("question")
        stage.say("another")
        for _ in range(100):
            await asyncio.sleep(0.005)
            await stage.time.advance(1.0)
            if len(stage.adapter.settled_messages) == 2:
                break
        assert [post.text for post in stage.adapter.standing()] == ["answer", "next"]
        assert stage.adapter.texts("notice") == []
    assert await is_done(chat_log)


async def test_a_press_that_fails_ends_no_answer(chat_log, caplog):
    gate = asyncio.Event()
    async with serving(Failing(chat_log, give_feedback=1), ["one"], [gate.wait, "two"], caps=EDITS) as stage:
        stage.say("first")
        await stage.answered(1)
        stage.say("second")
        await until(lambda: len(stage.engine.requests) == 2)
        stage.adapter.press(stage.adapter.posted[0], GOOD)
        await until(lambda: "feedback:good of the plugin feedback came to nothing" in caplog.text)
        gate.set()
        await stage.answered(2)
        assert stage.adapter.standing()[-1].text == "two"


async def test_a_bot_that_ends_takes_nothing_new_and_waits_no_longer_than_it_was_told(chat_log):
    rules = ServingRules(drain_s=0.2, resume_within=timedelta(hours=1))
    async with serving(chat_log, ["one", asyncio.Event().wait], ["two"], rules=rules) as stage:
        stage.say("first")
        await stage.adapter.until_shown("draft", "one")
        stage.adapter.faults["notice"].extend([RateLimitedError(1000.0)] * 3)
        stage.say("/stop", OTHER_CHAT)
        await until(lambda: len(stage.adapter.faults["notice"]) == 2)
        stage.dispatcher.close()
        stage.say("too late", OTHER_CHAT)
    assert len(stage.engine.requests) == 1


async def test_a_chat_that_moves_takes_its_memory_along(chat_log):
    async with serving(chat_log, ["Hi"], ["Yes"]) as stage:
        stage.say("Hello")
        await stage.answered(1)
        stage.adapter.happen(ChatMoved(CHAT, OTHER_CHAT))
        stage.say("Remember?", OTHER_CHAT)
        await stage.answered(2)
        assert stage.asked() == ["Hello", "Hi", "Remember?"]


# Restarts


async def test_what_was_not_answered_before_the_end_is_answered_after_the_next_start(chat_log):
    rules = ServingRules(resume_within=timedelta(hours=1))
    first, second = FakePlatform(EDITS), FakePlatform(EDITS)
    async with serving(chat_log, ["Half", asyncio.Event().wait], adapter=first, rules=rules) as stage:
        stage.say("question")
        stage.say("another")
        await until(lambda: stage.engine.requests)
        await stage.time.until_asleep()
        await stage.time.advance(1.0)
        await until(lambda: first.posted)
        stage.dispatcher.close()
    second.posted = first.posted
    async with serving(chat_log, ["Half and half"], ["Two"], adapter=second, rules=rules) as stage:
        await until(lambda: [post.text for post in second.standing()] == ["Half and half", "Two"])
        await until_async(lambda: is_done(chat_log))
    async with serving(chat_log, adapter=FakePlatform(EDITS), rules=rules) as stage:
        await stage.all_taken()
        assert stage.engine.requests == []


async def test_a_question_that_is_too_old_is_not_answered_any_more(chat_log):
    rules = ServingRules(resume_within=timedelta(0))
    async with serving(chat_log, [InQueue(1), asyncio.Event().wait], rules=rules) as stage:
        stage.say("question")
        await until(lambda: stage.engine.requests)
        stage.dispatcher.close()
    async with serving(chat_log, rules=rules) as stage:
        await stage.all_taken()
        assert stage.engine.requests == []
    assert await is_done(chat_log)


async def is_done(chat_log):
    return not await chat_log.unfinished("memory", "bot")


async def has_feedback(chat_log, count):
    return (await chat_log.stats()).feedback == count


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def until_async(condition):
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.001)
