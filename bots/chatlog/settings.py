"""Where the chat log is kept, under which key, and for how long.

Knows nothing of what the settings do. Read once, at the entry point, with `engine.settings.load_settings`.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
