"""The Telegram adapter against a server that speaks the Bot API, over real sockets."""

import asyncio
import contextlib
import inspect
import io
import logging
import socket
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import telegram.error
from sample_commands import COMMANDS, command
from telegram_faults import Fault, bad_gateway, bad_request, conflict, flood, forbidden, late, lost_answer, reset
from telegram_server import TelegramServer
from telegram_stage import TelegramStage

from bots.buttons import RETRY, STOP
from bots.commands import CommandTable
from bots.companion import companion
from bots.errors import (
    AccountError,
    AdapterClosedError,
    BotError,
    ForbiddenError,
    MessageGoneError,
    MessageTooLongError,
    RateLimitedError,
    UnreachableError,
    UnsupportedError,
)
from bots.message import (
    Addressed,
    Attachment,
    Button,
    ButtonPressed,
    ChatMoved,
    ChatRef,
    Mention,
    Message,
    MessageEdited,
    Reacted,
    Text,
    User,
)
from bots.telegram import TelegramAdapter, TelegramSettings, WebhookServer, accounts_of, check
from bots.telegram.accounts import PLATFORM
from bots.telegram.connection import FloodError, TooLargeError
from bots.telegram.errors import TRANSLATIONS, translated
from bots.telegram.polling import CONFLICT_PATIENCE_S
from bots.telegram.translate import KINDS
from bots.telegram.webhook import MAX_BODY_BYTES, SECRET_HEADER
from bots.testing import VirtualClock
from engine import load_settings
from engine.errors import SettingsError

TOKEN = "101:first-token"
GOOD, BAD = Button("good", "👍"), Button("bad", "👎")


@pytest.fixture
async def server():
    async with TelegramServer(limits=None) as running:
        yield running


@pytest.fixture
def account(server):
    return server.add_bot(TOKEN, "mynah_bot")


@pytest.fixture
def ann(server):
    return server.add_user("Ann", "ann")


@pytest.fixture
def private(server, account, ann):
    return server.private_chat(ann, account)


@pytest.fixture
def group(server, account, ann):
    group = server.add_supergroup("Birds", ann, account)
    server.promote(group, account)
    return group


def ref(chat, account, thread=None):
    return ChatRef("telegram", str(account.id), str(chat.id), thread and str(thread))


@contextlib.asynccontextmanager
async def listening(adapter):
    """Take events all the time, as the dispatcher does; gives the way to the next one, None at the end."""
    inbox = asyncio.Queue()

    async def read():
        async for event in adapter.events():
            inbox.put_nowait(event)
        inbox.put_nowait(None)

    async with companion(read()):
        yield lambda: asyncio.wait_for(inbox.get(), 10)


@contextlib.asynccontextmanager
async def opened(server, token=TOKEN, **options):
    async with TelegramAdapter(token, api_url=server.api_url, **options) as adapter, listening(adapter) as next_event:
        yield adapter, next_event


def adapter_for(server, token=TOKEN, **options):
    return TelegramAdapter(token, api_url=server.api_url, **options)


# -- what people say


async def test_a_private_message_arrives_with_all_that_is_known_of_it(server, account, ann, private):
    async with opened(server) as (adapter, next_event):
        assert (adapter.platform, adapter.account) == ("telegram", "101")
        server.say(ann, private, "Hello 🐦")
        message = await next_event()
    assert message == Message(
        "1",
        ref(private, account),
        User("telegram", str(ann.id), "Ann"),
        (Text("Hello 🐦"),),
        message.time,
        None,
        frozenset({Addressed.DIRECT}),
        is_private=True,
    )
    assert abs(message.time - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("said", "segments", "reasons"),
    [
        ("hello all", "hello all", ""),
        ("@mynah_bot, hello", "hello", "mention"),
        ("@MYNAH_bot", None, "mention"),
        ("😀 hey @mynah_bot what is 1+1?", "😀 hey what is 1+1?", "mention"),
        ("hey @mynah_bot, you", "hey, you", "mention"),
        ("hello @mynah_bot", "hello", "mention"),
        ("@mynah_bot /help", "/help", "mention"),
        ("/help", "/help", "command"),
        ("/nothing of ours", "/nothing of ours", "command"),
        ("/ask@mynah_bot who?", "/ask who?", "command"),
        ("/ask@other_bot who?", "/ask@other_bot who?", ""),
        ("say /help", "say /help", ""),
    ],
)
async def test_a_message_of_a_group_is_addressed_as_it_says(server, ann, group, said, segments, reasons):
    async with opened(server) as (_, next_event):
        server.say(ann, group, said)
        message = await next_event()
    assert message.segments == (() if segments is None else (Text(segments),))
    assert message.addressed == frozenset(Addressed(reason) for reason in reasons.split())
    assert not message.is_private


async def test_people_who_are_named_become_mentions(server, ann, group):
    ben = server.add_user("Ben Day")
    async with opened(server) as (_, next_event):
        entities = [{"type": "text_mention", "offset": 3, "length": 3, "user": ben.to_api()}]
        server.say(ann, group, "🐦 Ben and @ann!", entities=entities)
        message = await next_event()
    assert message.segments == (
        Text("🐦 "),
        Mention(str(ben.id), "Ben Day"),
        Text(" and "),
        Mention("@ann", "ann"),
        Text("!"),
    )


async def test_a_reply_holds_what_it_answers(server, account, ann, group):
    async with opened(server) as (adapter, next_event):
        ours = await adapter.send(ref(group, account), "I am **a** bird")
        theirs = server.say(ann, group, "and I am Ann")
        await next_event()
        server.say(ann, group, "are you?", reply_to=group.message(int(ours)))
        to_us = await next_event()
        server.say(ann, group, "so I am", reply_to=theirs)
        to_ann = await next_event()
    assert to_us.addressed == {Addressed.REPLY}
    assert (to_us.quote.id, to_us.quote.author, to_us.quote.segments) == (ours, None, (Text("I am a bird"),))
    assert to_ann.addressed == frozenset()
    assert (to_ann.quote.author.name, to_ann.quote.segments) == ("Ann", (Text("and I am Ann"),))
    assert to_us.chat.thread is None  # a chain of replies is no thread


