"""What a Telegram message holds, as segments.

Pure functions over the library's objects. Telegram counts places in a text in UTF-16 units.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from telegram import ExternalReplyInfo, MessageEntity
from telegram import Message as TelegramMessage
from telegram import User as TelegramUser

from bots.message import Attachment, Mention, Segment, Text


@dataclass(frozen=True)
class Content:
    """What a message says.

    Attributes:
        is_mention: Whether it calls the bot by name; the name itself is left out.
        is_command: Whether it begins with a command that is not for another bot.
    """

    segments: tuple[Segment, ...]
    is_mention: bool = False
    is_command: bool = False


class _Call:
    """Stands where the bot was called by name."""


_CALL: Final = _Call()
_Part = Segment | _Call


def content_of(message: TelegramMessage, me: TelegramUser) -> Content:
    """Text or caption, then what is attached."""
    read = read_text(message.text or message.caption or "", message.entities or message.caption_entities, me)
    return Content((*read.segments, *attachments_of(message)), read.is_mention, read.is_command)


def read_text(text: str, entities: Sequence[MessageEntity], me: TelegramUser) -> Content:
    """A text with the people it names; white space alone says nothing."""
    parts: list[_Part] = []
    units, end = text.encode("utf-16-le", "surrogatepass"), 0

    def cut(begin: int, until: int | None = None) -> str:
        return units[2 * begin : until if until is None else 2 * until].decode("utf-16-le", "replace")

    is_command = False
    for entity in sorted(entities, key=lambda entity: entity.offset):
        word = cut(entity.offset, entity.offset + entity.length)
        part = _meaning(entity, word, me)
        if part is None or entity.offset < end:
            continue
        is_command = is_command or entity.type == MessageEntity.BOT_COMMAND
        parts += [Text(cut(end, entity.offset)), part]
        end = entity.offset + entity.length
    parts.append(Text(cut(end)))
    return Content(tuple(_joined(parts)), any(part is _CALL for part in parts), is_command)


def _meaning(entity: MessageEntity, word: str, me: TelegramUser) -> _Part | None:
    """What an entity stands for, if it is more than a look."""
    name = (me.username or "").lower()
    if entity.type == MessageEntity.MENTION:
        return _CALL if word[1:].lower() == name else Mention(word, word[1:])
    if entity.type == MessageEntity.TEXT_MENTION and entity.user is not None:
        return _CALL if entity.user.id == me.id else Mention(str(entity.user.id), entity.user.full_name)
    if entity.type == MessageEntity.BOT_COMMAND and entity.offset == 0:
        command, _, addressee = word.partition("@")
        return Text(command) if addressee.lower() in ("", name) else None
    return None


def _joined(parts: Iterable[_Part]) -> list[Segment]:
    """The segments without calls, and without the gaps that those would leave."""
    joined: list[Segment] = []
    is_after_call = False
    for part in parts:
        if isinstance(part, _Call):
            is_after_call = True
            continue
        if part == Text(""):
            continue
        text = part.text if isinstance(part, Text) else None
        before = joined[-1].text if joined and isinstance(joined[-1], Text) else None
        if text is None:
            joined.append(part)
        elif is_after_call:
            _append(joined, *_closed_up(before, text, is_first=not joined))
        else:
            _append(joined, before, text)
        is_after_call = False
    if is_after_call and joined and isinstance(joined[-1], Text):
        joined[-1] = Text(joined[-1].text.rstrip())
    is_blank = all(isinstance(segment, Text) and not segment.text.strip() for segment in joined)
    return [] if is_blank else [segment for segment in joined if segment != Text("")]  # all of it was a gap


def _closed_up(before: str | None, after: str, *, is_first: bool) -> tuple[str | None, str]:
    if is_first:
        return before, after.lstrip(" ,:;\n")
    if before is not None and after[:1] in tuple(",.;:!?"):
        return before.rstrip(" "), after
    if before is not None and before[-1:].isspace():
        return before, after.lstrip(" ")
    return before, after


def _append(joined: list[Segment], before: str | None, text: str) -> None:
    """Add a text, to the one that is the last segment if there is one."""
    if before is None:
        joined.append(Text(text))
    else:
        joined[-1] = Text(before + text)


def attachments_of(message: TelegramMessage | ExternalReplyInfo) -> list[Attachment]:
    """What comes with a message, each named as what it is."""
    kinds = [kind for kind in _ATTACHMENTS if getattr(message, kind, None)]
    return [_ATTACHMENTS[kind](getattr(message, kind)) for kind in kinds if _COVERED.get(kind) not in kinds]


_COVERED = MappingProxyType({"document": "animation", "location": "venue", "photo": "live_photo"})
"""What Telegram says a second time, for clients that do not know the newer kind."""


def _file(name: str, media_type: str = "") -> Callable[[Any], Attachment]:
    def attachment(file: Any) -> Attachment:
        own_type = getattr(file, "mime_type", None)
        own_name = getattr(file, "file_name", None) or getattr(file, "title", None)
        return Attachment(own_name or name, own_type or media_type, file.file_size or 0, file.file_id)

    return attachment


def _thing(describe: Callable[[Any], str]) -> Callable[[Any], Attachment]:
    return lambda thing: Attachment(describe(thing), "", 0)


def _photo(sizes: Any) -> Attachment:
    return _file("photo", "image/jpeg")(max(sizes, key=lambda size: size.width * size.height))


def _sticker(sticker: Any) -> Attachment:
    media_type = "image/webp"
    if sticker.is_video:
        media_type = "video/webm"
    elif sticker.is_animated:
        media_type = "application/x-tgsticker"
    return Attachment(f"sticker {sticker.emoji or ''}".strip(), media_type, sticker.file_size or 0, sticker.file_id)


def _poll(poll: Any) -> str:
    return f"poll: {poll.question} ({' / '.join(option.text for option in poll.options)})"


_ATTACHMENTS: MappingProxyType[str, Callable[[Any], Attachment]] = MappingProxyType(
    {
        "animation": _file("animation", "video/mp4"),
        "audio": _file("audio"),
        "document": _file("file"),
        "live_photo": _file("live photo", "video/mp4"),
        "photo": _photo,
        "sticker": _sticker,
        "video": _file("video", "video/mp4"),
        "video_note": _file("video message", "video/mp4"),
        "voice": _file("voice message", "audio/ogg"),
        "story": _thing(lambda _: "story"),
        "paid_media": _thing(lambda _: "paid media"),
        "checklist": _thing(lambda checklist: f"checklist: {checklist.title}"),
        "contact": _thing(lambda contact: f"contact: {contact.first_name} {contact.last_name or ''}".strip()),
        "dice": _thing(lambda dice: f"{dice.emoji} showing {dice.value}"),
        "game": _thing(lambda game: f"game: {game.title}"),
        "invoice": _thing(lambda invoice: f"invoice: {invoice.title}"),
        "venue": _thing(lambda venue: f"place: {venue.title}, {venue.address}"),
        "location": _thing(lambda place: f"location: {place.latitude:.5f}, {place.longitude:.5f}"),
        "poll": _thing(_poll),
    }
)
