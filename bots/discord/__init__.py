"""The bot on Discord, by discord.py."""

import warnings

with warnings.catch_warnings():
    # discord.py loads it for voice, which we have no use for.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import discord  # noqa: F401

from bots.discord.adapter import DiscordAdapter
from bots.discord.check import check
from bots.discord.settings import DiscordSettings

__all__ = ["DiscordAdapter", "DiscordSettings", "check"]
