"""The Discord adapter, through the real discord.py, against a Discord of our own on loopback."""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator

import pytest
from discord_limits import applied_then, applied_then_lost, error, held, rate_limited, reset, status
from discord_stage import TOKEN, DiscordStage
from discord_state import DEFAULT_PERMISSIONS, Permission
from discord_state import User as DiscordUser
from sample_commands import COMMANDS, command

import bots.discord  # noqa: F401  # before discord.py itself, which warns when it is imported
from bots import AdapterClosedError, Message, MessageTooLongError, RateLimitedError
from bots.buttons import RETRY, STOP
from bots.commands import CommandTable, Kind, Parameter, arguments_of, parse
from bots.companion import companion
from bots.discord import DiscordSettings, check
from bots.discord.accounts import PLATFORM, accounts_of
from bots.discord.content import Viewer
from bots.discord.slash import typed
from bots.errors import AccountError, ForbiddenError, MessageGoneError, UnreachableError, UnsupportedError
from bots.message import (
    Addressed,
    Attachment,
    Button,
    ButtonPressed,
    Mention,
    MessageEdited,
    MessageId,
    MessagesDeleted,
    Reacted,
    Text,
    User,
)
from bots.testing import VirtualClock

MESSAGES = r"/channels/\d+/messages"
MESSAGE = r"/channels/\d+/messages/\d+"
ORIGINAL = r"/webhooks/\d+/[^/]+/messages/@original"
REGISTERED = r"/applications/\d+/commands"
MARKS = (Button("good", "👍"), Button("bad", "👎"))


@pytest.fixture
async def stage(request, monkeypatch) -> AsyncIterator[DiscordStage]:
    """`@stage_with` says how it differs."""
    import discord
    from discord.gateway import DiscordWebSocket

    async def at_once(self, shard_id, *, initial=False):
        """Do without discord.py's five seconds between two IDENTIFYs."""

    monkeypatch.setattr(discord.Client, "before_identify_hook", at_once)
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    async with DiscordStage(**getattr(request, "param", {})) as stage:
        yield stage


def stage_with(**options) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stage", [options], indirect=True, ids=[""])


@contextlib.asynccontextmanager
async def heard_by(adapter) -> AsyncIterator[list]:
    """The events of an adapter that is open."""
    events: list = []

    async def listen() -> None:
        async for event in adapter.events():
            events.append(event)

    async with companion(listen()):
        yield events


@contextlib.asynccontextmanager
async def running(stage, **options) -> AsyncIterator[list]:
    """The events of the stage's adapter, which runs within the block."""
    if options:
        stage.adapter = stage.new_adapter(**options)
    async with stage.adapter as adapter, heard_by(adapter) as events:
        yield events


async def one(stage, events, kind=Message):
    """Wait for the one event of a kind, and take it."""
    await stage.server.until(lambda: [event for event in events if isinstance(event, kind)])
    (event,) = (event for event in events if isinstance(event, kind))
    events.remove(event)
    return event


async def quiet(stage, events) -> None:
    """Make sure that nothing but a last message has been on its way."""
    stage.say("the last one")
    await stage.server.until(lambda: events)
    assert [event.text for event in events if isinstance(event, Message)] == ["the last one"]
    assert len(events) == 1
    events.clear()


# What comes in.


async def test_a_private_message_is_for_the_bot_and_names_who_wrote_it_and_where(stage):
    async with running(stage) as events:
        said = stage.server.say(stage.ann, stage.dm, "hello")
        message = await one(stage, events)
        assert stage.adapter.account == str(stage.bot.id)
    assert message.id == str(said.id)
    assert message.chat == stage.chat
    assert message.author == User("discord", str(stage.ann.id), "Ann")
    assert message.segments == (Text("hello"),)
    assert message.addressed == {Addressed.DIRECT}
    assert message.is_private
    assert message.time.tzinfo is not None


async def test_in_a_guild_mentions_and_replies_are_for_the_bot_and_nothing_else_is(stage):
    server, ann, room = stage.server, stage.ann, stage.channel
    async with running(stage) as events:
        mine = MessageId(await stage.adapter.send(stage.room, "mine"))
        mine = room.messages[int(mine)]
        server.say(ann, room, "among us")
        server.say(ann, room, "hi", mentions=[stage.bot])
        server.say(ann, room, "and you?", reply_to=mine)
        server.say(ann, room, "quietly", reply_to=mine, ping=False)
        server.say(stage.server.world.owner, room, "@everyone look")
        await server.until(lambda: len(events) == 5)
    assert [(event.text, set(event.addressed)) for event in events] == [
        ("", set()),
        ("hi", {Addressed.MENTION}),
        ("and you?", {Addressed.REPLY}),
        ("", set()),
        ("", set()),
    ]
    assert not any(event.is_private for event in events)
    quote = events[2].quote
    assert (quote.id, quote.author, quote.segments) == (MessageId(str(mine.id)), None, (Text("mine"),))


@stage_with(granted={"has_message_content": True})
async def test_with_the_intent_the_bot_reads_what_does_not_call_it(stage):
    server, ann = stage.server, stage.ann
    async with running(stage, has_message_content=True) as events:
        first = server.say(ann, stage.channel, "among us")
        server.say(server.world.owner, stage.channel, "I agree", reply_to=first)
        await server.until(lambda: len(events) == 2)
    assert [(event.text, set(event.addressed)) for event in events] == [("among us", set()), ("I agree", set())]
    assert events[1].quote.author == User("discord", str(ann.id), "Ann")
    assert events[1].quote.segments == (Text("among us"),)


async def test_markup_becomes_what_people_see(stage):
    server, me, ann = stage.server, stage.bot.mention, stage.ann
    bob = server.add_user("bob")
    server.add_member(stage.guild, bob)
    role = stage.guild.members[ann.id].role_id
    text = (
        f"{me}, ask {bob.mention} or <@&{role}> in <#{stage.channel.id}> <:smile:1><a:wave:2> {me} knows "
        f"</ask:5> <t:0:R> <@99> 1 < 2 > 1 {me}"
    )
    async with running(stage) as events:
        server.say(ann, stage.channel, text)
        message = await one(stage, events)
    assert message.segments == (
        Text("ask "),
        Mention(str(bob.id), "Bob"),
        Text(" or @ann in #general :smile::wave: @mynah knows /ask 1970-01-01 00:00 UTC @someone 1 < 2 > 1"),
    )


async def test_messages_of_a_thread_belong_to_the_channel_around_it(stage):
    async with running(stage) as events:
        thread = stage.server.add_thread(stage.channel)
        said = stage.server.say(stage.ann, thread, "inside", mentions=[stage.bot])
        message = await one(stage, events)
        assert (message.chat.chat, message.chat.thread) == (str(stage.channel.id), str(thread.id))
        assert message.chat.parent == stage.room
        await stage.adapter.send(message.chat, "answer", reply_to=message.id)
        stage.server.delete(said)
        deleted = await one(stage, events, MessagesDeleted)
    assert deleted.chat == message.chat
    assert stage.posts(thread)[0].reply_to is said


