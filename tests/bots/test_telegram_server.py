"""The stand-in for Telegram, as the real python-telegram-bot sees it."""

import asyncio
import contextlib

import pytest
import telegram
from aiohttp import web
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, MessageEntity, ReplyParameters, error
from telegram.request import HTTPXRequest
from telegram_faults import (
    bad_gateway,
    bad_request,
    conflict,
    flood,
    forbidden,
    internal_error,
    late,
    lost_answer,
    reset,
)
from telegram_limits import Limits
from telegram_server import TelegramServer

from bots.testing import VirtualClock

TOKEN = "101:first-token"


@pytest.fixture(autouse=True)
def _times_are_timedeltas(monkeypatch):
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # without it RetryAfter warns in its own constructor


@contextlib.asynccontextmanager
async def client(server, token=TOKEN, **timeouts):
    bot = telegram.Bot(
        token,
        base_url=f"{server.api_url}/bot",
        base_file_url=f"{server.api_url}/file/bot",
        request=HTTPXRequest(connection_pool_size=64, pool_timeout=10, **timeouts),
        get_updates_request=HTTPXRequest(connection_pool_size=2, **timeouts),
    )
    async with bot:
        yield bot


@pytest.fixture
async def server():
    async with TelegramServer() as running:
        yield running


@pytest.fixture
async def unlimited():
    async with TelegramServer(limits=None) as running:
        yield running


def texts(updates):
    return [update.effective_message.text for update in updates]


async def test_updates_come_until_confirmed_and_a_held_poll_ends_when_one_is_made(server):
    account = server.add_bot(TOKEN, "mynah_bot")
    ann = server.add_user("Ann", "ann")
    chat = server.private_chat(ann, account)
    async with client(server) as bot:
        assert bot.username == "mynah_bot"
        poll = asyncio.create_task(bot.get_updates(timeout=30))
        await server.until(lambda: server.calls("getUpdates"))
        server.say(ann, chat, "one /two @ann 😀 @mynah_bot")
        (update,) = await poll
        found = [update.message.parse_entity(entity) for entity in update.message.entities]
        assert (update.message.chat.id, found) == (ann.id, ["/two", "@ann", "@mynah_bot"])
        server.edit(chat.messages[0], "changed")
        assert texts(await bot.get_updates()) == ["one /two @ann 😀 @mynah_bot", "changed"]
    async with client(server) as restarted:
        assert texts(await restarted.get_updates(offset=update.update_id + 1)) == ["changed"]
        assert await restarted.get_updates(offset=update.update_id + 2) == ()
        assert await restarted.get_updates() == ()
        server.redeliver(account, update.update_id)
        assert [again.update_id for again in await restarted.get_updates()] == [update.update_id]


async def test_two_polls_or_a_webhook_conflict(server):
    account = server.add_bot(TOKEN, "mynah_bot")
    async with client(server) as bot, client(server) as twin:
        first = asyncio.create_task(bot.get_updates(timeout=30))
        await server.until(lambda: account.poll == 1)
        assert await twin.get_updates(timeout=0) == ()
        with pytest.raises(error.Conflict, match="only one bot instance"):
            await first
        await bot.set_webhook("http://127.0.0.1:9/nobody")
        with pytest.raises(error.Conflict, match="webhook is active"):
            await bot.get_updates()


async def test_a_webhook_is_given_each_update_in_order_until_it_takes_it(server):
    account = server.add_bot(TOKEN, "mynah_bot")
    ann = server.add_user("Ann")
    chat = server.private_chat(ann, account)
    statuses, received = iter([500, 200, 200]), []

    async def receive(request):
        assert request.headers["X-Telegram-Bot-Api-Secret-Token"] == "hush"
        received.append(telegram.Update.de_json(await request.json(), None).message.text)
        return web.Response(status=next(statuses))

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with client(server) as bot:
        await bot.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", secret_token="hush")
        server.say(ann, chat, "one")
        server.say(ann, chat, "two")
        await server.until(lambda: not account.pending)
        assert received == ["one", "one", "two"]
        assert (await bot.get_webhook_info()).pending_update_count == 0
        await bot.delete_webhook()
    await runner.cleanup()


