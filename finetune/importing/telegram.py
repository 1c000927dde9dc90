"""Messages out of Telegram Desktop's `result.json`: one chat, or an account with all its chats; forum topics too.

Format: core.telegram.org/import-export and Telegram Desktop's `export_output_json.cpp`. Times without a zone, which
only old exports have alone, are read in the zone of the options.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from engine.speakers import Called, Piece
from finetune.importing.documents import Where, elements, place
from finetune.importing.options import ImportOptions
from finetune.importing.problems import BadRowError, Problems, describe
from finetune.importing.reading import Consumed, chunks
from finetune.importing.rows import Row, as_row, is_word, optional_word, rows, string, word
from finetune.importing.times import from_iso, from_seconds
from finetune.message import Kind, SourceMessage

PLATFORM = "telegram"

# What an account's chats stand in: those that it is in, and those that it has left.
_ACCOUNT = ("chats", "left_chats")
# Messages whose topic is remembered, 20 MB. A reply to an older one keeps its link and loses only its topic.
_MAX_REMEMBERED = 1 << 16


def read(path: Path, options: ImportOptions, problems: Problems, consumed: Consumed) -> Iterator[SourceMessage]:
    """The messages of all chats of one export, in its order."""
    chat = _Chat((), options.chat_of(path))
    for where, value in elements(chunks(path, problems, consumed), _is_walked, problems):
        try:
            if (above := _chat_above(where)) is None:
                continue
            if above != chat.where:
                chat = _Chat(above, f"{options.chat_of(path)}/{place(above)}")
            if not _is_message(where):
                chat.describe(where[-1], value)
            elif message := _message(as_row(value), where, chat, options, problems):
                yield message
        except BadRowError as error:
            problems.note(place(where), error.expected, error.found)


def resembles(head: str) -> bool:
    """Whether a file that begins so may be such an export."""
    is_message = '"messages"' in head and '"from_id"' in head and '"date' in head
    return head.lstrip().startswith("{") and ('"chats"' in head or '"left_chats"' in head or is_message)


@dataclass(slots=True)
class _Chat:
    """What is known of the chat whose messages come just now, and which of them are in which topic."""

    where: Where
    name: str
    id: str | None = None
    type: str = ""
    topics: set[str] = field(default_factory=set)
    topic_of: OrderedDict[str, str] = field(default_factory=OrderedDict)
    authors: dict[str, str] = field(default_factory=dict)  # by the name that they have spoken under

    @property
    def key(self) -> str:
        """What it is called by: its id, or where that is missing its name."""
        return self.id or self.name

    def describe(self, name: str | int, value: Any) -> None:
        """Take in a field of the chat; they stand before the messages."""
        if name == "id" and is_word(value):
            self.id = str(value)
        elif name == "name" and isinstance(value, str) and value:
            self.name = value
        elif name == "type":
            self.type = str(value)

    def is_bot(self, author: str) -> bool:
        """Whether it is the bot of a chat with one, which has the bot's id; bots in groups look like people."""
        return self.type == "bot_chat" and author == f"user{self.id}"

    def topic(self, id: str, answered: str | None) -> str | None:
        """The topic of a message, by what it answers: the note that opened the topic, or a message in it."""
        if answered is None:
            return None
        topic = answered if answered in self.topics else self.topic_of.get(answered)
        if topic is not None:
            self.topic_of[id] = topic
            if len(self.topic_of) > _MAX_REMEMBERED:
                self.topic_of.popitem(last=False)
        return topic


def _is_walked(where: Where) -> bool:
    if where[0:1] == ("messages",):
        return len(where) == 1
    return len(where) <= 2 or (where[0] in _ACCOUNT and (len(where) == 3 or where[3:] == ("messages",)))


def _is_message(where: Where) -> bool:
    return len(where) in {2, 5} and where[-2] == "messages"


def _chat_above(where: Where) -> Where | None:
    """Where the chat stands that a message or a field belongs to; None if it is of something else."""
    if _is_message(where):
        return where[:-2]
    is_field = len(where) == 1 or (len(where) == 4 and where[0] in _ACCOUNT)
    return where[:-1] if is_field else None