async def test_what_bots_say_is_marked_and_what_is_nobodys_is_dropped(stage):
    server = stage.server
    other = server.add_bot("other", "other")
    server.add_member(stage.guild, other)
    async with running(stage) as events:
        server.world.post(stage.channel, stage.ann, {"content": f"{stage.bot.mention} joined"}, kind=7)
        webhook = {"id": "1", "type": 2, "user": stage.ann.payload(), "authorizing_integration_owners": {}}
        server.world.post(
            stage.channel, other, {"content": f"{stage.bot.mention} hook"}, application_id=1, interaction=webhook
        )
        server.say(other, stage.channel, "hi", mentions=[stage.bot])
        message = await one(stage, events)
        await quiet(stage, events)
    assert message.author.is_bot


async def test_what_is_passed_on_is_marked_as_somebody_elses_words(stage):
    world, body = stage.server.world, {"content": "", "allowed_mentions": {}}
    async with running(stage) as events:
        original = stage.server.say(stage.ann, stage.dm, "words of before")
        world.post(stage.dm, stage.ann, body, forwarded=original)
        stage.server.say(stage.ann, stage.dm, "mine")
        await stage.server.until(lambda: len(events) == 3)
    assert [(event.text, event.is_forwarded) for event in events[1:]] == [
        ("words of before", True),
        ("mine", False),
    ]


async def test_files_are_named_and_read_up_to_a_limit_from_discord_only(stage):
    async with running(stage) as events:
        stage.server.say(stage.ann, stage.dm, "", attachments=[("a.txt", "text/plain; charset=utf-8", b"x" * 100_000)])
        message = await one(stage, events)
        (file,) = message.segments
        assert (file.name, file.media_type, file.size_bytes) == ("a.txt", "text/plain", 100_000)
        assert await stage.adapter.read(file, 1000) == b"x" * 1000
        assert len(await stage.adapter.read(file, 1_000_000)) == 100_000
        for locator in ("http://localhost:1/", "file:///etc/passwd", "https://example.com/a", "//x", ""):
            with pytest.raises(ForbiddenError):
                await stage.adapter.read(Attachment("a", "", 1, locator), 10)
        gone = Attachment("a", "", 1, file.locator.replace(str(stage.dm.id), "1").rsplit("/", 2)[0] + "/1/a")
        with pytest.raises(ForbiddenError):
            await stage.adapter.read(gone, 10)


async def test_edits_and_deletions_of_people_arrive_and_those_of_the_bot_do_not(stage):
    server = stage.server
    async with running(stage) as events:
        said = stage.say_to_all("one")
        await one(stage, events)
        server.edit(said, f"{stage.bot.mention} two")
        edit = await one(stage, events, MessageEdited)
        assert (edit.chat, edit.id, edit.segments) == (stage.room, str(said.id), (Text("two"),))
        server.edit(said, "nobody is called any more")  # Discord hides what it says now
        mine, other = [await stage.adapter.send(stage.room, text) for text in ("mine", "other")]
        await stage.adapter.edit(stage.room, mine, "mine still")
        await stage.adapter.delete(stage.room, mine)
        await stage.adapter.delete(stage.room, mine)
        await quiet(stage, events)
        server.bulk_delete(said, stage.channel.messages[int(other)])
        deleted = await one(stage, events, MessagesDeleted)
    assert (deleted.chat, deleted.ids) == (stage.room, (str(said.id), other))


async def test_reactions_say_what_a_person_thinks_now(stage):
    server, ann = stage.server, stage.ann
    async with running(stage) as events:
        answer = stage.channel.messages[int(await stage.adapter.send(stage.room, "answer"))]
        for change, emoji in [
            (server.react, "👍"),
            (server.react, "👎🏽"),
            (server.react, "👀"),
            (server.unreact, "👎🏽"),
            (server.unreact, "👍"),
            (server.react, "❤️"),
        ]:
            change(ann, answer, emoji)
        server.react(stage.bot, answer, "👍")
        server.react(ann, stage.say_to_all("mine"), "👍")
        await server.until(lambda: any(isinstance(event, Message) for event in events))
        await stage.server.until(lambda: len(events) == 6)
    reactions = [event for event in events if isinstance(event, Reacted)]
    assert [event.score for event in reactions] == [1, -1, 1, 0, 1]
    assert {(event.chat, event.id, event.user.id) for event in reactions} == {(stage.room, str(answer.id), str(ann.id))}


async def test_messages_keep_their_order_whatever_kind_they_are(stage):
    server = stage.server
    async with running(stage) as events:
        rule = server.faults.add("POST", r"/interactions/.*", held(gate := asyncio.Event()))
        for number in range(10):
            stage.say(f"{number}")
            server.invoke(stage.ann, stage.dm, stage.bot, "ask", {"question": f"{number}"})
        await server.until(lambda: len(events) == 20)
        gate.set()
        assert rule.hits == 1
    assert [event.text for event in events] == [text for n in range(10) for text in (f"{n}", f"/ask {n}")]


async def test_a_flood_is_cut_off_and_counted(stage, caplog):
    from bots.discord.inbox import Inbox

    inbox = Inbox(limit=3)
    for number in range(8):
        inbox.put(MessagesDeleted(stage.room, (MessageId(str(number)),), None))
    inbox.end(None)
    inbox.put(MessagesDeleted(stage.room, (), None))
    assert [event.ids[0] async for event in inbox.events()] == ["0", "1", "2"]
    assert inbox.num_dropped == 5
    assert len(caplog.records) == 3


async def test_duplicates_pass_through_and_a_malformed_event_is_skipped(stage, caplog):
    async with running(stage) as events:
        said = stage.say_to_all("once")
        stage.server.duplicate(said)
        await stage.server.until(lambda: len(events) == 2)
        stage.server.world.sink(stage.bot, "MESSAGE_CREATE", None, lambda _: {"channel_id": "1", "id": "2"})
        stage.say("after")
        await stage.server.until(lambda: len(events) == 3)
    assert events[0] == events[1]
    assert "MESSAGE_CREATE" in caplog.text


# What goes out.


async def test_nobody_is_pinged_and_the_message_it_answers_is_pointed_at(stage):
    async with running(stage):
        said = stage.say_to_all("hi")
        text = f"@everyone {stage.ann.mention} @here"
        id = await stage.adapter.send(stage.room, text, reply_to=MessageId(str(said.id)))
        await stage.adapter.edit(stage.room, id, text + " @everyone")
        await stage.adapter.notice(stage.room, text, reply_to=MessageId(str(said.id)))
    posts = stage.posts(stage.channel)
    assert [post.content for post in posts] == [text + " @everyone", text]
    assert [post.reply_to for post in posts] == [said, said]
    assert stage.server.pings == []


async def test_a_message_that_is_gone_or_may_not_be_read_is_answered_all_the_same(stage):
    server = stage.server
    async with running(stage):
        said = stage.say_to_all("hi")
        server.delete(said)
        await stage.adapter.send(stage.room, "one", reply_to=MessageId(str(said.id)))
        server.deny(stage.channel, stage.bot, Permission.READ_MESSAGE_HISTORY)
        await stage.adapter.send(stage.room, "two", reply_to=MessageId(str(stage.say_to_all("hi").id)), nonce="n")
    assert [(post.content, post.reply_to) for post in stage.posts(stage.channel)] == [("one", None), ("two", None)]