async def test_privacy_mode_passes_only_what_is_meant_for_the_bot(server):
    shy, nosy = server.add_bot(TOKEN, "shy_bot"), server.add_bot("102:x", "nosy_bot", can_read_all_group_messages=True)
    ann = server.add_user("Ann")
    group = server.add_supergroup("Bird friends", ann, shy, nosy)
    async with client(server) as bot, client(server, "102:x") as nosy_client:
        sent = await bot.send_message(group.id, "from the bot")
        server.say(ann, group, "among ourselves")
        server.say(ann, group, "/ask@nosy_bot what")
        server.say(ann, group, "/ask@shy_bot what")
        server.say(ann, group, "/ask what")
        server.say(ann, group, "well @shy_bot")
        server.say(ann, group, "re", reply_to=group.message(sent.message_id))
        heard = texts(await bot.get_updates())
        assert heard == ["/ask@shy_bot what", "/ask what", "well @shy_bot", "re"]
        assert len(await nosy_client.get_updates()) == 6
        server.promote(group, shy)
        server.say(ann, group, "among ourselves")
        assert texts(await bot.get_updates())[-1] == "among ourselves"
        assert [member.user.username for member in await bot.get_chat_administrators(group.id)] == ["shy_bot"]
        assert not bot.bot.can_read_all_group_messages


async def test_text_is_counted_in_utf16_and_entities_must_fit_it(unlimited):
    server = unlimited
    ann = server.add_user("Ann")
    chat = server.private_chat(ann, server.add_bot(TOKEN, "mynah_bot"))
    async with client(server) as bot:
        sent = await bot.send_message(ann.id, "😀" * 2048, entities=[MessageEntity("bold", 0, 4096)])
        for text, entities, complaint in (
            ("😀" * 2048 + "x", [], "Message is too long"),
            ("", [], "Message text is empty"),
            (" \n", [], "Text must be non-empty"),
            ("abc", [MessageEntity("bold", 1, 3)], "ends after the end"),
            ("a😀", [MessageEntity("bold", 0, 2)], "middle of a utf-16 symbol"),
        ):
            with pytest.raises(error.BadRequest, match=complaint):
                await bot.send_message(ann.id, text, entities=entities)
        with pytest.raises(error.BadRequest, match="Message_too_long"):
            await sent.edit_text("x" * 4097)
        await bot.send_message(ann.id, "hello @ann_42, mail a@b.com, `@quiet`", entities=[MessageEntity("code", 29, 8)])
        await bot.send_message(ann.id, "*bold*", parse_mode="Markdown")
    assert len(server.messages(chat)) == 3
    assert [ping.whom for ping in server.pings] == ["@ann_42"]
    assert [v.what for v in server.violations if "parse_mode" in v.what] == ["parse_mode 'Markdown'"]


async def test_an_edit_must_change_something_and_find_its_message(unlimited):
    server = unlimited
    ann = server.add_user("Ann")
    chat = server.private_chat(ann, server.add_bot(TOKEN, "mynah_bot"))
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Stop", callback_data="stop")]])
    async with client(server) as bot:
        sent = await bot.send_message(ann.id, "one", reply_markup=keyboard)
        await sent.edit_text("one two ", reply_markup=keyboard)
        with pytest.raises(error.BadRequest, match="Message is not modified"):
            await sent.edit_text("one two", reply_markup=keyboard)
        await sent.edit_text("one two")
        assert [version.markup is None for version in chat.messages[0].versions] == [False, False, True]
        assert chat.messages[0].texts == ["one", "one two", "one two"]
        await sent.delete()
        with pytest.raises(error.BadRequest, match="Message to edit not found"):
            await sent.edit_text("three")
        with pytest.raises(error.BadRequest, match="Button_data_invalid"):
            wide = InlineKeyboardMarkup([[InlineKeyboardButton("x", callback_data="x" * 65)]])
            await bot.send_message(ann.id, "x", reply_markup=wide)
        said = server.say(ann, chat, "hm")
        server.delete(said)
        with pytest.raises(error.BadRequest, match="Message to be replied not found"):
            await bot.send_message(ann.id, "x", reply_parameters=ReplyParameters(said.id))
        gone = ReplyParameters(said.id, allow_sending_without_reply=True)
        assert (await bot.send_message(ann.id, "x", reply_parameters=gone)).reply_to_message is None
    assert [message.text for message in server.deleted] == ["one two"]


