"""A text as it reads rather than as it is spelt, for those who look for something in it.

A number in full-width digits, with other dashes or with marks between its digits is the same number to a reader. Its
shadow has plain digits, dashes and points and no marks, and knows which characters of the text each of its own stands
for. Knows nothing of what is looked for.
"""

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

# Hyphens and dashes of all widths, and the minus (U+2010 to U+2015, U+2043, U+2212, U+FE58, U+FE63, U+FF0D).
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d")
# Marks, of which keycaps and variation selectors are some, and what only directs the layout.
_UNSEEN = frozenset({"Mn", "Me", "Cf"})
# Of Chinese and Japanese, it ends a sentence; between two letters of Latin it stands for a point.
_FULL_STOP = re.compile("(?<=[0-9A-Za-z])\u3002(?=[0-9A-Za-z])")

# Letters of Cyrillic and Greek that look like these of Latin (Unicode TS 39, confusables), where a word has both.
_LOOK_ALIKE = str.maketrans(
    "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u043a\u043e\u0440\u0455\u0442\u0443\u0445\u051d\u03bf\u03b1\u03b9\u03c1"
    "\u0410\u0412\u0421\u0415\u041d\u0406\u041a\u041c\u041e\u0420\u0405\u0422\u0425\u051c",
    "acdehijkopstyxwoaipABCEHIKMOPSTXW",
)
_MIXED = re.compile(r"(?=\w*[A-Za-z])(?=\w*[\u0370-\u052f])\w+")


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a text reads as.

    Attributes:
        text: That.
        ends: For each character of the original, how much of `text` stands for it and all before it.
    """

    text: str
    ends: tuple[int, ...]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where in the original `text[start:end]` stands, with the marks that belong to it; it is not empty."""
        last = bisect_right(self.ends, end - 1)
        return bisect_right(self.ends, start), max(last + 1, bisect_right(self.ends, end))


class _Forms(dict[str, str]):
    """What each character reads as, worked out once."""

    def __missing__(self, character: str) -> str:
        form = self[character] = _form(character)
        return form


_FORMS = _Forms()


def shadow_of(text: str) -> Shadow | None:
    """What `text` reads as; None if that is what it says."""
    if text.isascii():
        return None
    parts = [_FORMS[character] for character in text]
    plain = _MIXED.sub(_in_latin, _FULL_STOP.sub(".", "".join(parts)))
    return None if plain == text else Shadow(plain, tuple(accumulate(map(len, parts))))


def _form(character: str) -> str:
    if character in _DASHES:
        return "-"
    if unicodedata.category(character) in _UNSEEN:
        return ""
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    return unicodedata.normalize("NFKC", character)


def _in_latin(word: re.Match[str]) -> str:
    return word[0].translate(_LOOK_ALIKE)