async def test_what_is_too_long_is_refused_before_the_call(stage):
    async with running(stage):
        assert stage.adapter.caps(stage.room).max_length == 2000
        await stage.adapter.send(stage.room, "é" * 2000)
        for text in ("x" * 2001, "🙂" * 1001):
            with pytest.raises(MessageTooLongError):
                await stage.adapter.send(stage.room, text)
            with pytest.raises(MessageTooLongError):
                await stage.adapter.notice(stage.room, text)
            with pytest.raises(MessageTooLongError):
                await stage.adapter.edit(stage.room, MessageId("1"), text)
        stage.server.faults.add("POST", MESSAGES, status(400, "x"))
    assert len(stage.posts(stage.channel)) == 1


async def test_markdown_is_rendered_for_discord(stage):
    async with running(stage):
        await stage.adapter.send(stage.room, "#### Title\n\n~~~\ncode\n~~~")
    assert stage.posts(stage.channel)[0].content == "**Title**\n\n```\ncode\n```"


async def test_buttons_work_after_a_restart_and_are_acknowledged_at_once(stage):
    server = stage.server
    async with running(stage):
        id = await stage.adapter.send(stage.room, "growing", buttons=(STOP,))
        answer = stage.channel.messages[int(id)]
        assert answer.custom_ids() == ["mynah:stop"]
        await stage.adapter.edit(stage.room, id, "whole", buttons=(RETRY, *MARKS))
        assert answer.custom_ids() == ["mynah:retry", "mynah:good", "mynah:bad"]
    async with running(stage, call_timeout_s=5) as events:
        pressed = server.press(stage.ann, answer, "mynah:good")
        event = await one(stage, events, ButtonPressed)
        assert (event.chat, event.id, event.button, event.user.name) == (stage.room, id, "good", "Ann")
        await server.until(lambda: pressed.ack_kind == 6)
        await stage.adapter.tell(event, "Thank you.")
        await stage.adapter.tell(event, "Once only.")
        assert [(each.content, each.is_ephemeral) for each in pressed.followups] == [("Thank you.", True)]
        await stage.adapter.edit(stage.room, id, "whole")
        assert answer.custom_ids() == []
    assert answer.content == "whole"


async def test_what_comes_of_a_press_waits_for_its_acknowledgement_and_may_be_long(stage):
    server = stage.server
    async with running(stage) as events:
        id = await stage.adapter.send(stage.room, "an answer", buttons=MARKS)
        server.faults.add("POST", r"/interactions/\d+/[^/]+/callback", held(gate := asyncio.Event()))
        pressed = server.press(stage.ann, stage.channel.messages[int(id)], "mynah:good")
        event = await one(stage, events, ButtonPressed)
        telling = asyncio.ensure_future(stage.adapter.tell(event, "word " * 500))
        assert await asyncio.wait({telling}, timeout=0.3) == (set(), {telling})
        gate.set()
        await telling
    assert [each.content for each in pressed.followups] == [("word " * 400).strip(), ("word " * 100).strip()]
    assert all(each.is_ephemeral for each in pressed.followups)


async def test_an_answer_may_have_more_buttons_than_fit_into_a_row(stage):
    buttons = [Button(f"button {number} ".ljust(56, "."), f"{number}" * 100) for number in range(8)]
    async with running(stage) as events:
        id = await stage.adapter.send(stage.room, "whole", buttons=buttons)
        answer = stage.channel.messages[int(id)]
        assert [len(row["components"]) for row in answer.components] == [5, 3]
        assert answer.custom_ids() == [f"mynah:{button.name}" for button in buttons]
        stage.server.press(stage.ann, answer, answer.custom_ids()[7])
        assert (await one(stage, events, ButtonPressed)).button == buttons[7].name


async def test_typing_is_shown_in_channels_that_are_not_known(stage):
    other = stage.server.open_dm(stage.server.add_user("bob"), stage.bot)
    async with running(stage):
        for channel in (stage.channel, other):
            await stage.adapter.typing(stage.chat_of(channel))
            await stage.adapter.send(stage.chat_of(channel), "hi")
    assert [typing.channel for typing in stage.server.world.typings] == [stage.channel, other]
    assert len(stage.posts(other)) == 1


async def test_who_may_delete_messages_or_manage_the_server_is_a_moderator(stage):
    server, guild = stage.server, stage.guild
    people = {}
    for name, more in [
        ("plain", Permission(0)),
        ("janitor", Permission.MANAGE_MESSAGES),
        ("manager", Permission.MANAGE_GUILD),
        ("admin", Permission.ADMINISTRATOR),
    ]:
        people[name] = server.add_user(name)
        server.add_member(guild, people[name], DEFAULT_PERMISSIONS | more)
    thread = server.add_thread(stage.channel)
    async with running(stage):
        asked = lambda user, chat: stage.adapter.is_moderator(chat, User("discord", str(user.id), ""))  # noqa: E731
        for chat in (stage.room, stage.chat_of(thread)):
            assert [await asked(user, chat) for user in people.values()] == [False, True, True, True]
        num_requests = len(server.requests)
        assert await asked(people["admin"], stage.room)
        assert len(server.requests) == num_requests
        assert await asked(people["plain"], stage.chat)  # nobody else is there
        assert not await asked(server.add_user("stranger"), stage.room)
        server.faults.add("GET", r"/guilds/.*", status(503))
        assert not await asked(server.world.owner, stage.room)
        assert await asked(server.world.owner, stage.room)


# What goes wrong.


@pytest.mark.parametrize(
    ("fault", "outcome", "attributes"),
    [
        (rate_limited(3.5), RateLimitedError, {"retry_after_s": 3.5, "is_account_wide": False}),
        (rate_limited(60), RateLimitedError, {"retry_after_s": 60, "is_account_wide": False}),
        (rate_limited(2, is_global=True), RateLimitedError, {"retry_after_s": 2, "is_account_wide": True}),
        (rate_limited(2, via=False), RateLimitedError, {"retry_after_s": 2, "is_account_wide": True}),
        (rate_limited(2, content_type="text/plain"), RateLimitedError, {"retry_after_s": 2, "is_account_wide": False}),
        (status(500), UnreachableError, {"may_be_done": True}),
        (status(503), UnreachableError, {"may_be_done": True}),
        (reset(), UnreachableError, {"may_be_done": True}),
        (held(asyncio.Event()), UnreachableError, {"may_be_done": True}),
        (error(50013), ForbiddenError, {}),
        (error(50001), ForbiddenError, {}),
        (error(50007), ForbiddenError, {}),
        (error(10003), ForbiddenError, {}),
        (error(50083), ForbiddenError, {}),
        (status(401, '{"message": "401: Unauthorized", "code": 0}'), AccountError, {}),
    ],
)
async def test_what_discord_refuses_is_said_in_our_words_and_nothing_is_posted(stage, fault, outcome, attributes):
    async with running(stage, call_timeout_s=0.5):
        rule = stage.server.faults.add("POST", MESSAGES, fault)
        with pytest.raises(outcome) as caught:
            await stage.adapter.send(stage.room, "once")
        assert {name: getattr(caught.value, name) for name in attributes} == attributes
        assert rule.hits == 1
        assert stage.posts(stage.channel) == []
        await stage.adapter.send(stage.room, "works again")
    if fault.gate is not None:
        fault.gate.set()


