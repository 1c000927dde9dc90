"""Slash commands as Discord has them, and as it should.

Asking is cheap and setting them limited to a few times a day, so they are set only if they differ.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence

import discord

from bots.commands import Command
from bots.discord.calls import Calls
from bots.discord.slash import MAX_COMMANDS, Payload, differences, payloads
from bots.errors import AdapterClosedError, BotError

logger = logging.getLogger(__name__)


async def outdated(client: discord.Client, calls: Calls, commands: Iterable[Command]) -> list[str]:
    """Names of the commands that differ from what Discord shows."""
    return await _outdated(client, calls, payloads(commands))


async def _outdated(client: discord.Client, calls: Calls, wanted: Sequence[Payload]) -> list[str]:
    application_id = client.application_id
    assert application_id is not None  # known from logging in
    return differences(wanted, await calls.make(lambda: client.http.get_global_commands(application_id)))


class Registration:
    """What Discord is to show of our commands, and no others. What was asked for last is what it shows in the end."""

    def __init__(self, client: discord.Client, calls: Calls) -> None:
        self._client, self._calls = client, calls
        self._changing = asyncio.Lock()
        self._wanted: list[Payload] = []
        self._shown: list[Payload] | None = None

    async def show(self, commands: Iterable[Command]) -> None:
        """See that Discord shows those that are listed; the bot can do without, so this never fails."""
        listed = [command for command in commands if command.is_listed]
        if len(listed) > MAX_COMMANDS:
            unseen = ", ".join(command.name for command in listed[MAX_COMMANDS:])
            logger.warning("Discord shows %d slash commands; it does not show: %s", MAX_COMMANDS, unseen)
        self._wanted = payloads(listed)
        try:
            async with self._changing:
                # By now something newer may be wanted; whoever waited with that has less to do then.
                await self._set(self._wanted)
        except AdapterClosedError:
            logger.debug("the slash commands are left as they are: the connection was closed")
        except BotError as exc:
            logger.warning("the slash commands are not up to date: %s", exc)

    async def _set(self, wanted: list[Payload]) -> None:
        if wanted == self._shown:
            return
        changed = await _outdated(self._client, self._calls, wanted)
        if changed:
            application_id = self._client.application_id
            assert application_id is not None
            await self._calls.make(lambda: self._client.http.bulk_upsert_global_commands(application_id, wanted))
            logger.info("slash commands were registered: %s", ", ".join(changed))
        self._shown = wanted
