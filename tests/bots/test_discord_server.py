"""The stand-in for Discord, driven by the real discord.py: why the adapter's tests can trust it."""

import asyncio
import contextlib
import math
import warnings
from collections.abc import AsyncIterator

import aiohttp
import pytest
import yarl

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import discord
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord_limits import applied_then, applied_then_lost, error, rate_limited, reset, status
from discord_server import DiscordServer
from discord_state import DEFAULT_PERMISSIONS, Permission

from bots.testing import VirtualClock

MESSAGES = r"/channels/\d+/messages"


class Bot(discord.AutoShardedClient):
    """A discord.py client that notes what it gets."""

    def __init__(self, **options) -> None:
        super().__init__(**{"intents": discord.Intents.default(), "guild_ready_timeout": 0.05} | options)
        self.tree = app_commands.CommandTree(self)
        self.heard: list[discord.Message] = []
        self.seen: list[str] = []

    async def before_identify_hook(self, shard_id, *, initial=False):
        """Do without the five seconds between two IDENTIFYs."""

    async def on_message(self, message):
        if message.author != self.user:
            self.heard.append(message)

    async def on_raw_message_edit(self, event):
        self.seen.append("edit")

    async def on_raw_message_delete(self, event):
        self.seen.append("delete")

    async def on_raw_bulk_message_delete(self, event):
        self.seen.append(f"bulk delete {len(event.message_ids)}")

    async def on_raw_reaction_add(self, event):
        self.seen.append(f"add {event.emoji}")

    async def on_raw_reaction_remove(self, event):
        self.seen.append(f"remove {event.emoji}")

    def texts(self) -> list[str]:
        return [message.content for message in self.heard]


class Stage:
    """A guild with one channel, one person and one bot account."""

    def __init__(self, server: DiscordServer) -> None:
        self.server = server
        self.account = server.add_bot("token", "mynah")
        self.ann = server.add_user("ann")
        self.guild = server.add_guild(members=[self.account, self.ann])
        self.channel = server.add_channel(self.guild)

    def say(self, text: str, **options):
        """Say something that the bot may read."""
        return self.server.say(self.ann, self.channel, text, mentions=[self.account], **options)

    @contextlib.asynccontextmanager
    async def run(self, bot: Bot, token: str = "token") -> AsyncIterator[Bot]:
        """Run the bot within the block."""
        async with bot:
            running = asyncio.create_task(bot.start(token))
            await self.server.until(lambda: bot.is_ready() or running.done())
            yield bot
            await bot.close()
            await running

    async def end_of(self, bot: Bot, token: str = "token") -> Exception | None:
        """What a bot's `start` raises."""
        async with bot:
            async with asyncio.timeout(10):
                (ended,) = await asyncio.gather(bot.start(token), return_exceptions=True)
            return ended


@pytest.fixture
async def stage(request, monkeypatch) -> AsyncIterator[Stage]:
    """The stage; `@server_with` says how its server differs."""
    async with DiscordServer(**getattr(request, "param", {})) as server:
        monkeypatch.setattr(discord.http.Route, "BASE", server.api_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(server.gateway_url))
        yield Stage(server)


def server_with(**options) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stage", [options], indirect=True, ids=[""])


async def test_text_reaches_the_bot_only_where_discord_shows_it_without_the_intent(stage):
    server, bot, ann = stage.server, stage.account, stage.ann
    async with stage.run(Bot()) as client:
        server.say(ann, stage.channel, "to nobody")
        server.say(ann, stage.channel, "to you", mentions=[bot])
        server.say(ann, server.open_dm(ann, bot), "in private")
        own = await client.get_channel(stage.channel.id).send("mine")
        mine = stage.channel.messages[own.id]
        server.say(ann, stage.channel, "a reply", reply_to=mine)
        server.say(ann, stage.channel, "a quiet reply", reply_to=mine, ping=False)
        await server.until(lambda: len(client.heard) == 5)
        history = [message.content async for message in own.channel.history(after=own)]
    assert client.texts() == ["", f"{bot.mention} to you", "in private", "a reply", ""]
    assert client.heard[3].reference.resolved.content == "mine"
    assert history == ["a reply", ""]
    stranger = server.add_bot("other", "other", has_message_content=True)
    server.add_member(stage.guild, stranger)
    intents = discord.Intents.default()
    intents.message_content = True
    async with stage.run(Bot(intents=intents), "other") as client:
        server.say(ann, stage.channel, "to nobody")
        await server.until(lambda: client.texts() == ["to nobody"])


