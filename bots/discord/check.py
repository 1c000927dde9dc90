"""What `--check` says of a Discord account.

Looks and changes nothing; the gateway is left alone, so that a bot that runs meanwhile goes on undisturbed.
"""

from collections.abc import AsyncIterator, Mapping

import discord

from bots.checks import Finding
from bots.commands import Command
from bots.discord.calls import Calls
from bots.discord.connection import Connection
from bots.discord.errors import NOT_GRANTED
from bots.discord.registration import outdated
from bots.discord.settings import DiscordSettings
from bots.errors import BotError


async def check(token: str, settings: DiscordSettings, commands: Mapping[str, Command]) -> list[Finding]:
    """Findings on one account: token, identity, intents, gateway and commands."""
    calls = Calls()
    connection = Connection(api_url=settings.api_url, has_message_content=settings.message_content)
    async with connection:
        try:
            await calls.make(lambda: connection.login(token))
        except BotError as exc:
            return [Finding("discord: token", is_ok=False, text=str(exc))]
        return [finding async for finding in _look(connection, calls, settings, commands)]


async def _look(
    connection: Connection, calls: Calls, settings: DiscordSettings, commands: Mapping[str, Command]
) -> AsyncIterator[Finding]:
    assert connection.user is not None
    yield Finding("discord: token", is_ok=True, text="Discord accepts it")
    yield Finding("discord: identity", is_ok=True, text=f"{connection.user} ({connection.user.id})")
    yield _intents(connection.application_flags, wants_content=settings.message_content)
    yield await _gateway(connection, calls)
    yield await _commands(connection, calls, commands)


def _intents(flags: discord.ApplicationFlags, *, wants_content: bool) -> Finding:
    is_granted = flags.gateway_message_content or flags.gateway_message_content_limited
    if not wants_content:
        text = "no privileged one is asked for: the bot reads what calls it"
        return Finding("discord: intents", is_ok=True, text=text)
    if is_granted:
        return Finding("discord: intents", is_ok=True, text="message content is granted")
    return Finding("discord: intents", is_ok=False, text="message content is not granted", hint=NOT_GRANTED)


async def _gateway(connection: Connection, calls: Calls) -> Finding:
    try:
        num_shards, url, limits = await calls.make(connection.http.get_bot_gateway)
    except BotError as exc:
        return Finding("discord: gateway", is_ok=False, text=str(exc))
    num_left = limits["remaining"]
    text = f"{url}, {num_shards} shards, {num_left} of {limits['total']} connections left today"
    hint = "" if num_left >= num_shards else f"Wait {limits['reset_after'] / 60_000:.0f} minutes."
    return Finding("discord: gateway", is_ok=num_left >= num_shards, text=text, hint=hint)


async def _commands(connection: Connection, calls: Calls, commands: Mapping[str, Command]) -> Finding:
    try:
        names = await outdated(connection, calls, commands.values())
    except BotError as exc:
        return Finding("discord: commands", is_ok=False, text=str(exc))
    text = f"registered at the next start: {', '.join(names)}" if names else "in sync"
    return Finding("discord: commands", is_ok=True, text=text)
