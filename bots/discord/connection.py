"""The connection to Discord: a discord.py client with what it needs to be a part of something larger.

Knows nothing of what events mean; they go to a `Listener`, in order.
"""

import logging
from collections.abc import Callable
from typing import Any, Protocol

import discord
from discord.gateway import DiscordWebSocket, ReconnectWebSocket
from discord.shard import Shard
from yarl import URL

from bots.discord.events import AnyInteraction
from bots.discord.refusals import raising_refusals
from bots.errors import UnreachableError

logger = logging.getLogger(__name__)

HEARTBEAT_TIMEOUT_S = 50.0
"""A link that says nothing for so long is dead. Discord wants a heartbeat each 41.25 s, and answers it; so less than
that would cut quiet links, and discord.py's own 60 s notice a dead one late."""
GUILDS_WITHIN_S = 0.5
"""How long no more guilds come until the connection counts as ready; messages are taken in all the time."""
SHARD_WITHIN_S = 30.0
MAX_RESUMES = 8
"""Tries to take up a session where that was, until a new one is begun elsewhere; they last some minutes, as long as
Discord keeps a session."""

_SKIPPABLE = frozenset(
    {
        "INTERACTION_CREATE",
        "MESSAGE_CREATE",
        "MESSAGE_DELETE",
        "MESSAGE_DELETE_BULK",
        "MESSAGE_REACTION_ADD",
        "MESSAGE_REACTION_REMOVE",
        "MESSAGE_UPDATE",
    }
)
"""Events on which nothing else depends. One that discord.py can't read would end the whole connection."""


class Listener(Protocol):
    """What happens on Discord. Plain functions are called in the order of the events."""

    def on_ready(self) -> None:
        """All shards are connected; comes again after a reconnect."""
        ...

    def on_message(self, message: discord.Message) -> None:
        """Somebody said something."""
        ...

    def on_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """A message has changed."""
        ...

    def on_deletion(self, guild_id: int | None, channel_id: int, ids: set[int]) -> None:
        """Messages are gone."""
        ...

    def on_reaction(self, event: discord.RawReactionActionEvent) -> None:
        """A reaction was put below a message, or taken away."""
        ...

    async def on_interaction(self, interaction: AnyInteraction) -> None:
        """A command was given, or is being typed; a button was pressed."""
        ...


def intents(*, has_message_content: bool) -> discord.Intents:
    """What the bot wants to hear of; only the content of messages that do not call it is privileged."""
    return discord.Intents(
        guilds=True,
        guild_messages=True,
        dm_messages=True,
        guild_reactions=True,
        dm_reactions=True,
        message_content=has_message_content,
    )


def _surviving(name: str, parse: Callable[[Any], None]) -> Callable[[Any], None]:
    def parse_or_skip(payload: Any) -> None:
        try:
            parse(payload)
        except Exception:
            logger.exception("Discord sent a %s that discord.py does not understand; it is skipped", name)

    return parse_or_skip


def _resume_after_outages(shard: Shard) -> None:
    """Have a shard that could not reconnect at once take up its session again, so that it gets what it missed.

    discord.py's shards begin a new one then, unlike its client without shards.
    """
    begin_anew = shard.reconnect
    failed: list[DiscordWebSocket] = []  # the connection to take up again, once per try

    async def resume_or_begin_anew() -> None:
        failed[:] = [each for each in failed if each is shard.ws] + [shard.ws]
        if shard.ws.session_id is not None and len(failed) <= MAX_RESUMES:
            await shard.reidentify(ReconnectWebSocket(shard.id, resume=True))
        else:
            await begin_anew()

    shard.reconnect = resume_or_begin_anew  # type: ignore[method-assign]  # there is no other way in


class Connection(discord.AutoShardedClient):
    """Reconnects by itself; `connect` ends when that can't help."""

    def __init__(
        self,
        *,
        api_url: str,
        has_message_content: bool,
        heartbeat_timeout_s: float = HEARTBEAT_TIMEOUT_S,
    ) -> None:
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # the bot is all text
        super().__init__(
            intents=intents(has_message_content=has_message_content),
            allowed_mentions=discord.AllowedMentions.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILDS_WITHIN_S,
            heartbeat_timeout=heartbeat_timeout_s,
            http_trace=raising_refusals(api_url),
            max_messages=None,
            max_ratelimit_timeout=30.0,
            member_cache_flags=discord.MemberCacheFlags.none(),
            shard_connect_timeout=SHARD_WITHIN_S,
        )
        self._listener: Listener | None = None
        self._tried: set[int] = set()
        parsers = self._connection.parsers
        parsers |= {name: _surviving(name, parsers[name]) for name in parsers.keys() & _SKIPPABLE}
        # The one place where discord.py takes it from, for all clients of the process.
        discord.http.Route.BASE = api_url

    def listen(self, listener: Listener) -> None:
        """Tell `listener` what happens; to be called before `connect`."""
        self._listener = listener

    @property
    def _to(self) -> Listener:
        assert self._listener is not None
        return self._listener

    async def launch_shard(self, gateway: URL, shard_id: int, *, initial: bool = False) -> None:
        """Connect a shard for the first time.

        discord.py tries that again and again, and reconnects to an address of its own instead of the server's.
        """
        if shard_id in self._tried:
            raise UnreachableError(f"no connection to {gateway}", may_be_done=False)
        self._tried.add(shard_id)
        DiscordWebSocket.DEFAULT_GATEWAY = gateway
        await super().launch_shard(gateway, shard_id, initial=initial)
        shard = self.get_shard(shard_id)
        assert shard is not None
        _resume_after_outages(shard._parent)

    def place(self, guild_id: int | None, channel_id: int) -> object:
        """The channel or thread, as far as it is known."""
        guild = self.get_guild(guild_id) if guild_id is not None else None
        return guild.get_channel_or_thread(channel_id) if guild is not None else None

    # discord.py starts these in order, and each runs until it waits for something.

    async def on_ready(self) -> None:  # noqa: D102
        self._to.on_ready()

    async def on_message(self, message: discord.Message) -> None:  # noqa: D102
        self._to.on_message(message)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:  # noqa: D102
        self._to.on_edit(event)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:  # noqa: D102
        self._to.on_deletion(event.guild_id, event.channel_id, {event.message_id})

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:  # noqa: D102
        self._to.on_deletion(event.guild_id, event.channel_id, event.message_ids)

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:  # noqa: D102
        self._to.on_reaction(event)

    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:  # noqa: D102
        self._to.on_reaction(event)

    async def on_interaction(self, interaction: AnyInteraction) -> None:  # noqa: D102
        await self._to.on_interaction(interaction)
