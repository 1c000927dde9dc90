"""Who may change what the bot does in a chat: whoever may delete messages there or manage the server.

Knows nothing of what is changed.
"""

import logging

import discord

from bots.bounded import remember
from bots.budget import Clock
from bots.discord.calls import Calls
from bots.errors import BotError

logger = logging.getLogger(__name__)

REMEMBERED_S = 60.0
"""How long a person whose rights were taken away may go on."""


def has_rights(permissions: discord.Permissions) -> bool:
    """Whether these are a moderator's."""
    return permissions.manage_messages or permissions.manage_guild or permissions.administrator


class Moderators:
    """What is known of people's rights, and how to find out the rest."""

    def __init__(self, client: discord.Client, calls: Calls, clock: Clock) -> None:
        self._client, self._calls, self._clock = client, calls, clock
        self._known: dict[tuple[int, int], tuple[float, bool]] = {}

    def note(self, channel_id: int, user_id: int, permissions: discord.Permissions) -> None:
        """Take note of what Discord says of a person's rights in a channel or thread."""
        self._remember(channel_id, user_id, is_moderator=has_rights(permissions))

    def _remember(self, channel_id: int, user_id: int, *, is_moderator: bool) -> bool:
        remember(self._known, (channel_id, user_id), (self._clock() + REMEMBERED_S, is_moderator))
        return is_moderator

    async def is_one(self, channel_id: int, user_id: int) -> bool:
        """Whether a person is a moderator of a channel or thread. Where that can't be found out, nobody is."""
        until_s, is_moderator = self._known.get((channel_id, user_id), (0.0, False))
        if self._clock() < until_s:
            return is_moderator
        try:
            is_moderator = await self._ask(channel_id, user_id)
        except BotError as exc:
            logger.warning("whether %d is a moderator of %d is not known: %s", user_id, channel_id, exc)
            return False
        return self._remember(channel_id, user_id, is_moderator=is_moderator)

    async def _ask(self, channel_id: int, user_id: int) -> bool:
        channel = self._client.get_channel(channel_id)
        if channel is None:
            channel = await self._calls.make(lambda: self._client.fetch_channel(channel_id))
        if isinstance(channel, discord.abc.PrivateChannel):
            return True
        guild = channel.guild
        member = await self._calls.make(lambda: guild.fetch_member(user_id))
        try:
            return has_rights(channel.permissions_for(member))
        except discord.ClientException:  # of a thread whose channel is not known
            return has_rights(member.guild_permissions)
