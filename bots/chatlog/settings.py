"""Where the chat log is kept, under which key, for how long; and what its operator answers for.

Knows nothing of what the settings do. Read once, at the entry point, with `engine.settings.load_settings`.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from bots.policy import Policy


class DatabaseSettings(BaseSettings):
    """Settings of the chat log, from `DATABASE_*` in the environment or in `.env`."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_", frozen=True, extra="ignore")

    url: str = Field(
        default="sqlite:///data/mynah.db",
        repr=False,  # it may hold a password
        description="Where conversations are kept: `sqlite:///FILE` (three slashes: relative to where the bot "
        "starts, four: absolute) or `postgresql://USER:PASSWORD@HOST/NAME`. One file serves hundreds of busy "
        "chats, and needs no server.",
    )
    key_file: Path = Field(
        default=Path("secrets/chatlog.keys"),
        description="The keys that message texts are encrypted with; made if it is missing. Not beside the database, "
        "so that a backup of the one does not open the other. Keep a copy: without it the texts are lost.",
    )
    retention_days: int = Field(
        default=30,
        ge=0,
        description="Days after which messages are removed for good; 0 keeps them for ever. The model's context "
        "holds far less than a month of talk, so longer than this only stores what people said.",
    )


class PolicySettings(BaseSettings):
    """What may be trained on, from `POLICY_*` in the environment or in `.env`; nothing people say, by default."""

    model_config = SettingsConfigDict(env_prefix="POLICY_", frozen=True, extra="ignore")

    discord_permission: str = Field(
        default="",
        description="A reference to Discord's written permission to train on messages, for instance the number of the "
        "case. Empty: nothing said on Discord is trained on, whoever agrees to it, as rule 21 of its Developer Policy "
        "demands.",
    )
    telegram_confirmed: bool = Field(
        default=False,
        description="Whether you have read Telegram's Content Licensing and Bot Developer Terms, and confirm to keep "
        "to them. False: nothing said on Telegram is trained on. Each person is asked in any case.",
    )
    other_platforms: str = Field(
        default="",
        description="Further platforms, separated by commas, whose terms you have read and found to allow training "
        "with consent. What is not listed is not trained on: nobody else can know those terms.",
    )
    training_retention_days: int = Field(
        default=365,
        ge=0,
        description="Days after which copies for training are removed for good; 0 keeps them for ever. Longer than "
        "conversations, as a model is trained on a year's talk rather than on a month's; people are told so when "
        "they agree.",
    )

    @property
    def policy(self) -> Policy:
        """What the gate goes by."""
        names = (name.strip() for name in self.other_platforms.split(","))
        return Policy(
            discord_permission=self.discord_permission.strip(),
            telegram_confirmed=self.telegram_confirmed,
            other_platforms=frozenset(name for name in names if name),
        )
