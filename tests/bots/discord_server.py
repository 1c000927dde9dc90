"""A Discord of our own on loopback: the real discord.py talks to it as it would to the real one.

    async with DiscordServer() as server:
        bot = server.add_bot("token", "mynah")
        discord.http.Route.BASE = server.api_url
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(server.gateway_url)

This module starts and stops it, and holds what people do. The rest: `discord_state` (what exists), `discord_world`
(what happens), `discord_rest`, `discord_routes`, `discord_gateway`, `discord_interactions` (the protocol),
`discord_forms` and `discord_limits` (what is refused, rate limits, faults). State lasts as long as the server,
whatever becomes of bots.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

from aiohttp import web
from discord_gateway import Gateway, GatewayEntry
from discord_interactions import Ack, Interaction, Interactions
from discord_limits import Faults
from discord_rest import API, Rest
from discord_routes import Request
from discord_state import (
    DEFAULT_PERMISSIONS,
    PUBLIC_THREAD,
    BotAccount,
    Channel,
    Guild,
    Message,
    Permission,
    User,
)
from discord_world import Changes, Ping, Typing, World

T = TypeVar("T")
HOST = "127.0.0.1"


class Listener:
    """A web application on a loopback port that it comes back to after each outage."""

    def __init__(self, app: web.Application) -> None:
        self.port = 0
        self._app = app
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    async def start(self) -> None:
        """Listen, if it does not yet."""
        if self._runner is None:
            self._runner = web.AppRunner(self._app, shutdown_timeout=1)
            await self._runner.setup()
        if self._site is None:
            self._site = web.TCPSite(self._runner, HOST, self.port)
            await self._site.start()
            self.port = self._runner.addresses[0][1]

    async def pause(self) -> None:
        """Refuse connections and cut those there are."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if self._runner is not None and self._runner.server is not None:
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    async def stop(self) -> None:
        """Stop for good."""
        await self.pause()
        if self._runner is not None:
            await self._runner.cleanup()


