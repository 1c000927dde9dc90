"""Who is called by name in the texts of one chat: `bob: try sudo` becomes a `Called` and `: try sudo`.

It serves two ends: a name at the start says who is answered, and no name of who speaks in the chat stays in a text to
train on. It knows nothing of languages and has no word list: whether `help` is a person or a word is told by the chat
itself (see `_Usage.is_person`). People of the chat who do not speak in the messages at hand are found if they are
given; who is talked about and known to nobody stays in the text.
"""

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from engine.speakers import Called, Piece
from finetune.message import SourceMessage
from finetune.threads.letters import Letters, Name

VERSION = 1
NEAR_MESSAGES = 200  # who speaks within so many messages before or after is taken to be around
SHORTEST_MENTION = 3  # characters; shorter names count only with @ or at the start: `re`, `jg`
SHORTEST_PREFIX = 4  # characters of a name that may stand for it at the start: `billy:` for `billytwowilly`
SHORTEST_PART = 3  # characters of one word of a longer name

People = Mapping[str, Iterable[str]]  # what each author is called
NOBODY: People = MappingProxyType({})

_ODD_SHAPE = re.compile(r"[^\W\d_]\d|\d[^\W\d_]|_|[a-z][A-Z]")  # `bob2`, `x_y`, `HrdwrBoB`: hardly a word of a language
_OPENING = re.compile(r"\s*@?(\w+)\s?:(?![\w/:])")
_SEPARATORS = re.compile(r"[\s,:;&+/@]*")


class Mention(NamedTuple):
    """Where a name stands in a text, with the `@` before it, and whose it is."""

    start: int
    end: int
    author: str


@dataclass
class _Usage:
    """How a chat uses the letters of a name.

    Attributes:
        exact: As its bearer writes it.
        spoke: Numbers of the messages of who bears it; none if nobody of that name speaks here.
        said: How often elsewhere than at the start, by written form; `said_near` while a bearer was around.
        is_small: Whether it is written without capitals where nobody is spoken to; looked at for the absent only.
    """

    exact: str
    spoke: list[int] = field(default_factory=list)
    addresses: int = 0
    said: Counter[str] = field(default_factory=Counter)
    said_near: Counter[str] = field(default_factory=Counter)
    is_small: bool = False

    def is_near(self, number: int) -> bool:
        """Whether a bearer speaks within `NEAR_MESSAGES` of message `number`."""
        place = bisect_left(self.spoke, number - NEAR_MESSAGES)
        return place < len(self.spoke) and self.spoke[place] <= number + NEAR_MESSAGES

    def is_person(self, form: str, chat_length: int) -> bool:
        """Whether `form` in the middle of a text means the bearer.

        Names are said while their bearers are around, and words at any time; bearers who are around all the time
        are told from words by how often they are addressed, or speak. The numbers are from the train part of
        the Ubuntu IRC corpus: `python -m benchmarks.threads names`.
        """
        if len(form) < SHORTEST_MENTION or form.isdigit():
            return False
        if not self.spoke:
            return self._is_absent_person(form)
        said, near = self.said[form], self.said_near[form]
        if _ODD_SHAPE.search(form):
            return 4 * near >= said
        if 4 * near < 3 * said:
            return False
        return said <= 6 * self.addresses + len(self.spoke) // 5 + 2 or 2 * self._presence <= chat_length

    def _is_absent_person(self, form: str) -> bool:
        """Whether `form` means a bearer who never speaks here, so that there is little to go by.

        What is written as only names are counts; a single word if it has its capital always, or is called out as
        often as it is said.
        """
        words = form.split()
        if _ODD_SHAPE.search(form) or not all(map(str.isalpha, words)):
            return True
        if len(words) > 1:
            return all(word[0].isupper() for word in self.exact.split())
        is_capital = form == self.exact and form[0].isupper() and not self.is_small
        return is_capital or self.said[form] <= self.addresses

    @property
    def _presence(self) -> int:
        """During how many messages a bearer was around."""
        gaps = (after - before for before, after in zip(self.spoke, self.spoke[1:], strict=False))
        return 2 * NEAR_MESSAGES + sum(min(gap, 2 * NEAR_MESSAGES) for gap in gaps)


