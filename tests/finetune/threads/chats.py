"""Small invented chats."""

from engine.speakers import Called, Piece
from finetune.message import SourceMessage

MINUTE_MS = 60_000


def said(author: str, *pieces: Piece, name: str | None = None) -> SourceMessage:
    """A message; its id and time are set by `chat`."""
    return SourceMessage("", "irc", "room", author, pieces, name=author if name is None else name)


def chat(*messages: tuple[float, SourceMessage], timed: bool = True) -> list[SourceMessage]:
    """Messages with the minutes at which they were said."""
    return [
        SourceMessage(
            f"m{number}",
            message.platform,
            message.chat,
            message.author,
            message.pieces,
            name=message.name,
            sent_at_ms=int(minute * MINUTE_MS) + 1_600_000_000_000 if timed else None,
            reply_to=message.reply_to,
        )
        for number, (minute, message) in enumerate(messages)
    ]


def to(author: str) -> Called:
    return Called(author)