def _message(row: Row, where: Where, chat: _Chat, options: ImportOptions, problems: Problems) -> SourceMessage | None:
    id = optional_word(row, "id") or f"#{where[-1]}"
    answered = None if "reply_to_peer_id" in row else optional_word(row, "reply_to_message_id")
    topic = chat.topic(id, answered)
    if reason := _reason_to_skip(row, chat, id):
        problems.skip(reason)
        return None
    pieces = _pieces(row, chat)
    if not any(isinstance(piece, Called) or piece.strip() for piece in pieces):
        problems.skip("no text")
        return None
    author, name = optional_word(row, "from_id") or word(row, "from"), optional_word(row, "from") or ""
    chat.authors[name.lower()] = author
    return SourceMessage(
        id=f"{PLATFORM}:{chat.key}:{id}",
        platform=PLATFORM,
        chat=chat.key,
        thread=topic,
        author=author,
        name=name,
        pieces=pieces,
        sent_at_ms=_sent_at_ms(row, options),
        reply_to=None if answered is None or answered in chat.topics else f"{PLATFORM}:{chat.key}:{answered}",
        kind=_kind(row),
        # What a person sends by way of a bot was written by the bot.
        is_bot=chat.is_bot(author) or "via_bot" in row,
    )


def _reason_to_skip(row: Row, chat: _Chat, id: str) -> str | None:
    match string(row, "type"):
        case "message":
            return None
        case "service":
            if row.get("action") == "topic_created":
                chat.topics.add(id)
            return "service message"
        case "unsupported":
            return "unsupported message"
        case _:
            raise BadRowError("message, service or unsupported in 'type'", "another word")


def _kind(row: Row) -> Kind:
    # Of an account that is deleted, the name is null.
    if "forwarded_from" in row or "forwarded_from_id" in row:
        return Kind.FORWARD
    parts = _parts(row)
    first = parts[0] if parts else None
    is_command = isinstance(first, dict) and first.get("type") == "bot_command"
    return Kind.COMMAND if is_command else Kind.MESSAGE


def _parts(row: Row) -> list[Any]:
    """The text with what Telegram knows of its parts, where it tells."""
    if entities := rows(row, "text_entities"):
        return list(entities)
    text = row.get("text")
    return text if isinstance(text, list) else []


def _pieces(row: Row, chat: _Chat) -> tuple[Piece, ...]:
    text = row.get("text")
    if isinstance(text, str) and text:
        text = [text]
    parts = text or row.get("text_entities") or []
    if not isinstance(parts, list):
        raise BadRowError("a string or a list in 'text'", describe(parts))
    return tuple(_joined(_piece(part, chat) for part in parts))


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Text that was in parts because of its form becomes one piece."""
    for is_text, group in groupby(pieces, lambda piece: isinstance(piece, str)):
        if not is_text:
            yield from group
        elif text := "".join(cast(Iterator[str], group)):
            yield text


def _piece(part: Any, chat: _Chat) -> Piece:
    if isinstance(part, str):
        return part
    user = optional_word(as_row(part, "strings and objects in 'text'"), "user_id")
    if part.get("type") == "mention_name" and user:
        return Called(f"user{user}")
    text = string(part, "text")
    return _mentioned(text, chat) if part.get("type") == "mention" else text


def _mentioned(username: str, chat: _Chat) -> Piece:
    """Who is meant by `@anna`. The export has no usernames beside it, so that only who speaks under it is known."""
    author = chat.authors.get(username.removeprefix("@").lower())
    return "@someone" if author is None else Called(author)


def _sent_at_ms(row: Row, options: ImportOptions) -> int:
    try:
        if seconds := optional_word(row, "date_unixtime"):
            return from_seconds(seconds)
        return from_iso(string(row, "date"), options.zone)
    except ValueError as exc:
        raise BadRowError("a time in 'date_unixtime' or 'date'", "another string") from exc