async def test_a_draft_shows_in_private_only_and_goes_with_the_message(server):
    ann, account = server.add_user("Ann"), server.add_bot(TOKEN, "mynah_bot")
    chat, group = server.private_chat(ann, account), server.add_group("Family", ann, account)
    async with client(server) as bot:
        await bot.send_message_draft(ann.id, 7)
        await bot.send_chat_action(ann.id, "typing")
        await bot.send_message_draft(ann.id, 7, "so far")
        assert (server.shown_draft(chat).text, server.is_typing(chat)) == ("so far", True)
        await bot.send_message(ann.id, "so far so good")
        assert (server.shown_draft(chat), server.is_typing(chat)) == (None, False)
        assert [draft.text for draft in server.drafts(chat)] == ["", "so far"]
        with pytest.raises(error.BadRequest, match="Textdraft_peer_invalid"):
            await bot.send_message_draft(group.id, 7, "no")


async def test_a_group_takes_twenty_messages_edits_and_actions_a_minute_and_a_person_one_message_a_second():
    time = VirtualClock()
    async with TelegramServer(clock=time.clock) as server:
        ann, account = server.add_user("Ann"), server.add_bot(TOKEN, "mynah_bot")
        server.private_chat(ann, account)
        group = server.add_group("Family", ann, account)
        async with client(server) as bot:
            sent = await bot.send_message(group.id, "0")
            for number in range(1, 10):
                await sent.edit_text(str(number))
                await bot.send_chat_action(group.id, "typing")
            await time.advance(10)
            await bot.send_message(group.id, "20")
            with pytest.raises(error.RetryAfter) as caught:
                await sent.edit_text("one too many")
            assert caught.value.retry_after.total_seconds() == 50
            for _ in range(3):
                await bot.send_message(ann.id, "others are not held")
            with pytest.raises(error.RetryAfter):
                await bot.send_message(ann.id, "too fast")
            await time.advance(1)
            await bot.send_message(ann.id, "in time")
            with pytest.raises(error.RetryAfter):
                await bot.send_message(group.id, "early")
            await time.advance(49)
            await sent.edit_text("twenty-one")
        assert [call.is_early for call in server.calls("sendMessage|editMessageText", chat=group)][-3:] == [
            False,
            True,
            False,
        ]


async def test_limits_can_be_other_figures(unlimited):
    async with TelegramServer(limits=Limits(per_second=2, private_burst=100)) as strict:
        for server, num_refused in ((strict, 8), (unlimited, 0)):
            ann = server.add_user("Ann")
            server.private_chat(ann, server.add_bot(TOKEN, "mynah_bot"))
            async with client(server) as bot:
                sends = [bot.send_message(ann.id, str(number)) for number in range(10)]
                results = await asyncio.gather(*sends, return_exceptions=True)
                assert sum(isinstance(result, error.RetryAfter) for result in results) == num_refused


async def test_a_topic_keeps_its_thread_and_an_upgraded_group_says_where_it_went(unlimited):
    server = unlimited
    ann, account = server.add_user("Ann"), server.add_bot(TOKEN, "mynah_bot", can_read_all_group_messages=True)
    forum = server.add_supergroup("Forum", ann, account, is_forum=True)
    topic = server.add_topic(forum, "Birds")
    async with client(server) as bot:
        server.say(ann, forum, "here", topic=topic)
        opening, said = await bot.get_updates()
        assert opening.message.forum_topic_created.name == "Birds"
        assert (said.message.message_thread_id, said.message.is_topic_message) == (topic, True)
        assert said.message.reply_to_message.forum_topic_created, "as Telegram has it for messages of a topic"
        sent = await bot.send_message(forum.id, "there", message_thread_id=topic)
        assert sent.message_thread_id == topic
        with pytest.raises(error.BadRequest, match="Message thread not found"):
            await bot.send_message(forum.id, "nowhere", message_thread_id=999)

        group = server.add_group("Family", ann, account)
        new = server.upgrade(group)
        moved = [update.message.migrate_to_chat_id for update in await bot.get_updates()]
        assert new.id in moved
        with pytest.raises(error.ChatMigrated) as caught:
            await bot.send_message(group.id, "hello?")
        assert caught.value.new_chat_id == new.id
        assert (await bot.send_message(new.id, "hello")).chat.type == "supergroup"