@pytest.mark.parametrize("fault", [applied_then_lost(), applied_then(500), applied_then(502)])
async def test_a_message_whose_acknowledgement_was_lost_is_not_posted_twice(stage, fault):
    async with running(stage):
        stage.server.faults.add("POST", MESSAGES, fault)
        with pytest.raises(UnreachableError) as caught:
            await stage.adapter.send(stage.room, "once", nonce="0123456789abcdef01234567")
        assert caught.value.may_be_done
        id = await stage.adapter.send(stage.room, "once more", nonce="0123456789abcdef01234567")
    (post,) = stage.posts(stage.channel)
    assert (str(post.id), post.content) == (id, "once")


async def test_without_a_server_nothing_was_done(stage):
    async with running(stage):
        await stage.server.stop_rest()
        with pytest.raises(UnreachableError):  # on a connection that was open before
            await stage.adapter.send(stage.room, "hi")
        with pytest.raises(UnreachableError) as caught:
            await stage.adapter.send(stage.room, "hi")
        assert not caught.value.may_be_done
        await stage.server.start_rest()
        await stage.adapter.send(stage.room, "hi")


async def test_a_message_that_is_gone_or_too_old_cannot_be_edited_and_need_not_be_deleted(stage):
    async with running(stage):
        id = await stage.adapter.send(stage.room, "hi")
        stage.server.faults.add("PATCH", MESSAGE, error(30046))
        with pytest.raises(MessageGoneError):
            await stage.adapter.edit(stage.room, id, "old")
        stage.server.delete(stage.channel.messages[int(id)])
        with pytest.raises(MessageGoneError):
            await stage.adapter.edit(stage.room, id, "gone")
        await stage.adapter.delete(stage.room, id)


async def test_a_slow_call_gives_up_in_time_and_the_next_one_goes_on(stage):
    async with running(stage, call_timeout_s=0.2):
        id = await stage.adapter.send(stage.room, "one")
        stage.server.faults.add("PATCH", MESSAGE, held(gate := asyncio.Event()))
        with pytest.raises(UnreachableError):
            await stage.adapter.edit(stage.room, id, "two")
        gate.set()
        await stage.adapter.edit(stage.room, id, "three")
    assert stage.posts(stage.channel)[0].content == "three"


async def test_missing_rights_are_forbidden(stage):
    server = stage.server
    async with running(stage):
        server.deny(stage.channel, stage.bot, Permission.SEND_MESSAGES)
        with pytest.raises(ForbiddenError):
            await stage.adapter.send(stage.room, "x")
        stage.ann.accepts_dms = False
        with pytest.raises(ForbiddenError):
            await stage.adapter.send(stage.chat, "x")


# Slash commands.


async def test_commands_are_registered_once_and_again_when_they_change(stage):
    async with running(stage):
        pass
    async with running(stage, call_timeout_s=5):
        pass
    assert len(stage.bot.syncs) == 1
    names = {command["name"]: command for command in stage.bot.commands[None]}
    assert set(names) == {command.name for command in COMMANDS.values() if command.is_listed}
    assert [option["name"] for option in names["trigger"]["options"]] == ["when", "words"]
    assert names["ask"]["options"][0]["required"]
    fewer = {name: command for name, command in COMMANDS.items() if name != "model"}
    async with running(stage, commands=fewer):
        pass
    assert len(stage.bot.syncs) == 2
    assert "model" not in registered(stage)


def registered(stage) -> dict:
    return {command["name"]: command for command in stage.bot.commands[None]}


async def test_commands_that_come_and_go_are_shown_and_taken_as_they_are_now(stage):
    table = CommandTable([command("old")])
    async with running(stage, commands=table) as events:
        assert set(registered(stage)) == {"old"}
        table.add(new := command("new", Parameter("text", "words", suggestions=("one",)), is_public=True))
        table.remove(table["old"])
        await stage.adapter.show_commands(tuple(table.values()))
        assert set(registered(stage)) == {"new"}
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "new", {"text": "x"})
        assert (await one(stage, events)).text == "/new x"
        await stage.server.until(lambda: used.ack_kind)
        assert not used.is_ephemeral
        asked = await stage.server.autocomplete(stage.ann, stage.dm, stage.bot, "new", {"text": ""}, focused="text")
        assert [choice["value"] for choice in asked] == ["one"]
        num_requests = len(stage.server.requests)
        await stage.adapter.show_commands([new])
        assert len(stage.server.requests) == num_requests
        table.remove(new)  # Discord shows it a little longer
        stage.server.invoke(stage.ann, stage.dm, stage.bot, "new", {"text": "y"})
        assert (await one(stage, events)).text == "/new y"


async def test_of_commands_that_are_shown_at_the_same_time_the_newest_stay(stage):
    async with running(stage):
        stage.server.faults.add("PUT", REGISTERED, held(gate := asyncio.Event()))
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.adapter.show_commands([command("one")]))
            await stage.server.until(lambda: stage.server.faults.rules[0].hits)
            for name in ("two", "three", "four"):
                group.create_task(stage.adapter.show_commands([command(name)]))
            await asyncio.sleep(0)
            gate.set()
        assert set(registered(stage)) == {"four"}
        assert len(stage.bot.syncs) == 3


async def test_commands_that_cannot_be_shown_now_can_be_later(stage, caplog):
    adapter = stage.new_adapter()
    await adapter.show_commands([command("too_early")])
    async with adapter:
        stage.server.faults.add("PUT", REGISTERED, status(500))
        await adapter.show_commands([command("one")])
        assert "not up to date" in caplog.text
        assert "ask" in registered(stage)
        await adapter.show_commands([command("one")])
        assert set(registered(stage)) == {"one"}
    caplog.clear()
    await adapter.show_commands([command("too_late")])
    assert set(registered(stage)) == {"one"}
    assert caplog.text == ""


async def test_discord_takes_whatever_a_plugin_calls_its_commands_and_arguments(stage, caplog):
    many = [Parameter(f"text{number}", "`x` " * 50, is_required=number > 20) for number in range(30)]
    offers = [
        Parameter("a", "", choices=tuple(map(str, range(26)))),
        Parameter("b", "", choices=("x" * 101, "short")),
        Parameter("c", " ", suggestions=("x" * 101, "short")),
        Parameter("d", "", Kind.NUMBER, choices=("1",), suggestions=("1",)),
        Parameter("e", "line\nbreak", Kind.PERSON, is_required=True),
        Parameter("f", "", choices=tuple(map(str, range(25)))),
    ]
    table = CommandTable([command("many", *many), command("offers", *offers)])
    for number in range(100):
        table.add(command(f"command{number}"))
    async with running(stage, commands=table):
        shown = registered(stage)
        assert len(shown) == 100
        assert "command97" in shown
        assert "command98, command99" in caplog.text
        names = [option["name"] for option in shown["many"]["options"]]
        assert names == [f"text{number}" for number in [*range(21, 30), *range(16)]]
        options = {option["name"]: option for option in shown["offers"]["options"]}
        assert [name for name, option in options.items() if option.get("choices")] == ["f"]
        assert [name for name, option in options.items() if option.get("autocomplete")] == ["a", "b", "c"]
        assert {name: option["description"] for name, option in options.items()}["e"] == "line break"
        for name, typed, offered in [("a", "2", ["2", "12", *map(str, range(20, 26))]), ("b", "", ["short"])]:
            asked = await stage.server.autocomplete(
                stage.ann, stage.dm, stage.bot, "offers", {name: typed}, focused=name
            )
            assert [choice["value"] for choice in asked] == offered