async def test_the_part_that_was_picked_out_of_a_message_is_what_is_quoted(server, ann, group):
    async with opened(server) as (_, next_event):
        first = server.say(ann, group, "one two three")
        await next_event()
        server.say(ann, group, "why?", reply_to=first, extra={"quote": {"text": "two", "position": 4}})
        assert (await next_event()).quote.segments == (Text("two"),)
        origin = {"type": "hidden_user", "date": 5, "sender_user_name": "Eve"}
        elsewhere = {"external_reply": {"origin": origin, "chat": {"id": -7, "type": "supergroup"}, "message_id": 1}}
        server.say(ann, group, "and?", extra={**elsewhere, "quote": {"text": "far", "position": 0}})
        quote = (await next_event()).quote
    assert (quote.id, quote.author.name, quote.segments) == ("-7:1", "Eve", (Text("far"),))


async def test_a_topic_is_a_thread_and_its_opening_is_no_quote(server, account, ann):
    forum = server.add_supergroup("Forum", ann, account, is_forum=True)
    server.promote(forum, account)
    topic = server.add_topic(forum, "Owls")
    async with opened(server) as (adapter, next_event):
        server.say(ann, forum, "in the topic", topic=topic)
        inside = await next_event()
        assert (inside.chat, inside.quote) == (ref(forum, account, topic), None)
        server.say(ann, forum, "outside")
        assert (await next_event()).chat == ref(forum, account)
        sent = await adapter.send(inside.chat, "hoo", buttons=[GOOD])
        await adapter.typing(inside.chat)
        assert forum.message(int(sent)).thread_id == topic
        assert server.actions(forum)[-1].thread_id == topic
        server.press(ann, forum.message(int(sent)), "mynah:good")
        assert (await next_event()).chat == inside.chat
        server.react(ann, forum.message(int(sent)), "👍")
        assert (await next_event()).chat == inside.chat
        with pytest.raises(ForbiddenError, match="thread not found"):
            await adapter.send(ref(forum, account, 999), "lost")


FILE = {"file_id": "F", "file_unique_id": "u", "file_size": 7}
PLACE = {"latitude": 48.1, "longitude": 11.5}
POLL = {
    "id": "1",
    "question": "Tea?",
    "options": [
        {"persistent_id": "1", "text": "yes", "voter_count": 0},
        {"persistent_id": "2", "text": "no", "voter_count": 0},
    ],
    "total_voter_count": 0,
    "is_closed": False,
    "is_anonymous": True,
    "type": "regular",
    "allows_multiple_answers": False,
    "allows_revoting": False,
    "members_only": False,
}
STICKER = {**FILE, "width": 1, "height": 1, "is_animated": False, "is_video": False, "type": "regular", "emoji": "🐦"}


@pytest.mark.parametrize(
    ("extra", "attachment"),
    [
        ({"voice": {**FILE, "duration": 3}}, Attachment("voice message", "audio/ogg", 7, "F")),
        ({"audio": {**FILE, "duration": 3, "title": "Song"}}, Attachment("Song", "", 7, "F")),
        ({"video": {**FILE, "duration": 3, "width": 1, "height": 1}}, Attachment("video", "video/mp4", 7, "F")),
        ({"video_note": {**FILE, "duration": 3, "length": 1}}, Attachment("video message", "video/mp4", 7, "F")),
        ({"sticker": STICKER}, Attachment("sticker 🐦", "image/webp", 7, "F")),
        ({"location": PLACE}, Attachment("location: 48.10000, 11.50000", "", 0)),
        (
            {"location": PLACE, "venue": {"location": PLACE, "title": "Zoo", "address": "Road 1"}},
            Attachment("place: Zoo, Road 1", "", 0),
        ),
        ({"contact": {"phone_number": "1", "first_name": "Bo"}}, Attachment("contact: Bo", "", 0)),
        ({"poll": POLL}, Attachment("poll: Tea? (yes / no)", "", 0)),
        ({"dice": {"emoji": "🎲", "value": 4}}, Attachment("🎲 showing 4", "", 0)),
        (
            {"animation": {**FILE, "duration": 3, "width": 1, "height": 1}, "document": FILE},
            Attachment("animation", "video/mp4", 7, "F"),
        ),
    ],
)
async def test_what_comes_with_a_message_is_named_as_what_it_is(server, ann, private, extra, attachment):
    async with opened(server) as (_, next_event):
        server.say(ann, private, extra=extra)
        assert (await next_event()).segments == (attachment,)


async def test_a_file_can_be_read_as_far_as_asked(server, ann, private):
    async with opened(server) as (adapter, next_event):
        server.say(ann, private, caption="see", document=("größe 1.txt", "text/plain", b"0123456789" * 20_000))
        text, attachment = (await next_event()).segments
        assert (text, attachment.name, attachment.media_type) == (Text("see"), "größe 1.txt", "text/plain")
        assert attachment.size_bytes == 200_000
        assert await adapter.read(attachment, 12) == b"012345678901"
        assert await adapter.read(attachment, 150_001) == b"0123456789" * 15_000 + b"0"
        assert len(await adapter.read(attachment, 10**6)) == 200_000
        server.say(ann, private, photo=True)
        (photo,) = (await next_event()).segments
        assert (photo.name, photo.media_type) == ("photo", "image/jpeg")
        assert await adapter.read(photo, 10) == b"largelarge"
        with pytest.raises(UnsupportedError):
            await adapter.read(Attachment("location", "", 0), 5)
        server.world.files.clear()
        with pytest.raises(BotError):
            await adapter.read(photo, 10)


async def test_who_speaks_for_a_group_or_a_channel_is_no_bot(server, account, ann, group):
    placeholder = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
    async with opened(server) as (adapter, next_event):
        as_group = {"from": placeholder, "sender_chat": group.to_api()}
        server.say(ann, group, "@mynah_bot hi", extra=as_group)
        message = await next_event()
        assert message.author == User("telegram", str(group.id), "Birds", is_person=False)
        assert message.addressed == {Addressed.MENTION}
        assert await adapter.is_moderator(message.chat, message.author)
        channel = {"id": -1009, "type": "channel", "title": "News"}
        server.say(ann, group, "news", extra={"sender_chat": channel, "is_automatic_forward": True})
        message = await next_event()
        assert message.author == User("telegram", "-1009", "News", is_person=False)
        assert not await adapter.is_moderator(message.chat, message.author)
        server.say(ann, group, "via", extra={"via_bot": {"id": 9, "is_bot": True, "first_name": "gif"}})
        assert (await next_event()).author.name == "Ann"


