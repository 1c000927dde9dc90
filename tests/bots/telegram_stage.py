"""A Telegram bot in a private chat with one person, in the shape that the contract suite drives adapters in."""

from typing import Any, Self

from sample_commands import COMMANDS
from telegram_server import TelegramServer
from telegram_state import Message

from bots.console.printable import printable
from bots.message import ChatRef
from bots.telegram import TelegramAdapter

TOKEN = "101:stage-token"


class TelegramStage:
    """One bot, one person, their private chat, and a group with both.

    An async context manager: the server lives as long as it, and limits nothing unless told to.
    """

    can_end, takes_files = True, True

    def __init__(self, **server_options: Any) -> None:
        self.server = TelegramServer(**({"limits": None} | server_options))

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        self.bot = self.server.add_bot(TOKEN, "mynah_bot")
        self.ann = self.server.add_user("Ann", "ann")
        self.dm = self.server.private_chat(self.ann, self.bot)
        self.group = self.server.add_supergroup("Birds", self.ann, self.bot)
        self.chat, self.room = self.chat_of(self.dm), self.chat_of(self.group)
        self.adapter = self.new_adapter()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.server.__aexit__(*exc_info)

    def chat_of(self, chat: Any) -> ChatRef:
        return ChatRef("telegram", str(self.bot.id), str(chat.id))

    def new_adapter(self, **options: Any) -> TelegramAdapter:
        usual = {"token": TOKEN, "api_url": self.server.api_url, "commands": COMMANDS}
        return TelegramAdapter(**(usual | options))

    def say(self, text: str) -> None:
        """Write to the bot in private. Telegram's apps send nothing that is blank."""
        if text.strip():
            self.server.say(self.ann, self.dm, text)

    def end_input(self) -> None:
        """Revoke the token: nothing else ends the messages of a bot that runs."""
        del self.server.world.accounts[TOKEN]
        self.bot.poll += 1  # a poll that is held is refused
        self.server.world.post(self.group, self.ann)  # wakes it

    def seen(self) -> str:
        """What the person sees of the bot, on a harmless display: its messages, and the draft below them."""
        shown = [message.text for message in self.posts()]
        draft = self.server.shown_draft(self.dm)
        return "\n".join(printable(text) for text in ([*shown, draft.text] if draft else shown))

    def posts(self, chat: Any = None) -> list[Message]:
        """The bot's messages in a chat, by default the private one."""
        return self.server.messages(chat or self.dm, self.bot)

    @property
    def others(self) -> ChatRef:
        """A chat in which not only the person sees what the bot says."""
        return self.room

    def handed(self) -> list[tuple[str, bytes]]:
        """The files that the person got in private."""
        documents = [message.extra["document"] for message in self.posts() if "document" in message.extra]
        return [(each["file_name"], self.server.world.files[each["file_id"]].data) for each in documents]

    def is_silent_to_others(self) -> bool:
        """Whether the bot has said nothing that all see."""
        return not self.posts(self.group)

    def say_to_all(self, text: str) -> Message:
        """Write in the group, and call the bot."""
        return self.server.say(self.ann, self.group, f"@mynah_bot {text}")