async def test_a_bot_whose_commands_cannot_be_registered_runs_without(stage, caplog):
    stage.server.faults.add("PUT", r"/applications/.*", rate_limited(3000))
    async with running(stage) as events:
        stage.say("hi")
        await one(stage, events)
    assert "not up to date" in caplog.text


async def test_values_are_suggested_while_they_are_typed(stage):
    async with running(stage):
        complete = lambda typed: stage.server.autocomplete(  # noqa: E731
            stage.ann, stage.channel, stage.bot, "persona", {"text": typed}, focused="text"
        )
        assert await complete("DEF") == [{"name": "default", "value": "default"}]
        assert await complete("pirate") == []
        choices = {each["name"]: each for each in stage.bot.commands[None]}["trigger"]["options"][0]["choices"]
    assert [choice["value"] for choice in choices] == ["addressed", "keywords", "every"]


async def test_a_command_arrives_as_if_it_were_typed_and_its_answer_takes_the_place_of_the_waiting(stage):
    server = stage.server
    async with running(stage) as events:
        used = server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "why  so?"})
        message = await one(stage, events)
        assert message.text == "/ask why  so?"
        assert message.addressed == {Addressed.COMMAND}
        assert (message.chat, message.author.name, message.is_private) == (stage.room, "Ann", False)
        assert message.id.startswith("interaction:")
        id = await stage.adapter.send(stage.room, "Because @everyone", reply_to=message.id, buttons=(STOP,), nonce="n")
        assert used.original.content == "Because @everyone"
        assert used.original.custom_ids() == ["mynah:stop"]
        await stage.adapter.edit(stage.room, id, "Because.")
        assert await stage.adapter.send(stage.room, "Because", reply_to=message.id, nonce="n") == id
        await stage.adapter.edit(stage.room, id, "Because.")
        await stage.adapter.notice(stage.room, "That is all.", reply_to=message.id)
        await stage.adapter.settled(message)
        stage.say_to_all("and?", reply_to=used.original)
        reply = await one(stage, events)
    assert Addressed.REPLY in reply.addressed
    assert not used.is_ephemeral
    assert (used.original.content, used.original.custom_ids()) == ("Because.", [])
    assert [each.content for each in used.followups] == ["That is all."]
    assert server.pings == []
    assert server.unacknowledged == []


async def test_arguments_come_in_the_order_of_the_parameters(stage):
    async with running(stage) as events:
        options = {"words": "mynah, bird", "when": "keywords"}
        used = stage.server.invoke(stage.ann, stage.dm, stage.bot, "trigger", options)
        message = await one(stage, events)
        assert message.text == '/trigger when:"keywords" words:"mynah, bird"'
        assert message.is_private
        await stage.server.until(lambda: used.ack_kind)


@pytest.mark.parametrize(
    ("command", "options", "is_ephemeral"),
    [
        ("help", {}, True),
        ("stop", {}, True),
        ("retry", {}, True),
        ("persona", {}, True),
        ("persona", {"text": "a bird"}, False),
        ("trigger", {}, True),
        ("trigger", {"words": "a"}, False),
        ("reset", {}, False),
        ("ask", {"question": "x"}, False),
    ],
)
async def test_what_concerns_one_person_is_shown_to_that_person_only(stage, command, options, is_ephemeral):
    async with running(stage) as events:
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, command, options)
        message = await one(stage, events)
        await stage.adapter.notice(stage.room, "one", reply_to=message.id)
        await stage.adapter.notice(stage.room, "two", reply_to=message.id)
    assert [each.content for each in used.responses] == ["one", "two"]
    assert [each.is_ephemeral for each in used.responses] == [is_ephemeral, is_ephemeral]


async def test_a_command_without_an_answer_leaves_nothing_behind(stage):
    async with running(stage) as events:
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "retry")
        await stage.adapter.settled(await one(stage, events))
        assert used.original.is_deleted
        assert stage.posts(stage.channel) == []
        await stage.adapter.settled(
            Message(MessageId("1"), stage.room, User("discord", "1", ""), (), None)  # of no interest
        )


CLOCK = VirtualClock()


@stage_with(clock=CLOCK.clock)
async def test_once_a_command_is_over_its_answer_is_a_message_like_any_other(stage):
    server = stage.server
    async with running(stage, clock=CLOCK.clock) as events:
        early = server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "early"})
        first = await one(stage, events)
        id = await stage.adapter.send(stage.room, "early", reply_to=first.id)
        late = server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "late"})
        second = await one(stage, events)
        server.invoke(stage.ann, stage.channel, stage.bot, "model")
        third = await one(stage, events)
        await server.until(lambda: len(server.acks) == 3)
        CLOCK.now_s += 14 * 60 + 1
        await stage.adapter.edit(stage.room, id, "early, and more")
        await stage.adapter.send(stage.room, "late", reply_to=second.id)
        await stage.adapter.notice(stage.room, "later", reply_to=second.id)
        with pytest.raises(ForbiddenError):
            await stage.adapter.notice(stage.room, "for one person", reply_to=third.id)
    assert early.original.content == "early, and more"
    assert late.original.is_loading
    assert [post.content for post in stage.posts(stage.channel) if not post.is_loading] == [
        "early, and more",
        "late",
        "later",
    ]


@stage_with(token_ttl_s=0.0)
async def test_a_token_that_dies_early_is_noticed(stage):
    async with running(stage) as events:
        stage.server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "x"})
        message = await one(stage, events)
        id = await stage.adapter.send(stage.room, "answer", reply_to=message.id)
    assert str(stage.posts(stage.channel)[-1].id) == id


async def test_after_a_restart_a_command_is_answered_in_the_channel(stage):
    async with running(stage) as events:
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "x"})
        message = await one(stage, events)
        await stage.server.until(lambda: used.ack_kind)
    async with running(stage, call_timeout_s=5):
        await stage.adapter.send(stage.room, "answer", reply_to=message.id, nonce="n")
        await stage.adapter.settled(message)
    assert stage.posts(stage.channel)[-1].content == "answer"


@pytest.mark.parametrize("fault", [status(500), applied_then_lost(), rate_limited(0.1), reset()])
async def test_an_acknowledgement_is_repeated_while_there_is_time(stage, fault):
    async with running(stage) as events:
        stage.server.faults.add("POST", r"/interactions/.*", fault)
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "x"})
        message = await one(stage, events)
        await stage.adapter.send(stage.room, "answer", reply_to=message.id)
    assert used.original.content == "answer"


async def test_a_command_that_could_not_be_acknowledged_is_answered_in_the_channel(stage):
    async with running(stage) as events:
        stage.server.faults.add("POST", r"/interactions/.*", error(10062), math.inf)
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "x"})
        message = await one(stage, events)
        await stage.adapter.send(stage.room, "answer", reply_to=message.id)
        await stage.adapter.settled(message)
    assert used.original is None
    assert [post.content for post in stage.posts(stage.channel)] == ["answer"]


async def test_an_answer_to_a_command_that_was_lost_on_the_way_is_not_doubled(stage):
    async with running(stage) as events:
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "x"})
        message = await one(stage, events)
        stage.server.faults.add("PATCH", ORIGINAL, applied_then_lost())
        with pytest.raises(UnreachableError):
            await stage.adapter.send(stage.room, "answer", reply_to=message.id, nonce="n")
        await stage.adapter.send(stage.room, "answer", reply_to=message.id, nonce="n")
        await stage.adapter.settled(message)
    assert [post.content for post in stage.posts(stage.channel)] == ["answer"]
    assert used.followups == []