async def test_what_is_passed_on_is_marked_as_somebody_elses_words(server, account, ann, private):
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Bert"}
    bot = {"id": 9, "is_bot": True, "first_name": "gif"}
    async with opened(server) as (_, next_event):
        for extra in ({"forward_origin": origin}, {"via_bot": bot}, {}):
            server.say(ann, private, "words", extra=extra)
        assert [(await next_event()).is_forwarded for _ in range(3)] == [True, True, False]


async def test_service_messages_and_our_own_are_no_messages(server, account, ann, group):
    async with opened(server) as (_, next_event):
        server.add_member(group, server.add_user("Cy"), is_announced=True)
        server.say(ann, group, extra={"new_chat_title": "Other"})
        server.say(ann, group, "hm", extra={"from": account.user.to_api()})
        server.say(ann, group, "a word")
        assert (await next_event()).text == "a word"


async def test_an_edit_tells_what_the_message_says_now(server, account, ann, private):
    async with opened(server) as (_, next_event):
        message = server.say(ann, private, "fist")
        await next_event()
        server.edit(message, "first @mynah_bot")
        edited = await next_event()
    assert edited == MessageEdited(ref(private, account), "1", (Text("first"),), edited.time)


async def test_a_reaction_counts_as_what_it_means(server, account, ann, group):
    async with opened(server) as (adapter, next_event):
        sent = group.message(int(await adapter.send(ref(group, account), "well")))
        scores = []
        for emoji in ("👍", "💩", "🔥", "👀", "❤️", None):
            server.react(ann, sent, emoji)
            reacted = await next_event()
            assert (type(reacted), reacted.id, reacted.user.name) == (Reacted, str(sent.id), "Ann")
            scores.append(reacted.score)
    assert scores == [1, -1, 1, 0, 1, 0]


async def test_only_what_is_handled_is_asked_for(server, account):
    async with opened(server):
        await server.until(lambda: server.calls("getUpdates"))
    assert set(account.allowed_updates) == {"message", "edited_message", "callback_query", "message_reaction"}
    assert set(account.allowed_updates) == set(KINDS)


# -- buttons


async def test_a_press_is_told_and_the_person_learns_what_came_of_it(server, account, ann, private):
    async with opened(server) as (adapter, next_event):
        sent = await adapter.send(ref(private, account), "an answer", buttons=[STOP, RETRY, GOOD, BAD])
        message = private.message(int(sent))
        assert message.buttons == ["mynah:stop", "mynah:retry", "mynah:good", "mynah:bad"]
        query = server.press(ann, message, message.buttons[1])
        pressed = await next_event()
        assert pressed == ButtonPressed(
            ref(private, account), sent, "retry", User("telegram", str(ann.id), "Ann"), pressed.time, query
        )
        await adapter.tell(pressed, "I am at it already.")
        assert server.query_answers[query][-1]["text"] == "I am at it already."


async def test_what_comes_of_a_press_is_shown_whole_in_private_and_as_far_as_it_fits_in_a_group(
    server, account, ann, private, group
):
    async with opened(server) as (adapter, next_event):

        async def told(chat, text):
            message = chat.message(int(await adapter.send(ref(chat, account), "an answer", buttons=[GOOD])))
            query = server.press(ann, message, message.buttons[0])
            await adapter.tell(await next_event(), text)
            (answer,) = server.query_answers[query]
            after = [each.text for each in server.messages(chat, account) if each.id > message.id]
            return answer.get("text"), bool(answer.get("show_alert")), after

        assert await told(private, "Say `/consent training no`.") == ("Say /consent training no.", False, [])
        assert await told(private, "a" * 81) == ("a" * 81, True, [])
        assert await told(group, "a" * 200) == ("a" * 200, True, [])
        assert await told(group, "a" * 201) == ("a" * 199 + "…", True, [])
        assert await told(private, "a" * 201) == (None, False, ["a" * 201])


async def test_buttons_of_an_earlier_run_work_and_those_of_others_are_only_acknowledged(server, account, ann, private):
    async with opened(server) as (adapter, _):
        sent = await adapter.send(ref(private, account), "an answer", buttons=[STOP])
    async with opened(server) as (adapter, next_event):
        queries = [server.press(ann, private.message(int(sent)), data) for data in ("no", "x", "mynah:stop")]
        pressed = await next_event()
        assert pressed.button == "stop"
        await adapter.tell(pressed, "")
        await server.until(lambda: set(queries) <= set(server.query_answers))


async def test_an_answer_may_have_more_buttons_than_fit_into_a_row(server, account, ann, private):
    buttons = [Button(f"button {number} ".ljust(56, "."), f"label {number}") for number in range(8)]
    async with opened(server) as (adapter, next_event):
        sent = await adapter.send(ref(private, account), "an answer", buttons=buttons)
        message = private.message(int(sent))
        assert [len(row) for row in message.markup["inline_keyboard"]] == [4, 4]
        server.press(ann, message, message.buttons[7])
        pressed = await next_event()
        assert pressed.button == buttons[7].name
        await adapter.tell(pressed, "")


async def test_a_press_that_telegram_finds_too_old_is_told_all_the_same(server, account, ann, private):
    async with opened(server) as (adapter, next_event):
        sent = await adapter.send(ref(private, account), "an answer", buttons=[STOP])
        server.faults.add("answerCallbackQuery", bad_request("query is too old and response timeout expired"))
        server.press(ann, private.message(int(sent)), "mynah:stop")
        pressed = await next_event()
        assert pressed.button == "stop"
        await adapter.tell(pressed, "too late")


async def test_a_press_below_a_message_that_telegram_does_not_show_any_more_finds_its_thread(server, account, ann):
    forum = server.add_supergroup("Forum", ann, account, is_forum=True)
    topic = server.add_topic(forum, "Owls")
    async with opened(server) as (adapter, next_event):
        sent = await adapter.send(ref(forum, account, topic), "an answer", buttons=[STOP])
        old = {"chat": forum.to_api(), "message_id": int(sent), "date": 0}
        query = {"id": "1", "from": ann.to_api(), "chat_instance": "1", "data": "mynah:stop", "message": old}
        account.tell({"callback_query": query})
        server.world.post(forum, ann)  # wakes the poll
        pressed = await next_event()
    assert (pressed.chat, pressed.id) == (ref(forum, account, topic), sent)


# -- updates, and what happens to them on the way


