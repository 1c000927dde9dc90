"""What Telegram does with a message's text: UTF-16 lengths, entities, and what it finds in it by itself.

Pure functions over strings and entity dicts as the Bot API writes them; knows no chats and no accounts.
"""

import re
from typing import Any

Entity = dict[str, Any]

MAX_TEXT_LENGTH = 4096
MAX_CAPTION_LENGTH = 1024
MAX_ENTITIES = 100  # Telegram drops those after it without a word
ENTITY_TYPES = frozenset(
    [
        "mention",
        "hashtag",
        "cashtag",
        "bot_command",
        "url",
        "email",
        "phone_number",
        "bold",
        "italic",
        "underline",
        "strikethrough",
        "spoiler",
        "blockquote",
        "expandable_blockquote",
        "code",
        "pre",
        "text_link",
        "text_mention",
        "custom_emoji",
        "date_time",
    ]
)
CODE_TYPES = frozenset({"code", "pre"})
_COMMAND = re.compile(r"(?<![\w/>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?!\w)")
_MENTION = re.compile(r"(?<!\w)@[A-Za-z0-9_]{2,32}\b")
_URL = re.compile(r"(?<![\w@.])(?:https?://[^\s<>]+|(?:[\w-]+\.)+(?:com|org|net|io|me|dev)\b(?:/[^\s<>]*)?)")


class TextError(Exception):
    """The text or its entities are refused; the message is the Bot API's description."""


def utf16_length(text: str) -> int:
    """Length in UTF-16 code units, in which Telegram counts everything."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf16_slice(text: str, offset: int, length: int) -> str:
    """The part of `text` that an entity covers."""
    return text.encode("utf-16-le")[offset * 2 : (offset + length) * 2].decode("utf-16-le")


def detect(text: str) -> list[Entity]:
    """The commands, @mentions and addresses that Telegram finds by itself, without overlaps, in order."""
    found: list[Entity] = []
    taken: list[tuple[int, int]] = []
    for kind, pattern in (("url", _URL), ("bot_command", _COMMAND), ("mention", _MENTION)):
        for match in pattern.finditer(text):
            start, end = match.start(), match.start() + len(match.group().rstrip(".,;:!?)'\""))
            if all(end <= a or b <= start for a, b in taken):
                taken.append((start, end))
                found.append(
                    {"type": kind, "offset": utf16_length(text[:start]), "length": utf16_length(text[start:end])}
                )
    return sorted(found, key=lambda entity: entity["offset"])


def check_entities(text: str, entities: list[Entity]) -> None:
    """Refuse entities that are not of a known type, not within the text, or that cut a character in two."""
    units = text.encode("utf-16-le", "surrogatepass")
    for entity in entities:
        kind, offset, length = entity.get("type"), entity.get("offset"), entity.get("length")
        if kind not in ENTITY_TYPES:
            raise TextError(f"Bad Request: can't parse MessageEntity: unsupported type {kind!r}")
        if not isinstance(offset, int) or not isinstance(length, int) or offset < 0 or length <= 0:
            raise TextError(f"Bad Request: receive invalid entity offset or length: {entity}")
        if (offset + length) * 2 > len(units):
            raise TextError(f"Bad Request: entity {entity} ends after the end of the text at {len(units) // 2}")
        for name, position in (("begins", offset), ("ends", offset + length)):
            if _is_low_surrogate(units, position):
                raise TextError(f"Bad Request: entity {name} in a middle of a UTF-16 symbol: {entity}")
        if kind == "text_link" and not entity.get("url"):
            raise TextError("Bad Request: can't parse MessageEntity: a text_link without url")
        if kind == "text_mention" and not entity.get("user"):
            raise TextError("Bad Request: can't parse MessageEntity: a text_mention without user")


def finish(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Text and entities as Telegram keeps them: white space at the ends gone, what it finds by itself added."""
    leads_with_code = any(entity["offset"] == 0 and entity["type"] in CODE_TYPES for entity in entities)
    kept = text if leads_with_code else text.lstrip()
    shift = utf16_length(text) - utf16_length(kept)
    kept = kept.rstrip()
    shown = [clipped for entity in entities if (clipped := _clip(entity, shift, utf16_length(kept)))]
    opaque = [entity for entity in shown if entity["type"] in {*CODE_TYPES, "text_link", "text_mention", "url"}]
    added = [entity for entity in detect(kept) if not _overlaps(entity, opaque)]
    return kept, sorted((shown + added)[:MAX_ENTITIES], key=lambda entity: (entity["offset"], -entity["length"]))


def pings(text: str, entities: list[Entity]) -> list[str]:
    """Whom the text would notify: each auto-mention outside code, and each explicit link to a person."""
    code = [entity for entity in entities if entity["type"] in CODE_TYPES]
    found = []
    for match in _MENTION.finditer(text):
        place = {"offset": utf16_length(text[: match.start()]), "length": utf16_length(match.group())}
        if not _overlaps(place, code):
            found.append(match.group())
    for entity in entities:
        if entity["type"] == "text_mention":
            found.append(f"tg://user?id={entity['user'].get('id')}")
        elif entity["type"] == "text_link" and entity["url"].startswith("tg://user"):
            found.append(entity["url"])
    return found


def _is_low_surrogate(units: bytes, position: int) -> bool:
    high_byte = units[position * 2 + 1 : position * 2 + 2]
    return bool(high_byte) and 0xDC <= high_byte[0] <= 0xDF


def _overlaps(entity: Entity, others: list[Entity]) -> bool:
    start, end = entity["offset"], entity["offset"] + entity["length"]
    return any(start < other["offset"] + other["length"] and other["offset"] < end for other in others)


def _clip(entity: Entity, shift: int, end: int) -> Entity | None:
    start = max(entity["offset"] - shift, 0)
    length = min(entity["offset"] - shift + entity["length"], end) - start
    return {**entity, "offset": start, "length": length} if length > 0 else None