async def test_commands_are_answered_where_the_bot_may_not_look(stage):
    stage.server.deny(stage.channel, stage.bot, Permission.VIEW_CHANNEL)
    async with running(stage) as events:
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "x"})
        message = await one(stage, events)
        assert message.chat == stage.room
        id = await stage.adapter.send(stage.room, "one", reply_to=message.id)
        await stage.adapter.edit(stage.room, id, "two")
        assert used.original.contents[-2:] == ["one", "two"]
        await stage.adapter.delete(stage.room, id)
    assert used.original.is_deleted


async def test_a_command_tells_whether_a_moderator_gave_it(stage):
    server = stage.server
    server.add_member(stage.guild, stage.ann, DEFAULT_PERMISSIONS | Permission.MANAGE_MESSAGES)
    async with running(stage) as events:
        server.invoke(stage.ann, stage.channel, stage.bot, "persona", {"text": "x"})
        message = await one(stage, events)
        num_requests = len([each for each in server.requests if each.method == "GET"])
        assert await stage.adapter.is_moderator(message.chat, message.author)
        assert len([each for each in server.requests if each.method == "GET"]) == num_requests


# What is chosen for a command.


def chosen(message):
    """What a command is called with, as the dispatcher finds it."""
    call = parse(message.text, COMMANDS)
    mentions = [segment for segment in message.segments if isinstance(segment, Mention)]
    return arguments_of(call.command, call.rest, mentions)


def plain(value):
    """A value that can be compared: people by id, and True is not 1."""
    if isinstance(value, Mention):
        return ("person", value.user_id)
    if isinstance(value, DiscordUser):
        return ("person", str(value.id))
    return (isinstance(value, bool), value)


async def test_what_is_chosen_for_a_command_is_what_it_is_called_with(stage):
    server, rng = stage.server, random.Random(7)
    people = [server.add_user(name) for name in ("ann", "bob", 'q"uo\\te', "two  words", "who:\n", "(1)")]
    for person in people[:4]:
        server.add_member(stage.guild, person)
    for person, nick in zip(people, ("Ann", "Bob", "Ann"), strict=False):
        stage.guild.members[person.id].nick = nick
    snippets = ['"', "\\", " ", "\n", "@Ann", "@Bob", 'who:"', "text:", "times:3", "yes", "é", "<@>", "//", "'"]
    values = {
        "text": lambda: "".join(rng.choices(snippets, k=rng.randint(1, 6))),
        "who": lambda: rng.choice(people),
        "by": lambda: rng.choice(people),
        "times": lambda: rng.choice([0, -1, 2**53, rng.randint(-99, 99)]),
        "hours": lambda: rng.choice([0, 0.1, -1e-9, 1e15, rng.uniform(-9, 9)]),
        "loudly": lambda: rng.choice([True, False]),
        "rest": lambda: "".join(rng.choices(snippets, k=rng.randint(1, 6))),
    }
    async with running(stage) as events:
        for _ in range(150):
            names = ["who", *(name for name in values if name != "who" and rng.random() < 0.6)]
            rng.shuffle(names)
            options = {name: values[name]() for name in names}
            channel = rng.choice([stage.channel, stage.dm])
            server.invoke(stage.ann, channel, stage.bot, "remind", options)
            message = await one(stage, events)
            found = {name: plain(value) for name, value in chosen(message).items()}
            assert found == {name: plain(value) for name, value in options.items()}, message.text
        for person in people:
            server.invoke(stage.ann, stage.channel, stage.bot, "who", {"person": person})
            assert chosen(await one(stage, events))["person"].user_id == str(person.id)
        for words in ('say "this"', "who:me", "a\nb", '"all of it"'):
            server.invoke(stage.ann, stage.channel, stage.bot, "persona", {"text": words})
            assert chosen(await one(stage, events)) == {"text": words}


async def test_a_person_who_is_chosen_is_mentioned_where_the_name_stands(stage):
    bob = stage.server.add_user("bob")
    async with running(stage) as events:
        options = {"text": "@Bob is", "who": bob, "by": stage.ann, "loudly": False}
        stage.server.invoke(stage.ann, stage.dm, stage.bot, "remind", options)
        message = await one(stage, events)
        assert message.segments == (
            Text('/remind text:"@Bob is" who:"'),
            Mention(str(bob.id), "Bob"),
            Text('" by:"'),
            Mention(str(stage.ann.id), "Ann"),
            Text('" loudly:"no"'),
        )
        stage.server.invoke(stage.ann, stage.dm, stage.bot, "who", {"person": stage.bot})
        assert (await one(stage, events)).segments == (Text("/who @mynah"),)  # the bot itself is no mention


def test_people_who_are_named_in_a_text_are_mentioned_where_they_stand():
    options = [{"name": "text", "type": 3, "value": 'tell <@7> and <@!8>, not "<@9>"'}]
    data = {"name": "remind", "options": options, "resolved": {"users": {"7": {"username": "bob"}}}}
    segments = typed(data, COMMANDS, Viewer(9, "mynah"))
    assert segments == (
        Text('/remind text:"tell '),
        Mention("7", "bob"),
        Text(" and "),
        Mention("8", "8"),
        Text(', not \\"@mynah\\""'),
    )
    options[0]["value"] = "<@8>"
    data["name"] = "persona"
    assert typed(data, COMMANDS, Viewer(9, "mynah")) == (Text("/persona "), Mention("8", "8"))


# Files.


async def test_a_file_is_given_in_private_and_once(stage):
    async with running(stage) as events:
        said = stage.server.say(stage.ann, stage.dm, "my data, please")
        message = await one(stage, events)
        stage.server.faults.add("POST", MESSAGES, applied_then_lost())
        for outcome in (pytest.raises(UnreachableError), contextlib.nullcontext()):
            with outcome:
                await stage.adapter.hand_over(stage.chat, 'my "data".json', b"{}" * 1000, reply_to=message.id)
        (post,) = stage.posts()
        assert [(file.filename, file.data) for file in post.attachments] == [("my _data_.json", b"{}" * 1000)]
        assert post.reply_to is said
        used = stage.server.invoke(stage.ann, stage.dm, stage.bot, "model")
        command_message = await one(stage, events)
        await stage.adapter.hand_over(stage.chat, "data", b"1", reply_to=command_message.id)
        assert [file.data for file in used.original.attachments] == [b"1"]
        unknown = MessageId("interaction:7")  # given to an earlier process
        await stage.adapter.hand_over(stage.chat, "data", b"2", reply_to=unknown)
    assert [file.data for post in stage.posts() for file in post.attachments] == [b"{}" * 1000, b"1", b"2"]
    assert stage.server.violations == []


