"""What Discord refuses, in the words of `bots.errors`.

Plain rules; knows nothing of what was asked for.
"""

from collections.abc import Callable, Mapping

import aiohttp
import discord
from discord import app_commands
from discord.oggparse import OggError
from discord.opus import OpusError, OpusNotLoaded

from bots.discord.refusals import SERVER_ERROR, TOO_MANY_REQUESTS, refusal
from bots.errors import (
    AccountError,
    BotError,
    ForbiddenError,
    MessageGoneError,
    MessageTooLongError,
    RateLimitedError,
    UnreachableError,
    UnsupportedError,
)

MAX_LENGTH = 2000
"""Characters of a message."""

REFUSED = (
    "Discord refuses the token. Make a new one in the developer portal (discord.com/developers/applications) under "
    "Bot > Reset Token, set DISCORD_TOKEN to it, and see that DISCORD_API_URL is right"
)
NOT_GRANTED = (
    "Discord does not let this bot read message content. Switch on Message Content Intent in the developer portal "
    "(discord.com/developers/applications) under Bot > Privileged Gateway Intents, or set DISCORD_MESSAGE_CONTENT=false"
)

UNKNOWN_MESSAGE, NO_HISTORY, ALREADY_ACKNOWLEDGED, FILE_TOO_LARGE = 10008, 160002, 40060, 40005
OVER = frozenset({10015, 10062, 50027})
"""An interaction that is over: unknown webhook, unknown interaction, invalid webhook token."""
_UNAUTHORIZED, _ENTITY_TOO_LARGE, _INVALID_FORM, _NOT_AUTHENTICATED = 401, 413, 50035, 4004

FOREIGN = (discord.DiscordException, aiohttp.ClientError, OSError)
"""All that discord.py raises on purpose; a timeout is an OSError."""


class InteractionOverError(BotError):
    """Nothing more can be said through the interaction; a message of the channel's own can."""


class NoHistoryError(ForbiddenError):
    """The bot may not point at earlier messages here."""


def translated(error: Exception) -> BotError | None:
    """The same in our words; None for what only a bug of ours can cause."""
    for kind in type(error).__mro__:
        if kind in TRANSLATIONS:
            return TRANSLATIONS[kind](error)
        if kind in OUR_BUGS:
            return None
    return None


def _refused(error: Exception) -> BotError:
    assert isinstance(error, discord.HTTPException)
    if error.status == TOO_MANY_REQUESTS or error.status >= SERVER_ERROR:
        return refusal(error.status, error.response.headers, error.text)
    if error.code in OVER:
        return InteractionOverError(error.text)
    if error.code in _BY_CODE:
        return _BY_CODE[error.code](f"Discord: {error.text}")
    if error.status == _ENTITY_TOO_LARGE:
        return UnsupportedError("the file is larger than Discord takes")
    if error.status == _UNAUTHORIZED:
        return AccountError(REFUSED)
    if error.code == _INVALID_FORM and "content" in error.text and "or fewer in length" in error.text:
        return MessageTooLongError(MAX_LENGTH + 1, MAX_LENGTH)
    return ForbiddenError(f"Discord: {error.text[:200] or error.status}")


_BY_CODE: Mapping[int, Callable[[str], BotError]] = {
    FILE_TOO_LARGE: UnsupportedError,
    NO_HISTORY: NoHistoryError,
    UNKNOWN_MESSAGE: MessageGoneError,
}


def _rate_limited(error: Exception) -> BotError:
    assert isinstance(error, discord.RateLimited)
    return RateLimitedError(error.retry_after)


def _closed(error: Exception) -> BotError:
    assert isinstance(error, discord.ConnectionClosed)
    if error.code == _NOT_AUTHENTICATED:
        return AccountError(REFUSED)
    return UnreachableError(f"the gateway closed the connection with code {error.code}")


def _silent(error: Exception) -> BotError:
    reason = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
    return UnreachableError(reason)


TRANSLATIONS: Mapping[type, Callable[[Exception], BotError]] = {
    aiohttp.ClientConnectorError: lambda error: UnreachableError(str(error), may_be_done=False),
    aiohttp.ClientError: _silent,
    OSError: _silent,
    app_commands.CommandSyncFailure: _refused,
    discord.ConnectionClosed: _closed,
    discord.DiscordServerError: _refused,
    discord.Forbidden: _refused,
    discord.GatewayNotFound: lambda _: UnreachableError("Discord names no gateway", may_be_done=False),
    discord.HTTPException: _refused,
    discord.InvalidData: _silent,
    discord.LoginFailure: lambda _: AccountError(REFUSED),
    discord.NotFound: _refused,
    discord.PrivilegedIntentsRequired: lambda _: AccountError(NOT_GRANTED),
    discord.RateLimited: _rate_limited,
}
"""By class; one that is not here counts as the nearest class above it that is."""

OUR_BUGS: frozenset[type] = frozenset(
    {
        app_commands.AppCommandError,
        app_commands.BotMissingPermissions,
        app_commands.CheckFailure,
        app_commands.CommandAlreadyRegistered,
        app_commands.CommandInvokeError,
        app_commands.CommandLimitReached,
        app_commands.CommandNotFound,
        app_commands.CommandOnCooldown,
        app_commands.CommandSignatureMismatch,
        app_commands.MissingAnyRole,
        app_commands.MissingPermissions,
        app_commands.MissingRole,
        app_commands.NoPrivateMessage,
        app_commands.TransformerError,
        app_commands.TranslationError,
        discord.ClientException,
        discord.InteractionResponded,
        discord.MissingApplicationID,
        discord.errors.FFmpegProcessError,
        OggError,
        OpusError,
        OpusNotLoaded,
    }
)
"""Wrong use of discord.py, or parts of it that we do not use."""
