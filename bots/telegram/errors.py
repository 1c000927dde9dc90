"""What Telegram refuses, in the words of `bots.errors`.

Plain rules; knows nothing of what was asked for. A Bot API error of kind 400 says what is wrong in its
description only, so that is what the table goes by.
"""

from collections.abc import Callable
from datetime import timedelta

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    NetworkError,
    PassportDecryptionError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from bots.errors import (
    AccountError,
    BotError,
    ForbiddenError,
    MessageGoneError,
    RateLimitedError,
    UnreachableError,
    UnsupportedError,
)
from bots.telegram.connection import FloodError, ServerError, TooLargeError

REFUSED_HINT = (  # about a token
    "Telegram refuses the token. Ask @BotFather for it with /token, set TELEGRAM_TOKEN to what it says, and see that "
    "TELEGRAM_API_URL is right"
)
CONFLICT_HINT = (
    "Another process fetches this bot's updates, or a webhook was set for it. End the other process; if there is "
    "none that you know of, the token has leaked: ask @BotFather for a new one with /revoke"
)


class NotModifiedError(BotError):
    """The message says that already."""


class EntitiesRefusedError(BotError):
    """The text would pass without its formatting."""


class TooLongError(BotError):
    """The text is over the limit, by Telegram's count."""


_REFUSALS: tuple[tuple[type[BotError], tuple[str, ...]], ...] = (
    (NotModifiedError, ("not modified",)),
    (
        MessageGoneError,
        (
            "message to edit not found",
            "message can't be edited",
            "message to delete not found",
            "message_id_invalid",
            "message identifier is not specified",
        ),
    ),
    (TooLongError, ("message is too long", "message_too_long", "text is too long")),
    (EntitiesRefusedError, ("entit", "text must be non-empty", "message text is empty", "message_empty")),
    (UnsupportedError, ("textdraft", "method is available only", "file is too big")),
    (
        ForbiddenError,
        (
            "chat not found",
            "rights",
            "message thread not found",
            "topic_closed",
            "topic_deleted",
            "can't be deleted",
            "chat_write_forbidden",
            "chat_restricted",
            "_forbidden",
            "peer_id_invalid",
            "user_is_blocked",
            "user not found",
            "deactivated",
            "group chat was upgraded",
            "bot was kicked",
            "not a member",
        ),
    ),
)


def translated(error: TelegramError) -> BotError:
    """The same in our words."""
    return next(TRANSLATIONS[kind](error) for kind in type(error).__mro__ if kind in TRANSLATIONS)


def _refused(error: TelegramError) -> BotError:
    said = error.message.lower()
    for kind, fragments in _REFUSALS:
        if any(fragment in said for fragment in fragments):
            return kind(f"Telegram: {error.message}")
    return BotError(f"Telegram refuses this: {error.message}")


def _unreachable(error: TelegramError) -> BotError:
    was_not_sent = isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return UnreachableError(error.message, may_be_done=not was_not_sent)


def _flood(error: TelegramError) -> BotError:
    assert isinstance(error, FloodError)
    return RateLimitedError(error.retry_after_s)


def _retry_after(error: TelegramError) -> BotError:
    assert isinstance(error, RetryAfter)
    wait: int | timedelta = error.retry_after
    return RateLimitedError(wait.total_seconds() if isinstance(wait, timedelta) else wait)


def _invalid_token(error: TelegramError) -> BotError:
    # 404 is what a malformed token gets, and a method that a server of one's own does not know yet.
    if "not found" in error.message.lower():
        return UnsupportedError(f"Telegram: {error.message}")
    return AccountError(REFUSED_HINT)


TRANSLATIONS: dict[type, Callable[[TelegramError], BotError]] = {
    BadRequest: _refused,
    ChatMigrated: lambda error: ForbiddenError(f"Telegram: {error.message}"),
    Conflict: lambda _: AccountError(CONFLICT_HINT),
    EndPointNotFound: lambda error: UnsupportedError(f"Telegram: {error.message}"),
    FloodError: _flood,
    Forbidden: lambda error: ForbiddenError(f"Telegram: {error.message}"),
    InvalidToken: _invalid_token,
    NetworkError: _unreachable,
    PassportDecryptionError: lambda error: BotError(f"Telegram: {error.message}"),
    RetryAfter: _retry_after,
    ServerError: _unreachable,
    TelegramError: _unreachable,
    TimedOut: _unreachable,
    TooLargeError: lambda error: UnsupportedError(error.message),
}
"""By class; one that is not here counts as the nearest class above it that is."""
