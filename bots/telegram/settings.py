"""Everything about Telegram that an operator can set.

Knows nothing of what the settings do. Read once, at the entry point, with `engine.settings.load_settings`.
"""

import re
import secrets

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from bots.settings import tokens_in
from engine.errors import SettingsError


class TelegramSettings(BaseSettings):
    """Settings of the Telegram bots, from `TELEGRAM_*` in the environment or in `.env`.

    What is secret is checked where it is used: a complaint about a field shows what stands in it.
    """

    model_config = SettingsConfigDict(env_prefix="TELEGRAM_", frozen=True, extra="ignore")

    token: SecretStr = Field(
        default=SecretStr(""),
        description="What @BotFather gave for /newbot; several bots separated by commas. Empty: no Telegram.",
    )
    api_url: str = Field(
        default="https://api.telegram.org",
        pattern=r"^https?://[^\s?#]+$",
        description="The Bot API; a server of one's own is possible (github.com/tdlib/telegram-bot-api).",
    )
    webhook_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Public address that Telegram posts updates to, with a path of each bot's id added. Empty: "
        "updates are fetched, which needs no address, no certificate and no open port, and is as fast.",
    )
    webhook_listen: str = Field(
        default="127.0.0.1:8443",
        pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$",
        description="Host and port where updates are taken in, if there is a webhook. Local by default: the "
        "reverse proxy that speaks HTTPS is on the same machine.",
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        description="What Telegram shows with each update, 1 to 256 of A-Z a-z 0-9 _ -. Empty: one is made at start.",
    )

    @property
    def tokens(self) -> tuple[str, ...]:
        """One per bot."""
        return tokens_in(self.token)

    def secret(self) -> str:
        """The webhook's secret, or a new one if none is set.

        Raises:
            SettingsError: Telegram would refuse it.
        """
        chosen = self.webhook_secret.get_secret_value() or secrets.token_urlsafe(32)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", chosen):
            raise SettingsError("TELEGRAM_WEBHOOK_SECRET may hold A-Z a-z 0-9 _ - only, and at most 256 of them")
        return chosen