async def test_in_a_guild_a_file_is_given_through_a_command_whose_answers_nobody_else_sees(stage):
    async with running(stage) as events:
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "model")
        message = await one(stage, events)
        await stage.adapter.notice(stage.room, "One moment.", reply_to=message.id)
        await stage.adapter.hand_over(stage.room, "data.json", b"1", reply_to=message.id)
        again = stage.server.invoke(stage.ann, stage.channel, stage.bot, "model")
        message = await one(stage, events)
        stage.server.faults.add("PATCH", ORIGINAL, applied_then_lost())
        for outcome in (pytest.raises(UnreachableError), contextlib.nullcontext()):
            with outcome:
                await stage.adapter.hand_over(stage.room, "data.json", b"2", reply_to=message.id)
        await stage.adapter.notice(stage.room, "Here it is.", reply_to=message.id)
        await stage.adapter.settled(message)
    assert [(each.content, [file.data for file in each.attachments]) for each in used.responses] == [
        ("One moment.", []),
        ("", [b"1"]),
    ]
    assert [(each.content, [file.data for file in each.attachments]) for each in again.responses] == [
        ("", [b"2"]),
        ("Here it is.", []),
    ]
    assert all(post.is_ephemeral for post in stage.posts(stage.channel))


CLOCK_OF_FILES = VirtualClock()


@stage_with(clock=CLOCK_OF_FILES.clock)
async def test_where_others_would_see_a_file_it_is_refused(stage):
    server, thread = stage.server, stage.server.add_thread(stage.channel)
    async with running(stage, clock=CLOCK_OF_FILES.clock) as events:
        said = stage.say_to_all("my data, please")
        typed = await one(stage, events)
        server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "x"})
        public = await one(stage, events)
        server.invoke(stage.ann, stage.channel, stage.bot, "model")
        late = await one(stage, events)
        hidden = server.add_channel(stage.guild, denied={stage.bot: Permission.VIEW_CHANNEL})
        CLOCK_OF_FILES.now_s += 14 * 60 + 1
        for chat, reply_to in [
            (stage.room, typed.id),
            (stage.room, public.id),
            (stage.room, late.id),
            (stage.chat_of(thread), typed.id),
            (stage.chat_of(hidden), MessageId(str(said.id))),
            (stage.room, MessageId("interaction:7")),
        ]:
            with pytest.raises(UnsupportedError, match="others would see"):
                await stage.adapter.hand_over(chat, "data.json", b"1", reply_to=reply_to)
    assert server.world.files == {}


async def test_a_file_that_is_too_large_is_refused_with_words_that_say_so(stage):
    large = b"x" * (10 * 2**20 + 1)
    async with running(stage) as events:
        stage.say("my data, please")
        message = await one(stage, events)
        stage.server.invoke(stage.ann, stage.channel, stage.bot, "model")
        command_message = await one(stage, events)
        for chat, reply_to in [(stage.chat, message.id), (stage.room, command_message.id)]:
            with pytest.raises(UnsupportedError, match=r"data has 10.0 MB, and Discord takes 10 MB"):
                await stage.adapter.hand_over(chat, "data", large, reply_to=reply_to)
        for fault in (error(40005), status(413)):
            stage.server.faults.add("POST", MESSAGES, fault)
            with pytest.raises(UnsupportedError):
                await stage.adapter.hand_over(stage.chat, "data", b"1", reply_to=message.id)
        stage.server.faults.add("POST", MESSAGES, rate_limited(3.5))
        with pytest.raises(RateLimitedError):
            await stage.adapter.hand_over(stage.chat, "data", b"1", reply_to=message.id)
        await stage.adapter.hand_over(stage.chat, "data", large[1:], reply_to=message.id)
    assert [len(file.data) for post in stage.posts() for file in post.attachments] == [10 * 2**20]


# The connection.


async def test_the_account_is_refused_with_words_that_say_what_to_do(stage):
    with pytest.raises(AccountError, match="Reset Token"):
        async with stage.new_adapter(token="wrong"):
            pass
    with pytest.raises(AccountError, match="Message Content Intent"):
        async with stage.new_adapter(has_message_content=True):
            pass


async def test_what_cannot_be_reached_at_the_start_is_said_so(stage, monkeypatch):
    server = stage.server
    server.faults.add("GET", "/users/@me", status(500))
    with pytest.raises(UnreachableError):
        async with stage.adapter:
            pass
    server.faults.add("GET", "/gateway/bot", status(503))
    with pytest.raises(UnreachableError):
        async with stage.new_adapter():
            pass
    server.faults.add("GET", "/users/@me", rate_limited(300))
    with pytest.raises(UnreachableError):
        async with stage.new_adapter():
            pass
    server.faults.add("GET", "/users/@me", status(200, "<html>welcome to nginx</html>"))
    with pytest.raises(UnreachableError, match="DISCORD_API_URL"):
        async with stage.new_adapter():
            pass
    await server.stop_rest()
    with pytest.raises(UnreachableError):
        async with stage.new_adapter():
            pass
    await server.start_rest()
    await server.stop_gateway()
    with pytest.raises(UnreachableError, match="no connection"):
        async with stage.new_adapter():
            pass
    monkeypatch.setattr("bots.discord.adapter.START_WITHIN_S", 0.2)
    with pytest.raises(UnreachableError, match="within"):
        async with stage.new_adapter():
            pass


@pytest.mark.parametrize(
    ("break_off", "is_resumed"),
    [
        (lambda server: server.drop_connection(), True),
        (lambda server: server.close(4000), True),
        (lambda server: server.close(1000), True),
        (lambda server: server.send_reconnect(), True),
        (lambda server: server.invalidate(resumable=True), True),
        (lambda server: server.invalidate(resumable=False), False),
        (lambda server: (server.forget_sessions(), server.drop_connection()), False),
    ],
)
async def test_a_connection_that_breaks_comes_back(stage, break_off, is_resumed):
    server = stage.server
    async with running(stage) as events:
        break_off(server)
        stage.say("missed")
        await server.until(lambda: server.is_connected(stage.bot))
        await stage.adapter.send(stage.room, "meanwhile")
        stage.say("after")
        await server.until(lambda: [event.text for event in events][-1:] == ["after"])
    assert [event.text for event in events] == (["missed", "after"] if is_resumed else ["after"])


async def test_what_was_said_during_an_outage_arrives_after_it(stage, monkeypatch):
    from discord.backoff import ExponentialBackoff

    server, delays = stage.server, []
    monkeypatch.setattr(ExponentialBackoff, "delay", lambda self: delays.append(0.05) or 0.05)
    async with running(stage) as events:
        await server.stop_gateway()
        stage.say("missed")
        await server.until(lambda: len(delays) >= 3)
        await server.start_gateway()
        assert (await one(stage, events)).text == "missed"
        await server.stop_gateway()
        server.forget_sessions()
        await server.until(lambda: len(delays) >= 6)
        await server.start_gateway()
        await server.until(lambda: server.is_connected(stage.bot))
        stage.say("after")
        assert (await one(stage, events)).text == "after"


async def test_a_session_whose_place_is_gone_for_good_is_begun_anew_elsewhere(stage, monkeypatch):
    from discord.backoff import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay", lambda self: 0.01)
    stage.server.gateway.url = "ws://127.0.0.1:1/"  # where READY says that it can be taken up again
    async with running(stage) as events:
        stage.server.drop_connection()
        await stage.server.until(lambda: stage.server.is_connected(stage.bot))
        stage.say("after")
        assert (await one(stage, events)).text == "after"
    assert [entry.what for entry in stage.server.gateway_log].count("identify") == 2