async def test_what_people_do_reaches_the_bot_and_what_the_bot_does_is_recorded(stage):
    server = stage.server
    async with stage.run(Bot()) as client:
        said = stage.say("look", attachments=[("a.txt", "text/plain", b"data")])
        await server.until(lambda: client.heard)
        (heard,) = client.heard
        assert await heard.attachments[0].read() == b"data"
        answer = await heard.reply("@everyone one", allowed_mentions=discord.AllowedMentions.none())
        await answer.edit(content="two")
        await heard.reply("loud", file=discord.File(__file__))
        async with heard.channel.typing():
            await heard.add_reaction("\N{EYES}")
        thread = await heard.create_thread(name="aside")
        await thread.send("over here")
        quiet, loud = server.messages(stage.channel, stage.account)
        server.edit(said, "look again")
        server.react(stage.ann, quiet, "👍")
        server.unreact(stage.ann, quiet, "👍")
        server.delete(said)
        server.bulk_delete(quiet, loud)
        await server.until(lambda: client.seen[-1:] == ["bulk delete 2"])
    assert quiet.contents == ["@everyone one", "two"]
    assert quiet.reply_to is said
    assert quiet.versions[0].allowed_mentions == {"parse": []}
    assert [ping.message for ping in server.pings] == [loud]
    assert loud.attachments[0].filename == "test_discord_server.py"
    assert [typing.bot for typing in server.typings(stage.channel)] == [stage.account]
    assert said.thread.messages.popitem()[1].content == "over here"
    assert [each for each in client.seen if "👀" not in each][-5:] == [
        "edit",
        "add 👍",
        "remove 👍",
        "delete",
        "bulk delete 2",
    ]
    assert server.deleted == [said, quiet, loud]


@server_with(rate_limits=False)
async def test_discords_limits_are_enforced_in_its_own_words(stage):
    server = stage.server
    hidden = server.add_channel(stage.guild, denied={stage.account: Permission.VIEW_CHANNEL})
    said = stage.say("hello")

    async with stage.run(Bot()) as client:
        channel = client.get_channel(stage.channel.id)
        theirs, unknown = channel.get_partial_message(said.id), channel.get_partial_message(1)

        async def code_of(call) -> int:
            with pytest.raises(discord.HTTPException) as caught:
                await call
            return caught.value.code

        assert await code_of(channel.send("x" * 2001)) == 50035
        assert await code_of(channel.send("")) == 50006
        assert await code_of(unknown.edit(content="x")) == 10008
        assert await code_of(theirs.edit(content="x")) == 50005
        assert await code_of(theirs.delete()) == 50013
        assert await code_of(client.get_partial_messageable(hidden.id).send("x")) == 50001
        assert await code_of(client.get_partial_messageable(1).send("x")) == 10003
        assert await code_of(unknown.reply("x")) == 50035
        stage.server.add_member(stage.guild, stage.account, DEFAULT_PERMISSIONS & ~Permission.SEND_MESSAGES)
        assert await code_of(channel.send("x")) == 50013
    assert server.messages(stage.channel) == [said]


@server_with(rate_limit=(3, 0.4))
async def test_a_client_that_heeds_the_headers_is_slowed_down_and_never_refused(stage):
    async with stage.run(Bot()) as client:
        channel = client.get_channel(stage.channel.id)
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(channel.send(str(number)) for number in range(8)))
        assert asyncio.get_running_loop().time() - started > 0.7
    assert [message.content for message in stage.server.messages(stage.channel)] == [str(each) for each in range(8)]
    assert {request.status for request in stage.server.requests} == {200}


@server_with(tolerated_429s=1)
async def test_a_client_that_heeds_nothing_gets_429_and_is_reported(stage):
    server = stage.server
    url = f"{server.api_url}/channels/{stage.channel.id}/messages"
    async with aiohttp.ClientSession(headers={"Authorization": "Bot token"}) as session:
        for number in range(7):
            async with session.post(url, json={"content": "x"}) as response:
                assert response.status == (200 if number < 5 else 429)
                remaining = response.headers["X-RateLimit-Remaining"]
                body = await response.json()
    assert response.headers["Via"]
    assert response.headers["Content-Type"] == "application/json"
    assert (remaining, body["global"]) == ("0", False)
    assert 4 < body["retry_after"] <= 5
    assert len(server.violations) == 1