async def test_an_update_that_comes_twice_is_told_once_and_late_ones_in_their_order(server, account, ann, private):
    async with opened(server) as (_, next_event):
        server.say(ann, private, "one")
        assert (await next_event()).text == "one"
        server.redeliver(account, account.made[0].id)
        server.hold_updates(account)
        server.say(ann, private, "two")
        server.say(ann, private, "three")
        late_ones, account.held = account.held, None
        server.say(ann, private, "four")
        assert (await next_event()).text == "four"
        account.held = late_ones
        server.release_updates(account, is_reversed=True)
        assert [(await next_event()).text for _ in range(2)] == ["two", "three"]
        server.redeliver(account, account.made[1].id)
        server.say(ann, private, "five")
        assert (await next_event()).text == "five"


async def test_what_was_delivered_and_not_taken_comes_again_after_a_restart(server, ann, private):
    for text in ("one", "two", "three"):
        server.say(ann, private, text)
    async with adapter_for(server) as adapter:
        events = adapter.events()
        assert (await anext(events)).text == "one"
        assert (await anext(events)).text == "two"  # now "one" is taken, and "two" is not
        await events.aclose()
    async with opened(server) as (_, next_event):
        assert [(await next_event()).text for _ in range(2)] == ["two", "three"]
        await server.until(lambda: server.calls("getUpdates")[-1].params.get("timeout"))
    async with opened(server) as (_, next_event):
        server.say(ann, private, "four")
        assert (await next_event()).text == "four"


async def test_what_was_said_while_the_bot_was_down_is_not_dropped(server, account, ann, private):
    server._set_webhook(account, {"url": "http://127.0.0.1:9/other"})  # left by another program
    server.say(ann, private, "are you there?")
    async with opened(server) as (_, next_event):
        assert (await next_event()).text == "are you there?"


async def test_an_update_that_cannot_be_read_does_not_stop_the_others(server, account, ann, private, caplog):
    async with opened(server) as (_, next_event):
        server.hold_updates(account)
        account.tell({"message": {"message_id": "nonsense"}})
        server.say(ann, private, "after it")
        server.release_updates(account)
        assert (await next_event()).text == "after it"
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("fault", [bad_gateway(), reset(), flood(1), conflict(), bad_request("hm")])
async def test_polling_goes_on_after_a_fault_and_says_so_once(server, ann, private, fault, caplog):
    time = VirtualClock()
    rule = server.faults.add("getUpdates", fault, times=5)
    async with opened(server, clock=time.clock, sleep=time.sleep) as (_, next_event):
        await time.run_until(lambda: rule.num_hits == 5)
        server.say(ann, private, "still there?")
        async with asyncio.TaskGroup() as group:
            event = group.create_task(next_event())
            await time.run_until(event.done)
        assert event.result().text == "still there?"
    logged = [record.message for record in caplog.records if record.name.startswith("bots.")]
    assert [text.partition(" for now")[0].partition(", after")[0] for text in logged] == [
        "updates cannot be fetched",
        "updates are fetched again",
    ]
    assert not [record for record in caplog.records if record.name.startswith("telegram")]


async def test_another_process_that_polls_with_the_token_ends_the_adapter(server, account, private, caplog):
    time = VirtualClock()
    server.faults.add("getUpdates", conflict(), times=None)
    async with opened(server, clock=time.clock, sleep=time.sleep) as (adapter, next_event):
        async with asyncio.timeout(10):
            while not adapter._is_closed:
                await time.advance(5.0)
                await asyncio.sleep(0.01)
        assert time.now_s >= CONFLICT_PATIENCE_S
        assert await next_event() is None
        with pytest.raises(AdapterClosedError):
            await adapter.send(ref(private, account), "too late")
    assert "Another process" in caplog.text


async def test_a_token_that_is_revoked_ends_the_adapter(caplog):
    async with TelegramStage() as stage, stage.adapter as adapter, listening(adapter) as next_event:
        await stage.server.until(lambda: stage.server.calls("getUpdates"))
        stage.end_input()
        assert await next_event() is None
        with pytest.raises(AdapterClosedError):
            await adapter.send(stage.chat, "too late")
    assert "@BotFather" in caplog.text


async def test_leaving_cuts_a_poll_that_is_held_and_ends_the_events(server, account, private):
    async with opened(server) as (adapter, next_event):
        await server.until(lambda: server.calls("getUpdates"))
        async with asyncio.timeout(2):
            await adapter.__aexit__(None, None, None)
        assert await next_event() is None
        for call in (
            adapter.send(ref(private, account), "x"),
            adapter.draft(ref(private, account), "x"),
            adapter.notice(ref(private, account), "x"),
            adapter.typing(ref(private, account)),
            adapter.edit(ref(private, account), "1", "x"),
        ):
            with pytest.raises(AdapterClosedError):
                await call
        num_calls = len(server.requests)
    assert len(server.requests) == num_calls


async def test_leaving_ends_a_call_that_is_under_way(server, account, private):
    gate = asyncio.Event()
    server.faults.add("sendMessage", late(gate=gate))
    async with opened(server) as (adapter, _):
        sending = asyncio.create_task(adapter.send(ref(private, account), "slow"))
        await server.until(lambda: server.calls("sendMessage"))
        await adapter.__aexit__(None, None, None)
        with pytest.raises(AdapterClosedError):
            await asyncio.wait_for(sending, 5)
    gate.set()


# -- webhooks