class DiscordServer:
    """The stand-in, as an async context manager.

    Args:
        clock: what rate limits and the life of interactions are measured by, in seconds.
        rate_limits: whether there are any.
        rate_limit: (requests, seconds) per channel, for create, edit and delete of messages together.
        global_limit: (requests, seconds) per bot.
        interaction_ttl_s: how long an interaction may go without an acknowledgement.
        token_ttl_s: how long its token is good.
        heartbeat_interval_s: what the gateway asks for.
        tolerated_429s: genuine 429s per bot beyond which each is a violation.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        rate_limits: bool = True,
        rate_limit: tuple[int, float] = (5, 5.0),
        global_limit: tuple[int, float] = (50, 1.0),
        interaction_ttl_s: float = 3.0,
        token_ttl_s: float = 900.0,
        heartbeat_interval_s: float = 41.25,
        tolerated_429s: int = 20,
    ) -> None:
        self._changes = Changes()
        self.world = World(self._changes, clock)
        self.gateway = Gateway(self.world, self._changes, heartbeat_interval_s=heartbeat_interval_s)
        self.interactions = Interactions(self.world, self._changes, ttl_s=interaction_ttl_s, token_ttl_s=token_ttl_s)
        self.rest = Rest(
            self.world,
            self.interactions,
            self._changes,
            rate_limit=rate_limit if rate_limits else None,
            global_limit=global_limit if rate_limits else None,
            tolerated_429s=tolerated_429s,
        )
        self._rest_listener, self._gateway_listener = Listener(self.rest.app()), Listener(self.gateway.app())

    async def __aenter__(self) -> Self:
        await self.start_rest()
        await self.start_gateway()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.gateway.abort_all()
        await self._gateway_listener.stop()
        await self._rest_listener.stop()

    @property
    def api_url(self) -> str:
        """What `discord.http.Route.BASE` is to be."""
        return f"http://{HOST}:{self._rest_listener.port}{API}"

    @property
    def gateway_url(self) -> str:
        """What `DiscordWebSocket.DEFAULT_GATEWAY` is to be, and what /gateway/bot and READY say."""
        return f"ws://{HOST}:{self._gateway_listener.port}/"

    async def start_rest(self) -> None:
        """Begin, or end an outage of the REST interface."""
        await self._rest_listener.start()
        self.world.files_url = f"http://{HOST}:{self._rest_listener.port}/attachments"

    async def stop_rest(self) -> None:
        """Begin an outage: connections are refused, on the port that it comes back to."""
        await self._rest_listener.pause()

    async def start_gateway(self) -> None:
        """Begin, or end an outage of the gateway. Its sessions can be resumed."""
        await self._gateway_listener.start()
        self.gateway.url = self.rest.routes.gateway_url = self.gateway_url

    async def stop_gateway(self) -> None:
        """Begin an outage of the gateway: connections are cut and refused."""
        self.gateway.abort_all()
        await self._gateway_listener.pause()

    async def until(self, condition: Callable[[], T], timeout_s: float = 10.0) -> T:
        """Wait until `condition` is true, and return its value.

        Raises:
            AssertionError: it did not become true in time; the message says what happened last.
        """
        try:
            return await self._changes.until(condition, timeout_s)
        except TimeoutError:
            requests = [f"{each.method} {each.route} {each.status} {each.body}" for each in self.requests[-8:]]
            entries = [f"{each.what} {each.code or ''}" for each in self.gateway.log[-8:]]
            story = "\n".join(["the last requests:", *requests, "at the gateway:", *entries])
            raise AssertionError(f"not true within {timeout_s} s; {story}") from None

    # The records.

    @property
    def faults(self) -> Faults:
        """What is to go wrong with requests; `discord_limits` has the faults."""
        return self.rest.faults

    @property
    def requests(self) -> list[Request]:
        """Every REST request, in order."""
        return self.rest.requests

    @property
    def violations(self) -> list[str]:
        """What a well-behaved client must not do."""
        return self.rest.violations

    @property
    def acks(self) -> list[Ack]:
        """The acknowledgements of interactions, in order."""
        return self.interactions.acks

    @property
    def unacknowledged(self) -> list[Interaction]:
        """The interactions that no bot acknowledged in time."""
        return self.interactions.unacknowledged()

    @property
    def pings(self) -> list[Ping]:
        """The messages of bots that notified someone."""
        return self.world.pings

    @property
    def deleted(self) -> list[Message]:
        """The messages that are gone, in the order in which they went."""
        return self.world.deleted

    @property
    def gateway_log(self) -> list[GatewayEntry]:
        """What bots did at the gateway."""
        return self.gateway.log

    def messages(self, channel: Channel, author: User | None = None) -> list[Message]:
        """The messages of a channel, ephemeral ones too, in order; those of one author if given."""
        return [each for each in channel.messages.values() if author in (None, each.author)]

    def typings(self, channel: Channel) -> list[Typing]:
        """When bots showed that they type in a channel."""
        return [each for each in self.world.typings if each.channel is channel]

    def is_connected(self, bot: BotAccount) -> bool:
        """Whether the bot gets events now."""
        return self.gateway.is_connected(bot)

    # What there is.

    def add_bot(self, token: str, name: str, **granted: Any) -> BotAccount:
        """A bot; `granted` are fields of `BotAccount` such as `has_message_content=True`."""
        return self.world.add_bot(token, name, **granted)

    def revoke(self, bot: BotAccount) -> None:
        """Reset a bot's token, so that neither REST nor the gateway takes it any more."""
        bot.is_revoked = True
        self.gateway.close(4004, bot)

    def add_user(self, name: str) -> User:
        """A person."""
        return self.world.add_user(name)

    def add_guild(self, name: str = "guild", members: Iterable[User] = ()) -> Guild:
        """A guild of bots and people, who have the usual permissions."""
        return self.world.add_guild(name, members)

    def add_member(self, guild: Guild, user: User, permissions: Permission = DEFAULT_PERMISSIONS) -> None:
        """Let a user or bot in, or change what it may do."""
        self.world.add_member(guild, user, permissions)

    def add_channel(self, guild: Guild, name: str = "general", denied: dict[User, Permission] | None = None) -> Channel:
        """A text channel; `denied` takes permissions from users in it."""
        return self.world.add_channel(guild, name, denied or {})

    def deny(self, channel: Channel, user: User, permissions: Permission) -> None:
        """Take permissions (all that are taken at all) from a user in a channel."""
        channel.denied[user.id] = permissions
        self.world.update_channel(channel)

    def add_thread(
        self, channel: Channel, name: str = "thread", owner: User | None = None, starter: Message | None = None
    ) -> Channel:
        """A public thread."""
        return self.world.add_thread(channel, name, owner or self.world.owner, starter, PUBLIC_THREAD)

    def open_dm(self, user: User, bot: BotAccount) -> Channel:
        """The direct conversation of a person with a bot."""
        return self.world.open_dm(user, bot)

    # What people do.

    def say(
        self,
        user: User,
        channel: Channel,
        text: str = "",
        *,
        reply_to: Message | None = None,
        ping: bool = True,
        mentions: Iterable[User] = (),
        attachments: Iterable[tuple[str, str, bytes]] = (),
    ) -> Message:
        """Post a message.

        Args:
            user: who says it.
            channel: where.
            text: what; `user.mention` within it mentions a user.
            reply_to: the message that this answers, whose author is notified with `ping`.
            ping: whether the author of the message replied to is mentioned by that.
            mentions: users to mention at the beginning of the text.
            attachments: (filename, content type, data) of each file.
        """
        content = " ".join([*(mentioned.mention for mentioned in mentions), text]).strip()
        allowed = {"parse": ["users", "roles", "everyone"], "replied_user": ping}
        files = [self.world.add_file(channel, *attachment) for attachment in attachments]
        body = {"content": content, "allowed_mentions": allowed}
        return self.world.post(channel, user, body, files=files, reply_to=reply_to)

    def edit(self, message: Message, text: str) -> None:
        """Change what a person said."""
        self.world.edit(message, {"content": text})

    def delete(self, message: Message) -> None:
        """Delete a message, a bot's too."""
        self.world.delete(message)

    def bulk_delete(self, *messages: Message) -> None:
        """Delete messages of one channel in one go, as moderation tools do."""
        self.world.delete(*messages, is_bulk=True)

    def react(self, user: User, message: Message, emoji: str) -> None:
        """Put a reaction below a message."""
        self.world.react(user, message, emoji)

    def unreact(self, user: User, message: Message, emoji: str) -> None:
        """Take a reaction away again."""
        self.world.unreact(user, message, emoji)

    def press(self, user: User, message: Message, custom_id: str, values: Iterable[str] | None = None) -> Interaction:
        """Press a button, or choose from a menu."""
        return self.interactions.press(user, message, custom_id, values)

    def invoke(
        self, user: User, channel: Channel, bot: BotAccount, command: str, options: dict[str, Any] | None = None
    ) -> Interaction:
        """Use a slash command that the bot has registered; "group command" for one within a group.

        The value of an option for a user or channel is the `User` or `Channel`, that of one for a file is
        (filename, content type, data).
        """
        return self.interactions.invoke(user, channel, bot, command, options or {}, focused=None)

    def invoke_on(self, user: User, message: Message, bot: BotAccount, command: str) -> Interaction:
        """Use a command of a message's context menu."""
        return self.interactions.invoke_on(user, message, bot, command)

    async def autocomplete(
        self,
        user: User,
        channel: Channel,
        bot: BotAccount,
        command: str,
        options: dict[str, Any],
        focused: str,
        timeout_s: float = 10.0,
    ) -> list[dict[str, Any]]:
        """The choices that the bot offers for the option `focused`, of which `options` has the text so far."""
        interaction = self.interactions.invoke(user, channel, bot, command, options, focused=focused)
        await self.until(lambda: interaction.choices is not None, timeout_s)
        assert interaction.choices is not None
        return interaction.choices

    def submit(self, interaction: Interaction, values: dict[str, Any]) -> Interaction:
        """Fill in and send the form that the bot answered an interaction with."""
        return self.interactions.submit(interaction, values)

    # Faults of the gateway; those that name no bot concern all.

    def drop_connection(self, bot: BotAccount | None = None) -> None:
        """Cut the connection without a close frame."""
        self.gateway.drop_connection(bot)

    def close(self, code: int, bot: BotAccount | None = None) -> None:
        """Close the connection with a code such as 4000, 4004 or 4014."""
        self.gateway.close(code, bot)

    def send_reconnect(self, bot: BotAccount | None = None) -> None:
        """Ask the bot to reconnect (op 7)."""
        self.gateway.send_reconnect(bot)

    def invalidate(self, bot: BotAccount | None = None, *, resumable: bool) -> None:
        """Say that the session is invalid (op 9)."""
        self.gateway.invalidate(bot, resumable=resumable)

    def forget_sessions(self, bot: BotAccount | None = None) -> None:
        """Refuse the next RESUME, as after a long absence."""
        self.gateway.forget_sessions(bot)

    def stop_acking(self) -> None:
        """Answer no heartbeats from now on."""
        self.gateway.stop_acking()

    def resume_acking(self) -> None:
        """Answer heartbeats again."""
        self.gateway.resume_acking()

    def send_garbage(self, text: str = "{", bot: BotAccount | None = None) -> None:
        """Send something that is no event."""
        self.gateway.send_garbage(text, bot)

    def duplicate(self, message: Message) -> None:
        """Send MESSAGE_CREATE for a message once more."""
        self.world.announce(message)
