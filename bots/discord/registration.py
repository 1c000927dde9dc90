"""Slash commands as Discord has them, and as it should.

Asking is cheap and setting them limited to a few times a day, so they are set only if they differ.
"""

from collections.abc import Iterable

import discord

from bots.commands import Command
from bots.discord.calls import Calls
from bots.discord.slash import differences, payloads


async def outdated(client: discord.Client, calls: Calls, commands: Iterable[Command]) -> list[str]:
    """Names of the commands that differ from what Discord shows."""
    application_id = client.application_id
    assert application_id is not None  # known from logging in
    registered = await calls.make(lambda: client.http.get_global_commands(application_id))
    return differences(payloads(commands), registered)


async def register(client: discord.Client, calls: Calls, commands: Iterable[Command]) -> list[str]:
    """See that Discord shows `commands` and no others; returns the names of those that differed."""
    commands = tuple(commands)
    changed = await outdated(client, calls, commands)
    if changed:
        application_id = client.application_id
        assert application_id is not None
        await calls.make(lambda: client.http.bulk_upsert_global_commands(application_id, payloads(commands)))
    return changed
