"""The Discord bots that the settings name.

Knows nothing of what is done with them.
"""

from collections.abc import Mapping

from bots.accounts import Account, Platform
from bots.commands import Command
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
        _account("discord" if len(settings.tokens) == 1 else f"discord {number}", token, settings)
        for number, token in enumerate(settings.tokens, start=1)
    ]


def _account(name: str, token: str, settings: DiscordSettings) -> Account:
    def new_adapter(commands: Mapping[str, Command]) -> DiscordAdapter:
        return DiscordAdapter(
            token, api_url=settings.api_url, has_message_content=settings.message_content, commands=commands
        )

    return Account(name, new_adapter, lambda commands: check(token, settings, commands))


PLATFORM = Platform("discord", "DISCORD_TOKEN", find_accounts)
