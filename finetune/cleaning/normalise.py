"""Messages in one plain form: one spelling of each character, nothing invisible, no markup of a platform.

Says, too, which messages are nothing that people said to each other: commands, forwards, what other bots wrote, and
what is empty. Knows nothing of secrets, personal data or conversations. A text that went through once stays as it is.
"""

import re
import unicodedata
from collections.abc import Sequence

from engine.speakers import Piece
from finetune.fate import Fate, changed, dropped
from finetune.message import LOG, Kind, Role, SourceMessage

VERSION = 1


_SURROGATE = re.compile("[\ud800-\udfff]")

# Colours of IRC (\x03 and \x04 with their numbers) and of terminals, lest the numbers stay behind as words.
_COLOUR = re.compile(r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9A-Fa-f]{6})?|\x1b\[[0-9;]*[A-Za-z]")

# Controls, soft hyphen, bidi and zero-width characters, fillers that look like nothing, noncharacters, and the tags and
# supplementary variation selectors in which text can be hidden. What joins emoji and letters is looked at apart.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U000e0100-\U000e01ef]"
)
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACE = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]")

# A zero-width joiner makes one picture of several, and in Arabic and the scripts of India, joiner and non-joiner are
# spelling; anywhere else both are invisible. Tags spell the flag that follows U+1F3F4 (Unicode TS 51).
_PICTURE = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_JOINING = "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af"
_JOINER = re.compile(
    f"(?:(?<=[{_PICTURE}\ufe0f])\u200d(?=[{_PICTURE}]))"
    f"|(?:(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}]))"
    "|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
    "|(?P<stray>[\u200c\u200d\U000e0001\U000e0020-\U000e007f])"
)

_MARKUP = (
    (re.compile(r"<a?(:\w{1,64}:)\d+>"), r"\1"),  # Discord: an emoji of a server
    (re.compile(r"<@[!&]?\d+>|tg://user\?id=\d+"), "@someone"),  # Discord: a person or a role; Telegram: a person
    (re.compile(r"<#\d+>|<id:\w+>"), "#channel"),  # Discord: a channel, or a tab of its server
    (re.compile(r"<t:-?\d+(?::[A-Za-z])?>"), "then"),  # Discord: a time in the reader's own zone
    (re.compile(r"<(/[\w -]{1,100}):\d+>"), r"\1"),  # Discord: a command of a bot
)

_FENCE = "```"
_SPACES = re.compile("[ \t]+")
_AROUND_LINE_END = re.compile(" ?\n ?")
_BLANK_LINES = re.compile("\n{3,}")
# Most lines of a chat need no work at all: printable ASCII without markup, and no space beside another.
_PLAIN = re.compile(r"[!-;=-~]+(?: [!-;=-~]+)*")


def normalise(text: str) -> str:
    """`text` in normal form C, without what cannot be seen, with simple spaces and no markup of Discord or Telegram.

    Inside fences of three backticks, spaces stay as they are. Half of a surrogate pair becomes U+FFFD.
    """
    return text if _is_plain(text) else _trimmed(_spaced(_legible(text)))


def normalised(message: SourceMessage) -> tuple[SourceMessage | None, tuple[Fate, ...]]:
    """`message` in plain form, or None if it goes no further; and what became of it.

    The bot's own answers in our log stay, all that other bots wrote goes: nobody is to learn a machine's manners.
    """
    if reason := _reason_to_drop(message):
        return None, (dropped(message.id, reason),)
    clean = message.with_pieces(_normalised(message.with_pieces(message.pieces).pieces))
    if not clean.text.strip():
        return None, (dropped(message.id, "empty"),)
    if clean.pieces == message.pieces:
        return message, ()
    return clean, (changed(message.id, "normalised"),)


def _reason_to_drop(message: SourceMessage) -> str | None:
    if message.kind is Kind.COMMAND:
        return "command"
    if message.kind is Kind.FORWARD:
        return "forward"
    is_our_own = message.role is Role.ASSISTANT and message.source == LOG
    return "another bot" if message.is_bot and not is_our_own else None


def _normalised(pieces: Sequence[Piece]) -> list[Piece]:
    """All pieces; a space beside somebody who is called by name stays."""
    clean: list[Piece] = [_spaced(_legible(piece)) if isinstance(piece, str) else piece for piece in pieces]
    if clean and isinstance(clean[0], str):
        clean[0] = clean[0].lstrip(" \t\n")
    if clean and isinstance(clean[-1], str):
        clean[-1] = clean[-1].rstrip(" \t\n")
    return clean


def _is_plain(text: str) -> bool:
    return text.isascii() and "tg://" not in text and _PLAIN.fullmatch(text) is not None


def _legible(text: str) -> str:
    """Characters and markup; the spaces stay as they are."""
    if _is_plain(text):
        return text
    if _SURROGATE.search(text):
        # A pair in halves becomes the character that it stands for.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = _LINE_END.sub("\n", _COLOUR.sub("", text))
    if not text.isascii() or not text.isprintable():
        text = _INVISIBLE.sub("", text)
        # What joined two pictures may stand beside something else once a stray one is gone.
        while (joined := _JOINER.sub(_without_strays, text)) != text:
            text = joined
        text = _SPACE.sub(" ", text)
    if "<" in text or "tg://" in text:
        for pattern, words in _MARKUP:
            text = pattern.sub(words, text)
    return unicodedata.normalize("NFC", text)


def _without_strays(match: re.Match[str]) -> str:
    return "" if match["stray"] else match[0]


def _spaced(text: str) -> str:
    """Single spaces and at most one blank line outside code; every other part between fences is code."""
    if _FENCE not in text:
        return _collapsed(text)
    parts = text.split(_FENCE)
    return _FENCE.join(part if number % 2 else _collapsed(part) for number, part in enumerate(parts))


def _collapsed(text: str) -> str:
    return _BLANK_LINES.sub("\n\n", _AROUND_LINE_END.sub("\n", _SPACES.sub(" ", text)))


def _trimmed(text: str) -> str:
    return text.strip(" \t\n")