@pytest.mark.parametrize(
    ("fault", "outcome", "num_posted"),
    [
        (rate_limited(0.05), None, 1),
        (rate_limited(0.05, is_global=True), None, 1),
        (rate_limited(0.05, via=False), discord.HTTPException, 0),
        (rate_limited(0.05, content_type="application/json; charset=utf-8"), discord.HTTPException, 0),
        (rate_limited(60), discord.RateLimited, 0),
        (status(500), None, 1),
        (applied_then(500), None, 1),
        (status(503), discord.DiscordServerError, 0),
        (reset(), aiohttp.ClientOSError, 0),
        (applied_then_lost(), aiohttp.ServerDisconnectedError, 1),
        (error(50013), discord.Forbidden, 0),
        (error(10008), discord.NotFound, 0),
    ],
)
async def test_a_faulty_request_ends_as_with_the_real_discord(stage, fault, outcome, num_posted):
    async with stage.run(Bot(max_ratelimit_timeout=30.0)) as client:
        rule = stage.server.faults.add("POST", MESSAGES, fault)
        with pytest.raises(outcome) if outcome else contextlib.nullcontext():
            await client.get_channel(stage.channel.id).send("once")
    assert rule.hits == 1
    assert len(stage.server.messages(stage.channel)) == num_posted


async def test_a_message_is_posted_once_however_often_it_is_sent_with_one_nonce(stage):
    async with stage.run(Bot()) as client:
        channel = client.get_channel(stage.channel.id)
        stage.server.faults.add("POST", MESSAGES, applied_then_lost())
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await channel.send("once", nonce=7)
        message = await channel.send("once", nonce=7)
        assert message.id == stage.server.messages(stage.channel)[0].id
        await channel.send("twice", nonce=8)
    assert [message.content for message in stage.server.messages(stage.channel)] == ["once", "twice"]


@pytest.mark.parametrize(
    ("break_off", "way_back"),
    [
        (lambda server: server.drop_connection(), "resume"),
        (lambda server: server.close(4000), "resume"),
        (lambda server: server.send_reconnect(), "resume"),
        (lambda server: server.invalidate(resumable=True), "resume"),
        (lambda server: server.invalidate(resumable=False), "identify"),
        (lambda server: (server.forget_sessions(), server.drop_connection()), "identify"),
    ],
)
async def test_a_resumed_session_misses_nothing_and_a_new_one_begins_afresh(stage, break_off, way_back):
    server = stage.server
    async with stage.run(Bot()) as client:
        stage.say("one")
        await server.until(lambda: len(client.heard) == 1)
        break_off(server)
        stage.say("missed")
        await server.until(lambda: server.is_connected(stage.account))
        server.duplicate(stage.say("three"))
        count = 4 if way_back == "resume" else 3
        await server.until(lambda: len(client.heard) == count)
    texts = [text.removeprefix(f"{stage.account.mention} ") for text in client.texts()]
    assert texts == ["one", *(["missed"] if way_back == "resume" else []), "three", "three"]
    assert [entry.what for entry in server.gateway_log if entry.what in ("identify", "resume")][-1] == way_back


async def test_what_no_reconnect_can_cure_ends_the_client(stage):
    server = stage.server
    assert isinstance(await stage.end_of(Bot(), "wrong"), discord.LoginFailure)
    intents = discord.Intents.default()
    intents.message_content = True
    assert isinstance(await stage.end_of(Bot(intents=intents)), discord.PrivilegedIntentsRequired)
    server.faults.add("GET", "/gateway/bot", status(503))
    assert isinstance(await stage.end_of(Bot()), discord.GatewayNotFound)
    await server.stop_rest()
    assert isinstance(await stage.end_of(Bot()), aiohttp.ClientConnectorError)
    await server.start_rest()
    for end, kind in [
        (server.send_garbage, ValueError),
        (lambda: server.revoke(stage.account), discord.ConnectionClosed),
    ]:
        async with Bot() as client:
            running = asyncio.create_task(client.start("token"))
            await server.until(lambda: server.is_connected(stage.account))
            end()
            (ended,) = await asyncio.gather(running, return_exceptions=True)
        assert isinstance(ended, kind)


