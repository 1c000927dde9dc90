"""Mynah on IRC: `PLATFORM` is what the entry point of the group `mynah.platforms` names."""

from mynah_irc.accounts import PLATFORM
from mynah_irc.adapter import IrcAdapter
from mynah_irc.connection import Login
from mynah_irc.settings import IrcSettings

__all__ = ["PLATFORM", "IrcAdapter", "IrcSettings", "Login"]