class NameFinder:
    """Finds the names of one chat's people in its texts."""

    def __init__(self, messages: Sequence[SourceMessage], people: People = NOBODY) -> None:
        """Learn from the whole chat who there is, and which names are ordinary words.

        Args:
            people: Who else may be named, though they may not speak in `messages`.
        """
        speaking = dict.fromkeys(message.name for message in messages)
        absent = {name: author for author, names in people.items() for name in names if name not in speaking}
        self._names = _names([*speaking, *absent])
        self._letters = Letters({name: None for names in self._names.values() for name in names})
        self._bearers: dict[str, str] = {}  # by the key of the name: who spoke last, or else will speak first
        for message in messages:
            for name in self._names[message.name]:
                self._bearers.setdefault(name.key, message.author)
        for called, author in absent.items():
            for name in self._names[called]:
                self._bearers.setdefault(name.key, author)
        self._people = self._judged(messages)
        self._heard: dict[str, tuple[int, str]] = {}  # when each author last spoke, and as whom
        self._number = 0

    def hear(self, message: SourceMessage) -> None:
        """Take note that somebody speaks: of two people with one name, the one who spoke last is meant."""
        self._heard.pop(message.author, None)
        self._heard[message.author] = self._number, message.name.lower()
        self._number += 1
        for name in self._names[message.name]:
            self._bearers[name.key] = message.author

    def find(self, text: str, *, is_start: bool = True) -> list[Mention]:
        """Where people are called by name, in order and without overlap.

        Args:
            text: What somebody wrote, or a part of it.
            is_start: Whether it is the beginning of what was written, where a name says who is spoken to.
        """
        found = [
            Mention(match.start, match.end, self._bearers[match.key])
            for match in self._letters.find(text, is_start=is_start)
            if match.is_marked or match.is_address or match.form in self._people
        ]
        if is_start and not (found and found[0].start == 0) and (short := self._abbreviated(text)):
            found.insert(0, short)
        return found

    def _abbreviated(self, text: str) -> Mention | None:
        """`billy:` at the start, if of those around the name of one begins so."""
        opening = _OPENING.match(text)
        if opening is None or len(opening[1]) < SHORTEST_PREFIX or opening[1].isdigit():
            return None
        bearers = []
        for author, (number, name) in reversed(self._heard.items()):
            if self._number - number > NEAR_MESSAGES:
                break
            if name.startswith(opening[1].lower()):
                bearers.append(author)
        return Mention(*opening.span(1), bearers[0]) if len(bearers) == 1 else None

    def _judged(self, messages: Sequence[SourceMessage]) -> frozenset[str]:
        """The written forms that mean a person even in the middle of a text."""
        usages: dict[str, _Usage] = {}
        for number, message in enumerate(messages):
            for name in self._names[message.name]:
                usages.setdefault(name.key, _Usage(name.exact)).spoke.append(number)
        absent = {n.key: _Usage(n.exact) for names in self._names.values() for n in names if n.key not in usages}
        usages |= absent
        for number, message in enumerate(messages):
            self._count(number, message, usages)
        _find_small(messages, absent)
        return frozenset(
            form for usage in usages.values() for form in usage.said if usage.is_person(form, len(messages))
        )

    def _count(self, number: int, message: SourceMessage, usages: Mapping[str, _Usage]) -> None:
        for piece, is_start in _with_start(message.pieces):
            if isinstance(piece, Called):
                continue
            for match in self._letters.find(piece, is_start=is_start):
                usage = usages[match.key]
                if match.is_address or match.is_marked:
                    usage.addresses += 1
                else:
                    usage.said[match.form] += 1
                    usage.said_near[match.form] += usage.is_near(number)


def call_names(messages: Sequence[SourceMessage], people: People = NOBODY) -> Iterator[SourceMessage]:
    """The messages of one chat, in order of time, with `Called` for each of its people who is named in them.

    Args:
        people: Who else may be named, though they may not speak in `messages`.
    """
    finder = NameFinder(messages, people)
    for message in messages:
        pieces = [p for piece, is_start in _with_start(message.pieces) for p in _called(piece, is_start, finder)]
        yield message.with_pieces(pieces) if len(pieces) > len(message.pieces) else message
        finder.hear(message)


def _called(piece: Piece, is_start: bool, finder: NameFinder) -> Iterator[Piece]:
    if isinstance(piece, Called):
        yield piece
        return
    end = 0
    for mention in finder.find(piece, is_start=is_start):
        yield from (piece[end : mention.start], Called(mention.author))
        end = mention.end
    yield piece[end:]


def _with_start(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, bool]]:
    """Each piece, and whether nothing but people stands before it."""
    is_start = True
    for piece in pieces:
        yield piece, is_start
        is_start = is_start and (isinstance(piece, Called) or _SEPARATORS.fullmatch(piece) is not None)


def _find_small(messages: Iterable[SourceMessage], usages: Mapping[str, _Usage]) -> None:
    """See which names are written small as well: those may be words."""
    if not usages:
        return
    letters = Letters(map(Name, usages))
    for message in messages:
        for piece, is_start in _with_start(message.pieces):
            for match in () if isinstance(piece, Called) else letters.find(piece, is_start=is_start):
                if match.form.islower() and not (match.is_marked or match.is_address):
                    usages[match.key].is_small = True


def _names(whole: Sequence[str]) -> dict[str, tuple[Name, ...]]:
    """By what people are called: that name, and the words of it that are nobody's whole name."""
    taken = {name.lower() for name in whole}
    names: dict[str, tuple[Name, ...]] = defaultdict(tuple)
    for name in whole:
        if not name.strip():
            continue
        words = dict.fromkeys(name.split() if " " in name.strip() else ())
        parts = (word for word in words if _is_part(word) and word.lower() not in taken)
        names[name] = (Name(name), *(Name(part, is_whole=False) for part in parts))
    return names


def _is_part(word: str) -> bool:
    return len(word) >= SHORTEST_PART and word.isalpha() and word[0].isupper()
