"""What people say and where they say it, in the same shape for every platform.

Knows nothing of how a message arrives or what is answered.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType
from urllib.parse import quote

MessageId = NewType("MessageId", str)


@dataclass(frozen=True)
class ChatRef:
    """One place to talk in: what memory, order and limits are kept by, never the person alone.

    Attributes:
        platform: For instance `console`.
        account: The bot's own account there: two accounts in one room hold two conversations.
        thread: The thread or topic inside the chat, if the message was in one.
    """

    platform: str
    account: str
    chat: str
    thread: str | None = None

    @property
    def key(self) -> str:
        """The same reference as one string, for logs, tables and the engine.

        Parts are percent-encoded, so that no two references share a key whatever their ids hold.
        """
        parts = [self.platform, self.account, self.chat]
        if self.thread is not None:
            parts.append(self.thread)
        return "/".join(quote(part, safe="") for part in parts)


@dataclass(frozen=True)
class User:
    """Who spoke. `name` is for people to read: it may change, and anyone may choose any name."""

    platform: str
    id: str
    name: str
    is_bot: bool = False


class Addressed(StrEnum):
    """Why a message counts as said to the bot."""

    DIRECT = "direct"
    MENTION = "mention"
    REPLY = "reply"


@dataclass(frozen=True)
class Message:
    """One message as a person sent it.

    Attributes:
        id: Unique within its chat.
        text: As plain text, whole; may hold line breaks.
        time: When it was sent, with a time zone.
        reply_to: The message that this one answers.
        addressed: Why it was said to the bot; empty if it was not, and then the bot keeps silent.
    """

    id: MessageId
    chat: ChatRef
    author: User
    text: str
    time: datetime
    reply_to: MessageId | None = None
    addressed: frozenset[Addressed] = frozenset()
