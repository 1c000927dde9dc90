"""An adapter on the Discord stand-in, together with the person on the other side of it."""

from typing import Any, Self

from discord_server import DiscordServer
from discord_state import Message
from sample_commands import COMMANDS

import bots.discord  # noqa: F401  # before discord.py itself, which warns when it is imported
from bots import ChatRef
from bots.console.printable import printable
from bots.discord import DiscordAdapter

TOKEN = "token"


class DiscordStage:
    """One bot, one person, their direct conversation, and a guild with one channel.

    The shape that the contract suite wants, as an async context manager: the server lives as long as it. Discord
    has no end of input: `can_end` is False.
    """

    can_end, takes_files = False, True

    def __init__(self, *, granted: dict[str, Any] | None = None, **server_options: Any) -> None:
        """`granted` are fields of the bot's account, the rest is how the server differs."""
        self.server = DiscordServer(**({"rate_limits": False} | server_options))
        self._granted = granted or {}

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        self.bot = self.server.add_bot(TOKEN, "mynah", **self._granted)
        self.ann = self.server.add_user("ann")
        self.guild = self.server.add_guild(members=[self.bot, self.ann])
        self.channel = self.server.add_channel(self.guild)
        self.dm = self.server.open_dm(self.ann, self.bot)
        self.chat, self.room = self.chat_of(self.dm), self.chat_of(self.channel)
        self.adapter = self.new_adapter()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.server.__aexit__(*exc_info)

    def chat_of(self, channel) -> ChatRef:
        return ChatRef("discord", str(self.bot.id), str(channel.id))

    def new_adapter(self, **options: Any) -> DiscordAdapter:
        usual = {"token": TOKEN, "api_url": self.server.api_url, "commands": COMMANDS}
        return DiscordAdapter(**(usual | options))

    def say(self, text: str) -> None:
        """Write to the bot in private. Discord's own client sends nothing that is blank."""
        if text.strip():
            self.server.say(self.ann, self.dm, text)

    def seen(self) -> str:
        """What the person sees of the bot, on a harmless display."""
        return "\n".join(printable(message.content) for message in self.posts())

    def posts(self, channel=None) -> list[Message]:
        """The bot's messages in a channel, by default the direct conversation."""
        return self.server.messages(channel or self.dm, self.bot)

    @property
    def others(self) -> ChatRef:
        """A chat in which not only the person sees what the bot says."""
        return self.room

    def handed(self) -> list[tuple[str, bytes]]:
        """The files that the person got in private."""
        return [(file.filename, file.data) for message in self.posts() for file in message.attachments]

    def is_silent_to_others(self) -> bool:
        """Whether the bot has said nothing that all see."""
        return not self.posts(self.channel)

    def say_to_all(self, text: str, **options: Any) -> Message:
        """Write in the guild's channel, and call the bot."""
        return self.server.say(self.ann, self.channel, text, mentions=[self.bot], **options)
