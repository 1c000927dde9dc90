"""What `--check` says about a Telegram bot. Looks only; changes nothing."""

from collections.abc import Mapping

from telegram import Bot, WebhookInfo
from telegram.error import InvalidToken, TelegramError

from bots.checks import Finding
from bots.commands import Command
from bots.errors import UnreachableError
from bots.telegram.connection import hidden_in_log, is_token, make_bot
from bots.telegram.errors import REFUSED_HINT, translated
from bots.telegram.menu import is_current, menu_of
from bots.telegram.settings import TelegramSettings

SUBJECT = "telegram"
NETWORK_HINT = "see that this machine reaches TELEGRAM_API_URL"


async def check(token: str, settings: TelegramSettings, commands: Mapping[str, Command]) -> list[Finding]:
    """Look at everything that Telegram tells about the bot of `token`, a line each."""
    if not is_token(token):
        return [Finding(f"{SUBJECT}: token", False, "it has not the form of a token", REFUSED_HINT)]
    findings: list[Finding] = []
    with hidden_in_log(token):
        bot = make_bot(token, settings.api_url)
        try:
            await bot.initialize()
            findings += _identity(bot)
            findings.append(_updates(bot, await bot.get_webhook_info(), settings))
            findings.append(_menu(await is_current(bot, menu_of(commands.values()))))
        except TelegramError as exc:
            findings.append(_failed(exc))
        finally:
            await bot.shutdown()
    return findings


def _identity(bot: Bot) -> list[Finding]:
    if bot.bot.can_read_all_group_messages:
        privacy, hint = "off: in groups the bot sees every message", ""
    else:
        privacy = "on: in groups the bot sees commands, replies to it and mentions, and all where it is administrator"
        hint = "for /trigger every or keywords, turn it off (@BotFather, /setprivacy) and add the bot to groups anew"
    return [
        Finding(f"{SUBJECT}: token", True, "accepted"),
        Finding(f"{SUBJECT}: identity", True, f"@{bot.username} ({bot.bot.full_name}, id {bot.id})"),
        Finding(f"{SUBJECT}: privacy mode", True, privacy, hint),
    ]


def _updates(bot: Bot, info: WebhookInfo, settings: TelegramSettings) -> Finding:
    """How updates come, against how they are to come. What differs is set right when the bot starts."""
    wanted = f"{settings.webhook_url.rstrip('/')}/{bot.id}" if settings.webhook_url else ""
    waiting = f"{info.pending_update_count} waiting"
    if info.url and info.url == wanted and info.last_error_message:
        text = f"webhook {info.url}, {waiting}; the last try failed: {info.last_error_message}"
        hint = "normal while the bot is not running; otherwise see that TELEGRAM_WEBHOOK_URL leads to it"
        return Finding(f"{SUBJECT}: updates", True, text, hint)
    now = f"webhook {info.url}" if info.url else "long polling"
    if info.url == wanted:
        return Finding(f"{SUBJECT}: updates", True, f"{now}, {waiting}")
    then = "a webhook" if wanted else "long polling"
    hint = f"the start sets {then}; if another program uses this bot, give this one a bot of its own"
    return Finding(f"{SUBJECT}: updates", True, f"{now} for now, {waiting}", hint)


def _menu(is_up_to_date: bool) -> Finding:
    text = "up to date" if is_up_to_date else "not up to date yet"
    return Finding(f"{SUBJECT}: commands", True, text, "" if is_up_to_date else "the start sets it")


def _failed(error: TelegramError) -> Finding:
    ours = translated(error)
    if isinstance(error, InvalidToken):
        return Finding(f"{SUBJECT}: token", False, "refused", REFUSED_HINT)
    hint = NETWORK_HINT if isinstance(ours, UnreachableError) else ""
    return Finding(f"{SUBJECT}: token", False, str(ours), hint)
