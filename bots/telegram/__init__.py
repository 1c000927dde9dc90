"""The bot on Telegram."""

from bots.telegram.accounts import accounts_of, find_accounts
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.check import check
from bots.telegram.settings import TelegramSettings
from bots.telegram.webhook import WebhookServer

__all__ = ["TelegramAdapter", "TelegramSettings", "WebhookServer", "accounts_of", "check", "find_accounts"]