@server_with(heartbeat_interval_s=0.1)
async def test_a_link_without_acknowledgements_is_given_up_and_an_outage_is_survived(stage):
    server = stage.server
    async with stage.run(Bot(heartbeat_timeout=0.5)) as client:
        server.stop_acking()
        await server.until(lambda: any(entry.what == "resume" for entry in server.gateway_log))
        server.resume_acking()
        await server.stop_gateway()
        assert (await client.get_channel(stage.channel.id).send("REST is up")).id
        await server.start_gateway()
        await server.until(lambda: server.is_connected(stage.account))
        stage.say("back")
        await server.until(lambda: client.heard)


async def test_a_command_is_synced_completed_deferred_and_answered(stage):
    server, bot = stage.server, Bot()

    @bot.tree.command()
    async def ask(interaction: discord.Interaction, question: str, who: discord.Member | None = None):
        """Ask."""
        await interaction.response.defer(thinking=True)
        await interaction.edit_original_response(content="let me see")
        await interaction.edit_original_response(content=f"{question}: {who and who.name}")
        await interaction.followup.send("more", ephemeral=True)

    @ask.autocomplete("question")
    async def complete(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=current * 2, value=current * 2)]

    @bot.tree.context_menu()
    async def explain(interaction: discord.Interaction, message: discord.Message):
        await interaction.response.send_message(message.content, ephemeral=True)

    async with stage.run(bot):
        await bot.tree.sync()
        used = server.invoke(stage.ann, stage.channel, stage.account, "ask", {"question": "who", "who": stage.ann})
        await server.until(lambda: used.followups)
        choices = await server.autocomplete(
            stage.ann, stage.channel, stage.account, "ask", {"question": "ab"}, focused="question"
        )
        shown = server.invoke_on(stage.ann, server.say(stage.ann, stage.channel, "hidden"), stage.account, "Explain")
        await server.until(lambda: shown.original)
    assert len(stage.account.syncs) == 1
    assert used.original.contents == ["", "let me see", "who: ann"]
    assert [used.is_ephemeral, used.followups[0].is_ephemeral, shown.original.is_ephemeral] == [False, True, True]
    assert shown.original.content == "hidden"
    assert [choice["value"] for choice in choices] == ["abab"]
    assert server.acks[0].interaction is used
    assert server.acks[0].latency_s < 3


def option(**fields) -> dict:
    return {"type": 3, "name": "text", "description": "words"} | fields


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([option(type=kind, name=f"kind{kind}") for kind in (3, 4, 5, 6, 10)], None),
        ([option(name=f"text{number}") for number in range(26)], 50035),
        ([option(), option(name="other", required=True)], 50035),
        ([option(name="other", required=True), option()], None),
        ([option(), option()], 50035),
        ([option(name="Text")], 50035),
        ([option(name="")], 50035),
        ([option(name="x" * 33)], 50035),
        ([option(description="")], 50035),
        ([option(description="x" * 101)], 50035),
        ([option(type=12)], 50035),
        ([option(choices=[{"name": "a", "value": "a"}] * 26)], 50035),
        ([option(choices=[{"name": "a", "value": "a" * 101}])], 50035),
        ([option(choices=[{"name": "a", "value": "a"}], autocomplete=True)], 50035),
        ([option(type=5, autocomplete=True)], 50035),
        ([option(type=6, choices=[{"name": "a", "value": "a"}])], 50035),
    ],
)
async def test_commands_are_checked_as_discord_does(stage, options, code):
    async with stage.run(Bot()) as client:
        commands = [{"name": "one", "description": "first", "options": options}]
        with pytest.raises(discord.HTTPException) if code else contextlib.nullcontext() as caught:
            await client.http.bulk_upsert_global_commands(client.application_id, commands)
    assert code is None or caught.value.code == code
    assert len(stage.account.syncs) == (code is None)


async def test_a_bot_has_a_hundred_commands_at_most_and_people_can_send_only_what_fits_an_option(stage):
    async with stage.run(Bot()) as client:
        many = [{"name": f"command{number}", "description": "x"} for number in range(101)]
        with pytest.raises(discord.HTTPException, match="100"):
            await client.http.bulk_upsert_global_commands(client.application_id, many)
        kinds = [option(type=kind, name=f"kind{kind}") for kind in (3, 4, 5, 10)]
        kinds.append(option(name="chosen", choices=[{"name": "a", "value": "a"}]))
        many[0]["options"] = kinds
        await client.http.bulk_upsert_global_commands(client.application_id, many[:100])
        for name, value in [
            ("kind3", 1),
            ("kind4", 1.5),
            ("kind4", True),
            ("kind5", 1),
            ("kind10", "1"),
            ("chosen", "b"),
        ]:
            with pytest.raises(LookupError):
                stage.server.invoke(stage.ann, stage.channel, stage.account, "command0", {name: value})


