"""What changed between two texts, for people to see: words that went, and words that came.

Ratcliff and Metzener's matching (Dr. Dobb's Journal, July 1988), as in `difflib`, over words. Knows nothing of HTML.
"""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

MAX_CHARS = 600  # matching takes up to the cube of the length: of 2,000 characters, 14 s; and nobody reads on

_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Part:
    """Some neighbouring words. In a changed part, characters that cannot be seen stand as `[U+200B]`."""

    text: str
    is_changed: bool


def compare(before: str, after: str) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Both texts in parts, cut to `MAX_CHARS`: of the first, what went is changed; of the second, what came is."""
    old, new = _words(before), _words(after)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    olds, news = [], []
    for operation, a, b, c, d in matcher.get_opcodes():
        olds.append(_part(old[a:b], operation != "equal"))
        news.append(_part(new[c:d], operation != "equal"))
    return tuple(part for part in olds if part.text), tuple(part for part in news if part.text)


def whole(text: str) -> tuple[Part, ...]:
    """A text by itself, cut to `MAX_CHARS`."""
    return tuple(part for part in (_part(_words(text), False),) if part.text)


def _words(text: str) -> list[str]:
    words = _WORD.findall(text[:MAX_CHARS])
    if len(text) > MAX_CHARS:
        words.append(f" … ({len(text) - MAX_CHARS:,} more characters)")
    return words


def _part(words: list[str], is_changed: bool) -> Part:
    text = "".join(words)
    return Part(_visible(text) if is_changed else text, is_changed)


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else f"[U+{ord(char):04X}]" for char in text)
