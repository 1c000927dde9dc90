"""What a message says, as bytes and back.

Knows nothing of encryption or tables. The format is JSON in UTF-8, so that an older row stays readable: a
list per segment, whose first item says which kind it is.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bots.message import Attachment, Mention, Segment, Text


@dataclass(frozen=True)
class Content:
    """What is encrypted of a message.

    Attributes:
        author: Display name; None on the bot's own rows.
    """

    segments: tuple[Segment, ...]
    author: str | None = None
    is_bot: bool = False
    is_person: bool = True


def pack(content: Content) -> bytes:
    """`content` as bytes."""
    fields: dict[str, Any] = {"segments": [_to_json(segment) for segment in content.segments]}
    if content.author is not None:
        fields |= {"author": content.author, "is_bot": content.is_bot}
    if not content.is_person:
        fields["is_person"] = False
    return bytes_of(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def unpack(data: bytes) -> Content:
    """What `pack` was given."""
    fields = json.loads(text_of(data))
    segments = tuple(_KINDS[kind](*values) for kind, *values in fields["segments"])
    return Content(segments, fields.get("author"), fields.get("is_bot", False), fields.get("is_person", True))


def bytes_of(text: str) -> bytes:
    """UTF-8, and the lone surrogates that people do send, which strict UTF-8 refuses."""
    return text.encode("utf-8", "surrogatepass")


def text_of(data: bytes) -> str:
    """What `bytes_of` was given."""
    return data.decode("utf-8", "surrogatepass")


def says_the_same(some: Iterable[Segment], others: Iterable[Segment]) -> bool:
    """Whether two texts read the same, wherever their attachments lie and whether or not those were read."""
    return [_face(segment) for segment in some] == [_face(segment) for segment in others]


def keep_read_texts(before: Iterable[Segment], after: Iterable[Segment]) -> tuple[Segment, ...]:
    """`after`, with what was read of the attachments that stood in `before` already."""
    read = {_face(s): s.text for s in before if isinstance(s, Attachment)}
    return tuple(
        replace(s, text=read.get(_face(s))) if isinstance(s, Attachment) and s.text is None else s for s in after
    )


_KINDS: dict[str, type[Segment]] = {"text": Text, "mention": Mention, "attachment": Attachment}


def _to_json(segment: Segment) -> Sequence[object]:
    match segment:
        case Text(text):
            return ("text", text)
        case Mention(user_id, name):
            return ("mention", user_id, name)
        case Attachment(name, media_type, size_bytes, locator, text):
            return ("attachment", name, media_type, size_bytes, locator, text)


def _face(segment: Segment) -> Segment:
    return replace(segment, locator="", text=None) if isinstance(segment, Attachment) else segment
