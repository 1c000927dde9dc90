"""What people say and do and where, in the same shape for every platform.

Knows nothing of how an event arrives or what is answered.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
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

    @property
    def parent(self) -> "ChatRef":
        """The chat that the thread is in; itself if it is no thread."""
        return replace(self, thread=None)


@dataclass(frozen=True)
class User:
    """Who spoke. `name` is for people to read: it may change, and anyone may choose any name.

    Attributes:
        is_person: False for a group or channel in whose name people speak; nobody can tell which of them.
    """

    platform: str
    id: str
    name: str
    is_bot: bool = False
    is_person: bool = True


class Addressed(StrEnum):
    """Why a message counts as said to the bot."""

    DIRECT = "direct"
    MENTION = "mention"
    REPLY = "reply"
    COMMAND = "command"
    THREAD = "thread"
    KEYWORD = "keyword"
    EVERY = "every"


@dataclass(frozen=True)
class Text:
    """Plain words, as typed; Markdown is not interpreted."""

    text: str


@dataclass(frozen=True)
class Mention:
    """Someone called by name in the middle of a message. The bot's own account is never one."""

    user_id: str
    name: str


@dataclass(frozen=True)
class Attachment:
    """A file that came with a message.

    Attributes:
        media_type: As the platform has it, for instance `image/png`; empty if it does not say.
        locator: What the adapter needs to fetch it; means nothing to anyone else.
        text: What it says, once it was read.
    """

    name: str
    media_type: str
    size_bytes: int
    locator: str = ""
    text: str | None = None


Segment = Text | Mention | Attachment


def plain_text(segments: Iterable[Segment]) -> str:
    """What the segments say in words, with people's names and without attachments."""
    return "".join(_in_words(segment) for segment in segments)


def _in_words(segment: Segment) -> str:
    match segment:
        case Text(text):
            return text
        case Mention():
            return f"@{segment.name}"
        case Attachment():
            return ""


@dataclass(frozen=True)
class Quote:
    """The message that another one answers, as far as the platform shows it.

    Attributes:
        author: None if the bot's own account wrote it.
        segments: Empty if the platform does not show what it says.
    """

    id: MessageId
    author: User | None
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class Message:
    """One message as a person sent it.

    Attributes:
        id: Unique within its chat.
        segments: What it says, without a mention of the bot that only calls it. A command comes as it is
            typed, `/name argument`, on every platform.
        time: When it was sent, with a time zone.
        quote: The message that this one answers.
        addressed: Why it was said to the bot, as far as the platform tells; chat settings may add to it.
        is_private: Whether nobody but the author and the bot is in the chat.
        is_forwarded: Whether any of it is somebody else's words, passed on.
    """

    id: MessageId
    chat: ChatRef
    author: User
    segments: tuple[Segment, ...]
    time: datetime
    quote: Quote | None = None
    addressed: frozenset[Addressed] = frozenset()
    is_private: bool = False
    is_forwarded: bool = False

    @property
    def text(self) -> str:
        """In words; may hold line breaks."""
        return plain_text(self.segments)


@dataclass(frozen=True)
class MessageEdited:
    """A person changed what a message says."""

    chat: ChatRef
    id: MessageId
    segments: tuple[Segment, ...]
    time: datetime


@dataclass(frozen=True)
class MessagesDeleted:
    """Messages were taken back, by their author or by a moderator."""

    chat: ChatRef
    ids: tuple[MessageId, ...]
    time: datetime


@dataclass(frozen=True)
class Button:
    """What can stand below a message of the bot.

    Attributes:
        name: What travels to the platform and comes back with a press: at most 56 printable ASCII characters.
        label: What people see on it.
    """

    name: str
    label: str


@dataclass(frozen=True)
class ButtonPressed:
    """A person pressed a button below a message of the bot, and wants to know what comes of it.

    Attributes:
        id: The message.
        button: The button's name.
        press_id: What `Adapter.tell` finds the press by.
    """

    chat: ChatRef
    id: MessageId
    button: str
    user: User
    time: datetime
    press_id: str = ""


@dataclass(frozen=True)
class Reacted:
    """A person's reactions to a message of the bot changed.

    Attributes:
        score: 1 for a thumb up or the like, -1 for a thumb down, 0 for neither any more.
    """

    chat: ChatRef
    id: MessageId
    user: User
    score: int
    time: datetime


@dataclass(frozen=True)
class ChatMoved:
    """The platform gave a chat another id (Telegram: a group became a supergroup)."""

    old: ChatRef
    new: ChatRef


Event = Message | MessageEdited | MessagesDeleted | ButtonPressed | Reacted | ChatMoved
