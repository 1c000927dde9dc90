"""The Telegram bots that the settings name.

Knows nothing of what is done with them.
"""

from collections.abc import Mapping

from bots.accounts import Account, Platform
from bots.commands import Command
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.check import check
from bots.telegram.settings import TelegramSettings
from bots.telegram.webhook import WebhookServer
from engine.settings import load_settings


def find_accounts() -> list[Account]:
    """Those of the environment and `.env`; none if there is no token.

    Raises:
        SettingsError: A setting is not good.
    """
    return accounts_of(load_settings(TelegramSettings))


def accounts_of(settings: TelegramSettings) -> list[Account]:
    """One per token. All share the server for webhooks, if there is one."""
    server = None
    if settings.webhook_url:
        server = WebhookServer(settings.webhook_url, settings.webhook_listen, settings.secret())
    return [
        _account("telegram" if len(settings.tokens) == 1 else f"telegram {number}", token, settings, server)
        for number, token in enumerate(settings.tokens, start=1)
    ]


def _account(name: str, token: str, settings: TelegramSettings, server: WebhookServer | None) -> Account:
    def new_adapter(commands: Mapping[str, Command]) -> TelegramAdapter:
        return TelegramAdapter(token, api_url=settings.api_url, webhook=server, commands=commands)

    return Account(name, new_adapter, lambda commands: check(token, settings, commands))


PLATFORM = Platform("telegram", "TELEGRAM_TOKEN", find_accounts)
