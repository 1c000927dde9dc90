"""Where the letters of known names stand in a text; knows nothing of whether they mean the person.

A name may be of several words, and hold any character; a text is read once, word by word, whatever the number of names.
Letters inside paths, links and hyphenated words are passed over: `/home/bob/`, `bob.example`, `bob-tools`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

_WORD = re.compile(r"\w+")
_BETWEEN = re.compile(
    r"[\s,:;&+/@]*|\s*\band\s+"
)  # what may stand before and between names that are addressed together
_NOT_BEFORE = frozenset("/\\-.=~#$")
_NOT_AFTER = frozenset("/\\-@=")


@dataclass(frozen=True, slots=True)
class Name:
    """A name that somebody goes by, or one word of it.

    Attributes:
        exact: As its bearer writes it.
        is_whole: False for `Anna` of `Anna Schmidt`, which must be written with its capital to count.
    """

    exact: str
    is_whole: bool = True

    @property
    def key(self) -> str:
        """The same for all ways of writing it."""
        return self.exact.lower()


class Match(NamedTuple):
    """The letters of a name.

    Attributes:
        start: Where they begin, with the `@` before them.
        key: Of the name.
        form: As they are written here, without `@`.
        is_marked: Whether there is an `@`.
        is_address: Whether they stand at the start with a colon or comma after them.
    """

    start: int
    end: int
    key: str
    form: str
    is_marked: bool
    is_address: bool


class Letters:
    """Finds the letters of names."""

    def __init__(self, names: Iterable[Name]) -> None:
        """Names without any letter or digit are never found: what is written so is rarely the person."""
        by_word: dict[str, list[tuple[int, Name]]] = defaultdict(list)
        for name in names:
            if word := _WORD.search(name.exact):
                by_word[word[0].lower()].append((word.start(), name))
        self._by_word = {word: sorted(found, key=_longest_first) for word, found in by_word.items()}

    def find(self, text: str, *, is_start: bool = True) -> Iterator[Match]:
        """All that stand in `text`, in order and without overlap; the longest where several would do.

        Args:
            text: What somebody wrote, or a part of it.
            is_start: Whether it is the beginning of what was written.
        """
        end = 0
        for word in _WORD.finditer(text):
            for offset, name in self._by_word.get(word[0].lower(), ()):
                start = word.start() - offset
                if start < end:
                    continue
                if match := _match(text, start, name, is_start and _BETWEEN.fullmatch(text, end, start) is not None):
                    yield match
                    end, is_start = match.end, match.is_address
                    break


def _longest_first(entry: tuple[int, Name]) -> tuple[int, bool, str]:
    return -len(entry[1].exact), not entry[1].is_whole, entry[1].exact


def _match(text: str, start: int, name: Name, is_opening: bool) -> Match | None:
    end = start + len(name.exact)
    form = text[start:end]
    if form.lower() != name.key or not _is_apart(text, start, end):
        return None
    is_marked = text[start - 1 : start] == "@"
    is_address = is_opening and re.match(r"\s?[:,]", text[end : end + 2]) is not None
    if not name.is_whole and form != name.exact and not (is_marked or is_address):
        return None
    return Match(start - is_marked, end, name.key, form, is_marked, is_address)


def _is_apart(text: str, start: int, end: int) -> bool:
    """Whether it is a word of its own, and no part of a path, link or longer word."""
    before, after, second = text[start - 1 : start], text[end : end + 1], text[end + 1 : end + 2]
    if before.isalnum() or before in _NOT_BEFORE or after.isalnum() or after in _NOT_AFTER or "_" in (before, after):
        return False
    if before == "@" and start > 1 and text[start - 2].isalnum():  # of an e-mail address
        return False
    return not (after == "." and second.isalnum())
