"""Messages out of what DiscordChatExporter writes as JSON: one channel or thread per file, or a part of one.

Format: github.com/Tyrrrz/DiscordChatExporter, `JsonMessageWriter`. Both ways to write mentions are read, as display
names (its default) and as ids (`--markdown false`). Custom emoji and names of channels stay as they are written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.speakers import Called, Piece
from finetune.importing.documents import Where, elements, place
from finetune.importing.options import ImportOptions
from finetune.importing.problems import BadRowError, Problems
from finetune.importing.reading import Consumed, chunks
from finetune.importing.rows import Row, as_row, optional_word, rows, string, word
from finetune.importing.times import from_iso
from finetune.message import Kind, SourceMessage

PLATFORM = "discord"

# Old exports have numbers where new ones have names. All other types are notes of Discord's own.
_MESSAGE_TYPES = {"Default", "0", "Reply", "19"}
_COMMAND_TYPES = {"ChatInputCommand", "20", "ContextMenuCommand", "23"}
_THREAD_TYPES = {"GuildNewsThread", "10", "GuildPublicThread", "11", "GuildPrivateThread", "12"}

_CALLED_BY_ID = re.compile(r"<@!?(\w+)>")


def read(path: Path, options: ImportOptions, problems: Problems, consumed: Consumed) -> Iterator[SourceMessage]:
    """The messages of one export, in its order."""
    channel = _Channel(id=options.chat_of(path), chat=options.chat_of(path))
    for where, value in elements(chunks(path, problems, consumed), _is_walked, problems):
        try:
            if where == ("channel",):
                channel = _channel(as_row(value))
            elif _is_message(where) and (message := _message(as_row(value), channel, options, problems)):
                yield message
        except BadRowError as error:
            problems.note(place(where), error.expected, error.found)


def resembles(head: str) -> bool:
    """Whether a file that begins so may be such an export."""
    return head.lstrip().startswith("{") and '"guild"' in head and '"channel"' in head


@dataclass(frozen=True, slots=True)
class _Channel:
    """Where a file's messages were said; a thread belongs to the chat of its parent channel."""

    id: str
    chat: str
    thread: str | None = None


def _is_walked(where: Where) -> bool:
    return where in {(), ("messages",)}


def _is_message(where: Where) -> bool:
    return len(where) == 2 and where[0] == "messages"


def _channel(row: Row) -> _Channel:
    id = word(row, "id")
    if str(row.get("type")) in _THREAD_TYPES:
        # The exporter calls whatever a channel stands in its category.
        return _Channel(id, optional_word(row, "categoryId") or id, thread=id)
    return _Channel(id, id)


def _message(row: Row, channel: _Channel, options: ImportOptions, problems: Problems) -> SourceMessage | None:
    kind = _kind(row)
    if kind is None:
        problems.skip("service message")
        return None
    text = string(row, "content") or _forwarded_text(row)
    if not text.strip():
        problems.skip("no text")
        return None
    author = as_row(row.get("author"), "an object in 'author'")
    return SourceMessage(
        id=f"{PLATFORM}:{channel.id}:{word(row, 'id')}",
        platform=PLATFORM,
        chat=channel.chat,
        thread=channel.thread,
        author=word(author, "id"),
        name=optional_word(author, "nickname") or optional_word(author, "name") or "",
        pieces=_pieces(text, rows(row, "mentions")),
        sent_at_ms=_sent_at_ms(row, options),
        reply_to=_reply_to(row, channel),
        kind=kind,
        is_bot=author.get("isBot") is True,
    )


def _kind(row: Row) -> Kind | None:
    """None if it is a note of Discord's own, such as that somebody joined."""
    type = word(row, "type")
    if type in _COMMAND_TYPES or (type in _MESSAGE_TYPES and isinstance(row.get("interaction"), dict)):
        return Kind.COMMAND
    if type not in _MESSAGE_TYPES:
        if not (type.isdecimal() or type[0].isupper()):
            raise BadRowError("a type that Discord has", "another word")
        return None
    return Kind.FORWARD if _is_forward(row) else Kind.MESSAGE


def _is_forward(row: Row) -> bool:
    reference = row.get("reference")
    return isinstance(row.get("forwardedMessage"), dict) or (
        isinstance(reference, dict) and reference.get("type") in {"Forward", 1}
    )


def _forwarded_text(row: Row) -> str:
    forwarded = row.get("forwardedMessage")
    return optional_word(forwarded, "content") or "" if isinstance(forwarded, dict) else ""


def _reply_to(row: Row, channel: _Channel) -> str | None:
    """The message that it answers; a reference to another channel is a copy of an announcement, no reply."""
    reference = row.get("reference")
    if not isinstance(reference, dict) or _is_forward(row):
        return None
    message, elsewhere = optional_word(reference, "messageId"), optional_word(reference, "channelId")
    if message is None or elsewhere not in {None, channel.id}:
        return None
    return f"{PLATFORM}:{channel.id}:{message}"


def _sent_at_ms(row: Row, options: ImportOptions) -> int:
    try:
        return from_iso(string(row, "timestamp"), options.zone)
    except ValueError as exc:
        raise BadRowError("a time such as 2024-12-31T23:59:59+00:00 in 'timestamp'", "another string") from exc


def _pieces(text: str, mentions: list[Row]) -> tuple[Piece, ...]:
    """The text with whom it calls, by id or by one of the names that the message says are mentions."""
    ids = {f"@{name}": id for row in mentions if (id := optional_word(row, "id")) for name in _names(row)}
    if not ids and "<@" not in text:
        return (text,)
    # Of two names of which one begins with the other, the longer.
    names = sorted(ids, key=lambda name: (-len(name), name))
    by_name = "|".join(rf"{re.escape(name)}(?!\w)" for name in names) or r"(?!)"
    pieces: list[Piece] = []
    end = 0
    for match in re.finditer(rf"{_CALLED_BY_ID.pattern}|{by_name}", text):
        pieces += [text[end : match.start()], Called(match[1] or ids[match[0]])]
        end = match.end()
    return tuple(piece for piece in [*pieces, text[end:]] if piece != "")


def _names(row: Row) -> Iterator[str]:
    for field in ("nickname", "name"):
        if name := optional_word(row, field):
            yield name