async def test_buttons_reactions_and_files_come_as_people_use_them(unlimited):
    server = unlimited
    ann, account = server.add_user("Ann"), server.add_bot(TOKEN, "mynah_bot")
    group = server.add_supergroup("Birds", ann, account)
    chat = server.private_chat(ann, account)
    async with client(server) as bot:
        await bot.get_updates(allowed_updates=["message", "callback_query", "message_reaction"])
        await bot.send_message(group.id, "good?")
        server.react(ann, group.messages[0], "👍")
        server.promote(group, account)
        server.react(ann, group.messages[0], "👎")
        server.press(ann, group.messages[0], "up")
        server.say(ann, chat, document=("notes.txt", "text/plain", b"birds"), caption="see")
        reaction, press, upload = await bot.get_updates()
        assert reaction.message_reaction.new_reaction[0].emoji == "👎"
        assert await press.callback_query.answer("thanks")
        assert server.query_answers[press.callback_query.id][0]["text"] == "thanks"
        with pytest.raises(error.BadRequest, match="Query is too old"):
            await bot.answer_callback_query("12345")
        assert bytes(await (await upload.message.document.get_file()).download_as_bytearray()) == b"birds"
        sent = await bot.send_document(ann.id, b"answer", filename="answer.md", caption="long")
        assert (sent.document.file_name, sent.caption) == ("answer.md", "long")
        await bot.set_message_reaction(ann.id, upload.message.message_id, "👀")
        await bot.set_my_commands([("help", "What I can do")], scope=telegram.BotCommandScopeAllPrivateChats())
        assert (await bot.get_my_commands(scope=telegram.BotCommandScopeAllPrivateChats()))[0].command == "help"
        server.block(ann, account)
        with pytest.raises(error.Forbidden, match="blocked by the user"):
            await bot.send_message(ann.id, "still there?")


FAULTS = {
    "flood": (flood(3), error.RetryAfter, 0),
    "bad request": (bad_request("can't parse entities: no"), error.BadRequest, 0),
    "forbidden": (forbidden(), error.Forbidden, 0),
    "conflict": (conflict(), error.Conflict, 0),
    "bad gateway": (bad_gateway(), error.NetworkError, 0),
    "internal error": (internal_error(), error.NetworkError, 0),
    "reset": (reset(), error.NetworkError, 0),
    "lost answer": (lost_answer(), error.NetworkError, 1),
    "too late but applied": (late(0.5), error.TimedOut, 1),
    "never applied": (late(0.5, applies="never"), error.TimedOut, 0),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_comes_out_as_the_librarys_exception(server, name):
    fault, expected, num_applied = FAULTS[name]
    ann = server.add_user("Ann")
    chat = server.private_chat(ann, server.add_bot(TOKEN, "mynah_bot"))
    async with client(server, read_timeout=0.2) as bot:
        server.faults.add("send.*", fault, chat=chat)
        with pytest.raises(error.TelegramError) as caught:
            await bot.send_message(ann.id, "x")
        assert type(caught.value) is expected
        assert len(server.messages(chat)) == num_applied
        await bot.send_message(ann.id, "and then all is well")


async def test_what_happened_before_an_outage_is_still_there_after_it(server):
    account = server.add_bot(TOKEN, "mynah_bot")
    ann = server.add_user("Ann")
    chat = server.private_chat(ann, account)
    async with client(server) as bot:
        poll = asyncio.create_task(bot.get_updates(timeout=30))
        await server.until(lambda: account.poll)
        await server.stop()
        with pytest.raises(error.NetworkError):
            await poll
        with pytest.raises(error.NetworkError, match="ConnectError"):
            await bot.get_me()
        server.say(ann, chat, "anyone?")
        await server.start()
        assert texts(await bot.get_updates()) == ["anyone?"]


async def test_updates_can_be_late_reordered_and_lost(server):
    account = server.add_bot(TOKEN, "mynah_bot")
    ann = server.add_user("Ann")
    chat = server.private_chat(ann, account)
    async with client(server) as bot:
        server.lose_updates(account)
        server.say(ann, chat, "lost")
        server.hold_updates(account)
        server.say(ann, chat, "first")
        server.say(ann, chat, "second")
        assert await bot.get_updates() == ()
        server.release_updates(account, is_reversed=True)
        assert texts(await bot.get_updates()) == ["second", "first"]


async def test_a_token_that_is_unknown_or_malformed_is_refused(server):
    for token in ("103:stranger", "nonsense"):
        with pytest.raises(error.InvalidToken):
            async with client(server, token):
                pass