@contextlib.asynccontextmanager
async def with_webhook(server):
    """An adapter whose updates come by webhook. The port is known before Telegram is told of it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    hook = WebhookServer(f"http://127.0.0.1:{port}/bots", f"127.0.0.1:{port}", "hush")
    async with TelegramAdapter(TOKEN, api_url=server.api_url, webhook=hook) as adapter:
        yield adapter, f"http://127.0.0.1:{port}/bots/101"


async def test_a_webhook_answers_only_once_the_event_was_taken(server, account, ann, private):
    async with with_webhook(server) as (adapter, url):
        assert (account.webhook.url, account.webhook.secret) == (url, "hush")
        events = adapter.events()
        for text in ("one", "two", "three"):
            server.say(ann, private, text)
        assert (await anext(events)).text == "one"
        assert server.webhook_statuses == []
        assert (await anext(events)).text == "two"
        assert (await anext(events)).text == "three"
        await server.until(lambda: server.webhook_statuses == [200, 200])
    await server.until(lambda: len(server.webhook_statuses) > 2)
    assert server.webhook_statuses[2] == 503
    await events.aclose()
    async with with_webhook(server) as (adapter, _), listening(adapter) as next_event:
        assert (await next_event()).text == "three"
        await server.until(lambda: not account.pending)


async def test_a_webhook_refuses_whoever_does_not_know_the_secret(server, account, ann, private):
    async with (
        with_webhook(server) as (adapter, url),
        listening(adapter) as next_event,
        aiohttp.ClientSession() as session,
    ):

        async def post(data, secret="hush", to=url):
            async with session.post(to, data=data, headers={SECRET_HEADER: secret}) as response:
                return response.status

        assert await post(b"{}", "wrong") == 403
        assert await post(b"{}", "") == 403
        assert await post(b"{}", "h\xfc") == 403
        assert await post(b"not json") == 400
        assert await post(b"[1]") == 400
        assert await post(b'{"update_id": 1, "message": {"message_id": "broken"}}') == 200
        assert await post(b"{}", to=url + "2") == 503
        assert await post(io.BytesIO(b" " * (MAX_BODY_BYTES + 10))) == 413
        server.say(ann, private, "a real one")
        assert (await next_event()).text == "a real one"
        server.redeliver(account, account.made[0].id)
        server.say(ann, private, "another")
        assert (await next_event()).text == "another"
        assert server.webhook_statuses[:2] == [200, 200]


async def test_two_bots_share_one_webhook_server(server, account, ann, private):
    other = server.add_bot("102:other-token", "other_bot")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    hook = WebhookServer(f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", "hush")
    async with (
        opened(server, webhook=hook) as (_, next_of_mine),
        opened(server, "102:other-token", webhook=hook) as (_, next_of_other),
    ):
        server.say(ann, private, "to the one")
        server.say(ann, server.private_chat(ann, other), "to the other")
        assert (await next_of_mine()).text == "to the one"
        assert (await next_of_other()).text == "to the other"


async def test_an_address_that_is_taken_is_the_operators_business(server, account):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        hook = WebhookServer("http://127.0.0.1:1", f"127.0.0.1:{port}", "hush")
        with pytest.raises(AccountError, match="TELEGRAM_WEBHOOK_LISTEN"):
            await adapter_for(server, webhook=hook).__aenter__()
    hook = WebhookServer("http://127.0.0.1:1", "127.0.0.1:0", "hush")
    server.faults.add("setWebhook", bad_request("bad webhook: An HTTPS URL must be provided for webhook"))
    with pytest.raises(AccountError, match="TELEGRAM_WEBHOOK_URL"):
        await adapter_for(server, webhook=hook).__aenter__()


async def test_an_update_that_is_posted_again_while_it_waits_is_told_once_and_answered_twice(server, account, private):
    update = {"update_id": 5, "message": {"message_id": 1, "date": 1, "chat": private.to_api(), "text": "hello"}}
    update["message"]["from"] = private.person.to_api()
    async with (
        with_webhook(server) as (adapter, url),
        aiohttp.ClientSession(headers={SECRET_HEADER: "hush"}) as session,
    ):

        async def post():
            async with session.post(url, json=update) as response:
                return response.status

        async with asyncio.TaskGroup() as group:
            first = group.create_task(post())
            events = adapter.events()
            assert (await anext(events)).text == "hello"
            second = group.create_task(post())
            nothing = group.create_task(anext(events, None))
            await asyncio.wait([first])
            await asyncio.wait([second])
            assert await post() == 200
            await adapter.__aexit__(None, None, None)
        assert (first.result(), second.result(), nothing.result()) == (200, 200, None)


# -- what we say


async def test_text_goes_out_with_entities_and_pings_nobody(server, account, ann, private, group):
    async with opened(server) as (adapter, _):
        asked = server.say(ann, private, "?")
        sent = await adapter.send(ref(private, account), "**bold** `@ann` and @ann", reply_to=str(asked.id))
        await adapter.edit(ref(private, account), sent, "_it_ @ann")
        await adapter.draft(ref(private, account), "a **dra")
        await adapter.notice(ref(group, account), "@ann **hm**")
    message = private.message(int(sent))
    assert [entity["type"] for entity in message.versions[0].entities] == ["bold", "code"]
    assert message.reply_to is asked
    assert message.params["reply_parameters"]["allow_sending_without_reply"] is True
    assert message.params["link_preview_options"] == {"is_disabled": True}
    assert server.pings == []
    assert server.violations == []


async def test_a_reply_to_what_is_gone_is_sent_all_the_same(server, account, private):
    async with opened(server) as (adapter, _):
        sent = await adapter.send(ref(private, account), "hello", reply_to="999", nonce="n")
        await adapter.send(ref(private, account), "again", reply_to="-7:1")  # what a quote from elsewhere is called
    assert private.message(int(sent)).text == "hello"


async def test_what_is_too_long_is_not_even_tried(server, account, private):
    async with opened(server) as (adapter, _):
        caps = adapter.caps(ref(private, account))
        assert (caps.max_length, caps.length("**🐦**")) == (4096, 2)
        for text in ("a" * 4097, "🐦" * 2049):
            with pytest.raises(MessageTooLongError) as info:
                await adapter.send(ref(private, account), text)
            assert info.value.limit == 4096
        with pytest.raises(MessageTooLongError):
            await adapter.edit(ref(private, account), "1", "a" * 4097)
        await adapter.send(ref(private, account), f"**{'a' * 4096}**")
        server.faults.add("sendMessage", bad_request("message is too long"))
        with pytest.raises(MessageTooLongError):
            await adapter.send(ref(private, account), "counted otherwise")
    assert len(server.calls("sendMessage")) == 2
    assert server.calls("editMessageText") == []


async def test_text_whose_entities_are_refused_goes_out_plain(server, account, private, caplog):
    server.faults.add("sendMessage", bad_request("can't parse entities: unsupported"))
    async with opened(server) as (adapter, _):
        sent = await adapter.send(ref(private, account), "**bold** and `@ann`")
    message = private.message(int(sent))
    assert (message.text, message.params["entities"]) == ("bold and \N{FULLWIDTH COMMERCIAL AT}ann", [])
    assert "without its formatting" in caplog.text
    assert server.pings == []


async def test_an_edit_changes_text_and_buttons(server, account, private):
    async with opened(server) as (adapter, _):
        chat = ref(private, account)
        sent = await adapter.send(chat, "one", buttons=[STOP])
        await adapter.edit(chat, sent, "two", buttons=[STOP])
        await adapter.edit(chat, sent, "two", buttons=[STOP])  # not modified
        await adapter.edit(chat, sent, "two")
        message = private.message(int(sent))
        assert (message.texts, message.buttons) == (["one", "two", "two"], [])
        await adapter.delete(chat, sent)
        await adapter.delete(chat, sent)
        assert server.messages(private) == []
        with pytest.raises(MessageGoneError):
            await adapter.edit(chat, sent, "three")
        server.faults.add("editMessageText", bad_request("message can't be edited"))
        with pytest.raises(MessageGoneError):
            await adapter.edit(chat, sent, "three")


async def test_a_draft_grows_in_place_and_each_reply_has_its_own(server, account, private, group):
    async with opened(server) as (adapter, _):
        chat = ref(private, account)
        await adapter.draft(chat, "one")
        await adapter.draft(chat, "one **two")
        await adapter.send(chat, "one **two**")
        assert server.shown_draft(private) is None
        await adapter.draft(chat, "three")
        await adapter.notice(chat, "by the way")
        await adapter.draft(chat, "three four")
        assert server.shown_draft(private).text == "three four"
        ids = [draft.draft_id for draft in server.drafts(private)]
        assert ids[0] == ids[1]
        assert len(set(ids)) == 3
        assert all(ids)
        assert adapter.caps(ref(group, account)).draft_interval_s is None
        await adapter.draft(ref(group, account), "nothing")
    assert len(server.calls("sendMessageDraft")) == 4


async def test_a_chat_that_takes_no_drafts_is_not_asked_again(server, account, ann, private):
    other = server.private_chat(server.add_user("Ben"), account)
    async with opened(server) as (adapter, _):
        server.faults.add("sendMessageDraft", flood(2))
        with pytest.raises(RateLimitedError):
            await adapter.draft(ref(private, account), "too fast")
        assert adapter.caps(ref(private, account)).draft_interval_s == 0.6
        server.faults.add("sendMessageDraft", bad_request("TEXTDRAFT_PEER_INVALID"))
        with pytest.raises(UnsupportedError):
            await adapter.draft(ref(private, account), "not here")
        assert adapter.caps(ref(private, account)).draft_interval_s is None
        assert adapter.caps(ref(private, account)).can_edit
        assert adapter.caps(ref(other, account)).draft_interval_s == 0.6
        await adapter.draft(ref(private, account), "nothing")
    assert len(server.calls("sendMessageDraft")) == 2


async def test_caps_are_those_of_the_kind_of_chat(server, account, private, group):
    adapter = adapter_for(server)
    in_private, in_group = adapter.caps(ref(private, account)), adapter.caps(ref(group, account))
    assert (in_private.draft_interval_s, in_private.pace.limit, in_private.threads_share_pace) == (0.6, 1, False)
    assert (in_group.draft_interval_s, in_group.pace.limit, in_group.threads_share_pace) == (None, 18, True)
    for caps in (in_private, in_group):
        assert caps.can_edit
        assert caps.has_buttons
        assert caps.can_show_queue
        assert caps.typing_s == 5
    assert (adapter.pace.limit, adapter.pace.period_s) == (25, 1.0)


# -- what Telegram refuses


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (flood(7), RateLimitedError, "7 s"),
        (forbidden(), ForbiddenError, "blocked"),
        (bad_request("chat not found"), ForbiddenError, "hat not found"),
        (bad_request("not enough rights to send text messages to the chat"), ForbiddenError, "rights"),
        (bad_request("TOPIC_CLOSED"), ForbiddenError, "closed"),
        (bad_request("something new"), BotError, "omething new"),
        (bad_gateway(), UnreachableError, "502"),
        (reset(), UnreachableError, "did not answer"),
        (lost_answer(), UnreachableError, "did not answer"),
    ],
)
async def test_a_refusal_says_what_kind_it_is(server, account, private, fault, kind, text):
    server.faults.add("sendMessage", fault)
    async with opened(server) as (adapter, _):
        with pytest.raises(BotError, match=text) as info:
            await adapter.send(ref(private, account), "hello")
        assert type(info.value) is kind
        if kind is RateLimitedError:
            assert info.value.retry_after_s == 7
            assert not info.value.is_account_wide
        if kind is UnreachableError:
            assert info.value.may_be_done
        await adapter.send(ref(private, account), "again")


async def test_a_send_whose_answer_alone_was_lost_stands_there(server, account, private):
    server.faults.add("sendMessage", lost_answer())
    async with opened(server) as (adapter, _):
        with pytest.raises(UnreachableError) as info:
            await adapter.send(ref(private, account), "hello", nonce="n")
    assert info.value.may_be_done
    assert [message.text for message in server.messages(private)] == ["hello"]


async def test_a_call_that_cannot_connect_was_not_made(server, account, private):
    async with opened(server) as (adapter, _):
        await server.stop()
        with pytest.raises(UnreachableError) as info:
            await adapter.send(ref(private, account), "hello")
        assert not info.value.may_be_done
        await server.start()
        await adapter.send(ref(private, account), "hello")


async def test_a_group_that_moved_is_found_again_and_told_of_once(server, account, ann):
    group = server.add_group("Old", ann, account)
    async with opened(server) as (adapter, next_event):
        before = await adapter.send(ref(group, account), "before", buttons=[STOP])
        server.hold_updates(account)
        new = server.upgrade(group)
        after = await adapter.send(ref(group, account), "after", reply_to=before)
        assert await next_event() == ChatMoved(ref(group, account), ref(new, account))
        assert server.messages(new)[-1].text == "after"
        assert server.messages(new)[-1].reply_to is None
        await adapter.typing(ref(group, account))
        assert len(server.calls("sendChatAction")) == 1
        with pytest.raises(MessageGoneError):
            await adapter.edit(ref(group, account), before, "its id means another message there")
        await adapter.delete(ref(group, account), before)
        assert [message.text for message in server.messages(new, account.user)] == ["after"]
        await adapter.edit(ref(group, account), after, "edited")  # by a reply that began before the move
        await adapter.edit(ref(new, account), after, "edited again")
        assert server.messages(new)[-1].texts == ["after", "edited", "edited again"]
        assert before != after
        server.release_updates(account)
        server.say(ann, new, "/here")
        assert (await next_event()).text == "/here"  # either side's service message told nothing new


async def test_a_move_is_told_once_by_its_two_messages(server, account, ann):
    group = server.add_group("Old", ann, account)
    async with opened(server) as (adapter, next_event):
        new = server.upgrade(group)
        server.say(ann, new, "/here")
        assert await next_event() == ChatMoved(ref(group, account), ref(new, account))
        assert (await next_event()).text == "/here"
        await adapter.send(ref(group, account), "after")
    assert [call.status for call in server.calls("sendMessage")] == [200]


async def test_administrators_look_after_a_group_and_everyone_after_a_private_chat(server, account, ann, private):
    boss, time = server.add_user("Boss"), VirtualClock()
    group = server.add_supergroup("Birds", ann, boss, account)
    server.add_member(group, boss, "creator")
    users = {user.name: User("telegram", str(user.id), user.name) for user in (ann, boss)}
    async with opened(server, clock=time.clock) as (adapter, _):
        assert await adapter.is_moderator(ref(private, account), users["Ann"])
        assert await adapter.is_moderator(ref(group, account), users["Boss"])
        assert not await adapter.is_moderator(ref(group, account), users["Ann"])
        server.promote(group, ann)
        assert not await adapter.is_moderator(ref(group, account), users["Ann"])  # remembered
        time.now_s += 61
        assert await adapter.is_moderator(ref(group, account), users["Ann"])
        assert len(server.calls("getChatMember")) == 3
        server.faults.add("getChatMember", bad_gateway())
        time.now_s += 61
        assert not await adapter.is_moderator(ref(group, account), users["Boss"])
        assert not await adapter.is_moderator(ref(group, account), User("telegram", "77", "Nobody"))


def test_every_error_of_the_library_has_a_translation(monkeypatch):
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # without it, RetryAfter warns in its own constructor
    kinds = [kind for _, kind in inspect.getmembers(telegram.error, inspect.isclass)]
    kinds = [kind for kind in kinds if issubclass(kind, telegram.error.TelegramError)]
    assert len(kinds) > 10
    assert set(kinds) <= set(TRANSLATIONS)
    for kind in [*kinds, FloodError, TooLargeError]:
        if kind is TooLargeError:
            assert isinstance(translated(kind()), UnsupportedError)
            continue
        made = kind(5) if kind in (telegram.error.RetryAfter, telegram.error.ChatMigrated, FloodError) else kind("hm")
        assert isinstance(translated(made), BotError)
    assert translated(telegram.error.RetryAfter(5)).retry_after_s == 5


# -- starting


async def test_a_token_that_is_refused_or_malformed_is_named_as_such_and_not_shown(server, account):
    for token in ("103:unknown-token", "nonsense", "1:a b", ""):
        with pytest.raises(AccountError, match="@BotFather") as info:
            await adapter_for(server, token).__aenter__()
        error = info.value
        while error is not None:
            assert not token or token not in str(error)
            error = error.__cause__
    server.faults.add("getMe", flood(3))
    with pytest.raises(UnreachableError):
        await adapter_for(server).__aenter__()


async def test_a_server_that_is_down_or_no_bot_api_cannot_be_reached(server, account):
    for fault in (bad_gateway(), reset()):
        server.faults.add("getMe", fault)
        with pytest.raises(UnreachableError):
            await adapter_for(server).__aenter__()
    server.faults.add("deleteWebhook", bad_gateway())
    with pytest.raises(UnreachableError):
        await adapter_for(server).__aenter__()
    await server.stop()
    adapter = adapter_for(server)
    with pytest.raises(UnreachableError):
        await adapter.__aenter__()
    await server.start()
    async with adapter:
        assert adapter.account == "101"


async def test_the_menu_is_set_only_when_it_is_another_one(server, account, caplog):
    for _ in range(2):
        async with adapter_for(server, commands=COMMANDS):
            pass
    assert len(server.calls("setMyCommands")) == 1
    (menu,) = account.commands.values()
    listed = [command.name for command in COMMANDS.values() if command.is_listed]
    assert [entry["command"] for entry in menu] == listed
    assert "start" not in listed
    account.commands.clear()
    server.faults.add("setMyCommands", flood(60))
    async with adapter_for(server, commands=COMMANDS):  # not worth failing for
        assert "menu" in caplog.text


async def test_commands_that_come_and_go_are_shown_as_they_are_now(server, account, caplog):
    table = CommandTable([command("old")])
    adapter = adapter_for(server, commands=table)
    await adapter.show_commands([command("too_early")])
    table.add(new := command("new"))
    async with adapter:
        assert shown_menu(account) == ["old", "new"]
        table.remove(table["old"])
        await adapter.show_commands(tuple(table.values()))
        assert shown_menu(account) == ["new"]
        num_requests = len(server.calls("setMyCommands|getMyCommands"))
        await adapter.show_commands([new])
        assert len(server.calls("setMyCommands|getMyCommands")) == num_requests
        server.faults.add("setMyCommands", bad_gateway())
        await adapter.show_commands([command("later")])
        assert "menu" in caplog.text
        await adapter.show_commands([command("later")])
        assert shown_menu(account) == ["later"]
        await adapter.show_commands([command(f"command{number}", is_listed=number > 0) for number in range(105)])
        assert shown_menu(account) == [f"command{number}" for number in range(1, 101)]
    caplog.clear()
    await adapter.show_commands([command("too_late")])
    assert shown_menu(account)[0] == "command1"
    assert caplog.text == ""


def shown_menu(account):
    (menu,) = account.commands.values()
    return [entry["command"] for entry in menu]


async def test_of_commands_that_are_shown_at_the_same_time_the_newest_stay(server, account):
    async with opened(server) as (adapter, _):
        server.faults.add("setMyCommands", late(gate=(gate := asyncio.Event()), applies="late"))
        async with asyncio.TaskGroup() as group:
            group.create_task(adapter.show_commands([command("one")]))
            await server.until(lambda: server.calls("setMyCommands"))
            for name in ("two", "three", "four"):
                group.create_task(adapter.show_commands([command(name)]))
            await asyncio.sleep(0)
            gate.set()
        assert shown_menu(account) == ["four"]
        assert len(server.calls("setMyCommands")) == 2


async def test_an_account_is_opened_and_checked_with_the_commands_that_there_are(server, account):
    settings = TelegramSettings(token=TOKEN, api_url=server.api_url)
    (found,) = accounts_of(settings)
    assert found.name == "telegram"
    async with found.open(CommandTable([command("one")])):
        assert shown_menu(account) == ["one"]
    assert "up to date" in {finding.text for finding in await found.check(CommandTable([command("one")]))}
    assert (PLATFORM.name, PLATFORM.token_setting) == ("telegram", "TELEGRAM_TOKEN")


# -- files


async def test_a_file_is_given_in_private(server, account, ann, private):
    async with opened(server) as (adapter, next_event):
        said = server.say(ann, private, "my data, please")
        message = await next_event()
        await adapter.draft(message.chat, "one moment")
        await adapter.hand_over(message.chat, "my data ä.json", b"{}" * 1000, reply_to=message.id)
        await adapter.draft(message.chat, "and now")
        await adapter.hand_over(message.chat, "data", b"2", reply_to="999")  # which is gone
    first, second = server.messages(private, account.user)
    assert (first.extra["document"]["file_name"], first.reply_to) == ("my data ä.json", said)
    assert [stored.data for stored in server.world.files.values()] == [b"{}" * 1000, b"2"]
    assert second.reply_to is None
    ids = [draft.draft_id for draft in server.drafts(private)]
    assert ids[0] != ids[1]


async def test_in_a_group_or_too_large_a_file_is_refused_with_words_that_say_why(server, account, ann, private, group):
    async with opened(server) as (adapter, next_event):
        server.say(ann, group, "@mynah_bot my data, please")
        message = await next_event()
        with pytest.raises(UnsupportedError, match="others would see"):
            await adapter.hand_over(message.chat, "data", b"1", reply_to=message.id)
        with pytest.raises(UnsupportedError, match=r"data has 50.0 MB, and Telegram takes 50 MB"):
            await adapter.hand_over(ref(private, account), "data", bytes(50_000_001), reply_to="1")
        assert server.calls("sendDocument") == []
        for fault, kind in [
            (Fault(413, "Request Entity Too Large"), UnsupportedError),
            (Fault(413, html="<html>nginx</html>"), UnsupportedError),
            (flood(7), RateLimitedError),
            (forbidden(), ForbiddenError),
            (reset(), UnreachableError),
        ]:
            server.faults.add("sendDocument", fault)
            with pytest.raises(kind):
                await adapter.hand_over(ref(private, account), "data", b"1", reply_to="1")
        await adapter.hand_over(ref(private, account), "data", bytes(3_000_000), reply_to="1")
    assert [len(stored.data) for stored in server.world.files.values()] == [3_000_000]
    with pytest.raises(AdapterClosedError):
        await adapter.hand_over(ref(private, account), "data", b"1", reply_to="1")


async def test_the_token_is_in_no_log(server, account, private, caplog):
    caplog.set_level(logging.DEBUG)
    async with opened(server) as (adapter, _):
        await adapter.send(ref(private, account), "hello")
        server.faults.add("sendMessage", bad_gateway())
        with pytest.raises(UnreachableError):
            await adapter.send(ref(private, account), "hello")
    assert TOKEN.partition(":")[2] not in caplog.text
    assert "***" in caplog.text


# -- settings and checks


def test_settings_name_the_bots_and_how_updates_come(monkeypatch, tmp_path):
    monkeypatch.setenv("TELEGRAM_TOKEN", " 1:a , 2:b,,1:a ")
    settings = load_settings(TelegramSettings, tmp_path / ".env")
    assert settings.tokens == ("1:a", "2:b")
    assert "1:a" not in repr(settings)
    assert [account.name for account in accounts_of(settings)] == ["telegram 1", "telegram 2"]
    assert len(settings.secret()) > 30
    monkeypatch.setenv("TELEGRAM_WEBHOOK_SECRET", "not allowed!")
    with pytest.raises(SettingsError, match="TELEGRAM_WEBHOOK_SECRET") as info:
        load_settings(TelegramSettings, tmp_path / ".env").secret()
    assert "not allowed!" not in str(info.value)
    monkeypatch.setenv("TELEGRAM_WEBHOOK_LISTEN", "8443")
    with pytest.raises(SettingsError, match="TELEGRAM_WEBHOOK_LISTEN"):
        load_settings(TelegramSettings, tmp_path / ".env")
    monkeypatch.setenv("TELEGRAM_WEBHOOK_LISTEN", "[::1]:8443")
    monkeypatch.delenv("TELEGRAM_TOKEN")
    assert accounts_of(load_settings(TelegramSettings, tmp_path / ".env")) == []


async def test_a_check_says_how_things_are_and_changes_nothing(server, account):
    settings = TelegramSettings(token=TOKEN, api_url=server.api_url)
    found = {finding.subject: finding for finding in await check(TOKEN, settings, COMMANDS)}
    assert all(finding.is_ok for finding in found.values())
    assert "@mynah_bot" in found["telegram: identity"].text
    assert found["telegram: privacy mode"].text.startswith("on")
    assert "/setprivacy" in found["telegram: privacy mode"].hint
    assert found["telegram: updates"].text == "long polling, 0 waiting"
    assert found["telegram: commands"].text == "not up to date yet"
    assert [call.method for call in server.requests] == ["getMe", "getWebhookInfo", "getMyCommands"]
    server._set_webhook(account, {"url": "http://127.0.0.1:9/other"})
    found = {finding.subject: finding for finding in await check(TOKEN, settings, COMMANDS)}
    assert "another program" in found["telegram: updates"].hint


async def test_a_check_of_a_bad_token_or_a_server_that_is_down_fails(server, account):
    settings = TelegramSettings(api_url=server.api_url)
    for token in ("103:unknown-token", "nonsense"):
        (finding,) = await check(token, settings, COMMANDS)
        assert (finding.is_ok, "@BotFather" in finding.hint) == (False, True)
    await server.stop()
    (finding,) = await check(TOKEN, settings, COMMANDS)
    assert (finding.is_ok, "TELEGRAM_API_URL" in finding.hint) == (False, True)


async def test_an_update_that_nobody_understands_holds_up_no_other(server, account, ann, private):
    async with opened(server) as (_, next_event):
        server.say(ann, private, "strange", extra={"external_reply": {}})
        server.say(ann, private, "hello?")
        assert (await next_event()).text == "hello?"
