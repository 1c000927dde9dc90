"""The Discord bots that the settings name.

Knows nothing of what is done with them.
"""

from functools import partial

from bots.accounts import Account
from bots.discord.adapter import DiscordAdapter
from bots.discord.check import check
from bots.discord.settings import DiscordSettings
from engine.settings import load_settings


def find_accounts() -> list[Account]:
    """Those of the environment and `.env`; none if there is no token.

    Raises:
        SettingsError: A setting is not good.
    """
    return accounts_of(load_settings(DiscordSettings))


def accounts_of(settings: DiscordSettings) -> list[Account]:
    """One per token."""
    return [
        Account(
            "discord" if len(settings.tokens) == 1 else f"discord {number}",
            partial(DiscordAdapter, token, api_url=settings.api_url, has_message_content=settings.message_content),
            partial(check, token, settings),
        )
        for number, token in enumerate(settings.tokens, start=1)
    ]