@stage_with(heartbeat_interval_s=0.1)
async def test_a_dead_link_is_noticed(stage):
    async with running(stage, heartbeat_timeout_s=0.4) as events:
        stage.server.stop_acking()
        await stage.server.until(lambda: any(entry.what == "resume" for entry in stage.server.gateway_log))
        stage.server.resume_acking()
        await stage.server.until(lambda: stage.server.is_connected(stage.bot))
        stage.say("after")
        await one(stage, events)


@pytest.mark.parametrize(
    ("break_off", "outcome"),
    [
        (lambda stage: stage.server.send_garbage(), UnreachableError),
        (lambda stage: stage.server.revoke(stage.bot), AccountError),
        (lambda stage: stage.server.close(4014), AccountError),
        (lambda stage: stage.server.close(4011), UnreachableError),
    ],
)
async def test_what_cannot_come_back_ends_the_events_with_an_error(stage, break_off, outcome, caplog):
    async with stage.adapter as adapter:
        stage.say("before")
        events = aiter(adapter.events())
        assert (await anext(events)).text == "before"
        break_off(stage)
        with pytest.raises(outcome):
            await anext(events)
        with pytest.raises(AdapterClosedError):
            await adapter.send(stage.room, "too late")
    assert stage.posts(stage.channel) == []


async def test_leaving_closes_everything_and_ends_what_waits(stage):
    async with stage.adapter as adapter:
        listening = asyncio.ensure_future(anext(aiter(adapter.events()), None))
        stage.server.faults.add("POST", MESSAGES, held(gate := asyncio.Event()))
        sending = asyncio.ensure_future(adapter.send(stage.room, "x"))
        await stage.server.until(lambda: stage.server.faults.rules[0].hits)
        used = stage.server.invoke(stage.ann, stage.channel, stage.bot, "ask", {"question": "x"})
        await stage.server.until(lambda: used.ack_kind)
        assert (await listening).text == "/ask x"
        listening = asyncio.ensure_future(anext(aiter(adapter.events()), None))
        await adapter.__aexit__(None, None, None)
        with pytest.raises(AdapterClosedError):
            await sending
        gate.set()
        for work in (adapter.send, adapter.notice):
            with pytest.raises(AdapterClosedError):
                await work(stage.room, "too late")
            with pytest.raises(AdapterClosedError):
                await work(stage.room, "too late", reply_to=MessageId(f"interaction:{used.id}"))
        with pytest.raises(AdapterClosedError):
            await adapter.typing(stage.room)
        assert await listening is None
    assert not stage.server.is_connected(stage.bot)


async def test_two_accounts_with_shards_share_a_process(stage):
    server = stage.server
    server.add_bot("other", "other", recommended_shards=2)
    other = server.world.bots[-1]
    channels = [server.add_channel(server.add_guild(f"{n}", [other, stage.ann])) for n in range(2)]
    async with running(stage) as mine, stage.new_adapter(token="other") as second, heard_by(second) as theirs:
        for channel in channels:
            server.say(stage.ann, channel, "two", mentions=[other])
        stage.say("one")
        await server.until(lambda: len(theirs) == 2 and len(mine) == 1)
        assert {event.chat.chat for event in theirs} == {str(channel.id) for channel in channels}
        assert {event.chat.account for event in theirs} == {str(other.id)}


async def test_nothing_is_asked_of_discord_that_a_bot_must_not_ask(stage):
    async with running(stage):
        for number in range(10):
            await stage.adapter.send(stage.room, f"{number}")
    assert stage.server.violations == []


# Beside the adapter.


def test_every_exception_of_discord_py_is_known():
    import discord

    from bots.discord.errors import OUR_BUGS, TRANSLATIONS

    def below(kind):
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    kinds = {kind for kind in below(discord.DiscordException) if kind.__module__.startswith("discord.")}
    kinds = {kind for kind in kinds if not kind.__module__.startswith("discord.ext.")}
    assert len(kinds) > 20
    assert kinds - TRANSLATIONS.keys() - OUR_BUGS == set()


def test_settings_take_many_tokens_and_a_bare_address():
    settings = DiscordSettings(token="a, b,,a", api_url="https://discord.example/")
    assert settings.tokens == ("a", "b")
    assert settings.api_url == "https://discord.example/api/v10"
    assert DiscordSettings(token="", api_url="http://x/api/v9").tokens == ()
    assert DiscordSettings(api_url="http://x/api/v9/").api_url == "http://x/api/v9"
    assert "secret" not in repr(DiscordSettings(token="secret"))
    with pytest.raises(ValueError, match="api_url"):
        DiscordSettings(api_url="discord.example")


async def test_an_account_is_opened_and_checked_with_the_commands_that_there_are(stage):
    settings = DiscordSettings(token=f"{TOKEN},other", api_url=stage.server.api_url)
    account, other = accounts_of(settings)
    assert (account.name, other.name) == ("discord 1", "discord 2")
    table = CommandTable([command("one")])
    async with account.open(table):
        assert set(registered(stage)) == {"one"}
    assert {finding.text for finding in await account.check(table)} >= {"in sync"}
    assert (PLATFORM.name, PLATFORM.token_setting) == ("discord", "DISCORD_TOKEN")


async def test_check_says_what_is_good_and_what_to_do_about_the_rest(stage):
    settings = DiscordSettings(token=TOKEN, api_url=stage.server.api_url)
    findings = {finding.subject: finding for finding in await check(TOKEN, settings, COMMANDS)}
    assert all(finding.is_ok for finding in findings.values())
    assert "mynah" in findings["discord: identity"].text
    assert "ask" in findings["discord: commands"].text
    async with running(stage):
        findings = {finding.subject: finding for finding in await check(TOKEN, settings, COMMANDS)}
    assert findings["discord: commands"].text == "in sync"
    wanting = DiscordSettings(token=TOKEN, api_url=stage.server.api_url, message_content=True)
    findings = {finding.subject: finding for finding in await check(TOKEN, wanting, COMMANDS)}
    assert not findings["discord: intents"].is_ok
    assert "portal" in findings["discord: intents"].hint
    stage.bot.has_message_content = True
    assert all(finding.is_ok for finding in await check(TOKEN, wanting, COMMANDS))
    (finding,) = await check("wrong", settings, COMMANDS)
    assert not finding.is_ok
    assert "Reset Token" in finding.text
    await stage.server.stop_rest()
    (finding,) = await check(TOKEN, settings, COMMANDS)
    assert not finding.is_ok


async def test_what_was_answered_can_be_looked_up_where_the_bot_may_read_back():
    async with DiscordStage() as stage, stage.adapter as adapter:
        asked = stage.say_to_all("question")
        await adapter.notice(stage.room, "By the way")
        buttoned = await adapter.send(stage.room, "half", buttons=[STOP])
        plain = await adapter.send(stage.room, "a | table\n--|--\n1 | 2")
        assert await adapter.answers_after(stage.room, str(asked.id), "other") == [buttoned]
        assert await adapter.answers_after(stage.room, str(asked.id), "a | table\n--|--\n1 | 2") == [buttoned, plain]
        assert await adapter.answers_after(stage.room, buttoned, "") == []
        assert await adapter.answers_after(stage.room, "interaction:7", "") == []
        stage.server.deny(stage.channel, stage.bot, Permission.VIEW_CHANNEL)
        assert await adapter.answers_after(stage.room, str(asked.id), "") == []