CLOCK = VirtualClock()


@server_with(clock=CLOCK.clock)
async def test_an_interaction_acknowledged_late_or_used_after_its_token_died_is_unknown(stage):
    server, bot = stage.server, Bot()
    outcomes: list[object] = []

    @bot.tree.command()
    async def late(interaction: discord.Interaction, before_s: int, after_s: int):
        """Be late."""
        try:
            CLOCK.now_s += before_s
            await interaction.response.defer()
            CLOCK.now_s += after_s
            outcomes.append((await interaction.edit_original_response(content="done")).content)
        except discord.HTTPException as failure:
            outcomes.append(failure.code)

    async with stage.run(bot):
        await bot.tree.sync()
        for before_s, after_s in [(2, 600), (4, 0), (2, 900)]:
            options = {"before_s": before_s, "after_s": after_s}
            server.invoke(stage.ann, stage.channel, stage.account, "late", options)
            num_before = len(outcomes)
            await server.until(lambda num_before=num_before: len(outcomes) > num_before)
    assert outcomes == ["done", 10062, 50027]
    assert [ack.latency_s for ack in server.acks] == [2, 2]
    assert len(server.unacknowledged) == 1


async def test_buttons_of_a_process_that_is_gone_work_in_the_next_one(stage):
    server = stage.server

    class Feedback(discord.ui.View):
        @discord.ui.button(label="good", custom_id="good")
        async def good(self, interaction: discord.Interaction, button: discord.ui.Button):
            await interaction.response.edit_message(content="thanks", view=None)

        @discord.ui.button(label="why", custom_id="why")
        async def why(self, interaction: discord.Interaction, button: discord.ui.Button):
            form = discord.ui.Modal(title="why", custom_id="form")
            form.add_item(discord.ui.TextInput(label="why", custom_id="reason"))
            await interaction.response.send_modal(form)
            await form.wait()
            await form.interaction.response.send_message(form.children[0].value)

    async with stage.run(Bot()) as client:
        await client.get_channel(stage.channel.id).send("good?", view=Feedback(timeout=None))
    (message,) = server.messages(stage.channel)
    assert message.custom_ids() == ["good", "why"]
    async with stage.run(Bot()) as client:
        client.add_view(Feedback(timeout=None))
        server.press(stage.ann, message, "good")
        await server.until(lambda: message.content == "thanks")
    assert message.custom_ids() == []
    with pytest.raises(LookupError):
        server.press(stage.ann, message, "good")


async def test_two_bots_with_shards_each_hear_only_what_is_theirs(stage):
    server = stage.server
    other = server.add_bot("other", "other", recommended_shards=2)
    guilds = [server.add_guild(f"guild {number}", [other, stage.ann]) for number in range(2)]
    channels = [server.add_channel(guild) for guild in guilds]
    async with stage.run(Bot()) as mynah, stage.run(Bot(), "other") as second:
        for channel in channels:
            server.say(stage.ann, channel, "two", mentions=[other])
        stage.say("one")
        await server.until(lambda: len(second.heard) == 2 and len(mynah.heard) == 1)
        assert {guild.shard_id for guild in second.guilds} == {0, 1}
        assert {message.guild.id for message in second.heard} == {guild.id for guild in guilds}


async def test_a_fault_lasts_until_it_is_cleared_and_waiting_in_vain_says_what_happened(stage):
    server = stage.server
    server.faults.add("POST", MESSAGES, error(30046), math.inf)
    async with stage.run(Bot()) as client:
        channel = client.get_channel(stage.channel.id)
        with pytest.raises(discord.HTTPException) as caught:
            await channel.send("x")
        assert (caught.value.status, caught.value.code) == (429, 30046)
        server.faults.clear()
        await channel.send("y")
        with pytest.raises(AssertionError, match="POST /channels/"):
            await server.until(lambda: False, timeout_s=0.01)
