"""Everything about Discord that an operator can set.

Knows nothing of what the settings do. Read once, at the entry point, with `engine.settings.load_settings`.
"""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bots.settings import tokens_in

API_PATH = "/api/v10"


class DiscordSettings(BaseSettings):
    """Settings of the Discord bots, from `DISCORD_*` in the environment or in `.env`."""

    model_config = SettingsConfigDict(env_prefix="DISCORD_", frozen=True, extra="ignore")

    token: SecretStr = Field(
        default=SecretStr(""),
        description="What the developer portal shows under Bot > Reset Token; several bots separated by commas. "
        "Empty: no Discord.",
    )
    api_url: str = Field(
        default=f"https://discord.com{API_PATH}",
        pattern=r"^https?://[^\s?#]+$",
        description=f"The REST interface; a compatible server of one's own is possible. Without a path, {API_PATH} "
        "is added. The gateway is the one that it names.",
    )
    message_content: bool = Field(
        default=False,
        description="Whether the bot reads messages that do not call it, for keyword and every-message triggers. "
        "Privileged: switch on Message Content Intent in the developer portal first. Bots that more than 10 000 people "
        "can see need Discord's approval for it, every year anew.",
    )

    @field_validator("api_url")
    @classmethod
    def _with_path(cls, url: str) -> str:
        url = url.rstrip("/")
        return url if urlsplit(url).path else url + API_PATH

    @property
    def tokens(self) -> tuple[str, ...]:
        """One per bot."""
        return tokens_in(self.token)
