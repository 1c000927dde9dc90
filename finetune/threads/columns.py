"""One chat as columns of integers, a number for each message: what the features are computed from.

Who speaks, to whom and when, and which message before or after stands in what relation. Of the words, only their number
leaves this module, and how rare those are that two messages share. Knows nothing of weights or links.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from finetune.message import SourceMessage
from finetune.threads.addressing import addressed, mentioned

Ints = npt.NDArray[np.int64]

NONE = -1  # no such person, message or time, in columns; all else is 0 or more
WINDOW = 50  # messages before one that it may answer; 97 % of the links in the Ubuntu IRC corpus reach no further
MINUTE_MS = 60_000
COMMON = 20  # a word of more than one in so many messages says nothing about what they have in common
RAREST = 6  # bits; a chat of 1,300 messages can tell no more, and longer ones shall look like it
PACE_MINUTES = 5
COMPANY_MESSAGES = 20

_WORD = re.compile(r"\w{2,}")


@dataclass(frozen=True)
class Columns:
    """A chat of N messages; messages and people go by numbers, in order of appearance.

    Attributes:
        author: [N] who speaks.
        to: [N, 2] the first two who are named at its start, or whose message it replies to.
        named: [N, 2] the first two who are named anywhere else.
        minute: [N] when; whole minutes, so that a source with seconds looks like one without.
        words: [N] how many.
        asks: [N] whether there is a question mark.
        has_link: [N] whether there is an address of the web.
        shared: [N, WINDOW] bits: how rare the words are that it shares with the message 1, 2, ... before it.
    """

    author: Ints
    to: Ints
    named: Ints
    minute: Ints
    words: Ints
    asks: npt.NDArray[np.bool_]
    has_link: npt.NDArray[np.bool_]
    shared: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.author)

    @cached_property
    def own(self) -> Ints:
        """[N] the author's message before."""
        return _latest(self._authors, _each(self._authors))

    @cached_property
    def next_own(self) -> Ints:
        """[N] the author's next message; N after the last."""
        return _earliest(self._authors, _each(self._authors))

    @cached_property
    def next_same_way(self) -> Ints:
        """[N] the next message from the same author to the same person; N after the last."""
        ways = list(zip(self._authors, self.to[:, 0].tolist(), strict=True))
        return _earliest(ways, _each(ways))

    @cached_property
    def called_at(self) -> Ints:
        """[N] the last message to the author, by anybody."""
        return _latest(self._authors, self._receivers)

    @cached_property
    def next_call(self) -> Ints:
        """[N] the next message to the author, by anybody; N after the last."""
        return _earliest(self._authors, self._receivers)

    @cached_property
    def caller(self) -> Ints:
        """[N] who last spoke to the author."""
        return _at(self.author, self.called_at)

    @cached_property
    def partner(self) -> Ints:
        """[N] to whom the author last spoke."""
        return _at(self.to[:, 0], self._directed_at)

    @cached_property
    def company(self) -> Ints:
        """[N] to whom it speaks, or else the author spoke within the last 30 messages."""
        is_recent = np.arange(len(self)) - self._directed_at <= 30
        carried = np.where((self._directed_at >= 0) & is_recent, self.partner, NONE)
        return np.where(self.to[:, 0] >= 0, self.to[:, 0], carried)

    @cached_property
    def receiver_at(self) -> Ints:
        """[N] the last message of whom it speaks to."""
        return _latest(self.to[:, 0].tolist(), _each(self._authors))

    @cached_property
    def receiver_called_at(self) -> Ints:
        """[N] the last message to the author from whom it speaks to."""
        said = [[(author, to) for to in people] for author, people in zip(self._authors, self._receivers, strict=True)]
        return _latest(list(zip(self.to[:, 0].tolist(), self._authors, strict=True)), said)

    @cached_property
    def pace(self) -> Ints:
        """[N] messages in the `PACE_MINUTES` before."""
        running = np.maximum.accumulate(self.minute)  # clocks go back at times
        return np.arange(len(self)) - np.searchsorted(running, running - PACE_MINUTES)

    @cached_property
    def people(self) -> Ints:
        """[N] who spoke in the `COMPANY_MESSAGES` before."""
        found = np.zeros(len(self), np.int64)
        for distance in range(1, min(COMPANY_MESSAGES, len(self) - 1) + 1):
            found[distance:] += self.next_own[:-distance] >= np.arange(distance, len(self))
        return found

    @cached_property
    def _authors(self) -> list[int]:
        return [int(author) for author in self.author]

    @cached_property
    def _receivers(self) -> list[list[int]]:
        return [[person for person in people if person != NONE] for people in self.to.tolist()]

    @cached_property
    def _directed_at(self) -> Ints:
        spoken = [[author] if to else [] for author, to in zip(self._authors, self._receivers, strict=True)]
        return _latest(self._authors, spoken)


def columns(messages: Sequence[SourceMessage]) -> Columns:
    """The columns of one chat, whose messages are in order of time and have `Called` for who is named."""
    people: dict[str, int] = {}
    author = [people.setdefault(message.author, len(people)) for message in messages]
    authors = {message.id: message.author for message in messages}
    to = [_receivers(message, authors) for message in messages]
    named = [[name for name in mentioned(m) if name not in first] for m, first in zip(messages, to, strict=True)]
    texts = [message.text for message in messages]
    bags = [_WORD.findall(text.lower()) for text in texts]
    return Columns(
        author=np.array(author, np.int64),
        to=_first_two(to, people),
        named=_first_two(named, people),
        minute=np.array([_minute(message) for message in messages], np.int64),
        words=np.array([len(bag) for bag in bags], np.int64),
        asks=np.array(["?" in text for text in texts], np.bool_),
        has_link=np.array(["://" in text for text in texts], np.bool_),
        shared=_shared([frozenset(bag) for bag in bags]),
    )


def _receivers(message: SourceMessage, authors: dict[str, str]) -> list[str]:
    replied = authors.get(message.reply_to) if message.reply_to is not None else None
    people = dict.fromkeys([*([] if replied in (None, message.author) else [replied]), *addressed(message)])
    return [person for person in people if person is not None]


def _first_two(people: Sequence[Sequence[str]], numbers: dict[str, int]) -> Ints:
    """[N, 2] whoever never speaks in the chat has no number, and is nobody."""
    rows = [([numbers[name] for name in names if name in numbers] + [NONE, NONE])[:2] for names in people]
    return np.array(rows, np.int64).reshape(-1, 2)


def _minute(message: SourceMessage) -> int:
    return NONE if message.sent_at_ms is None else max(message.sent_at_ms // MINUTE_MS, 0)


def _shared(bags: Sequence[frozenset[str]]) -> npt.NDArray[np.int16]:
    counts = Counter(word for bag in bags for word in bag)
    shared = np.zeros((len(bags), WINDOW), np.int16)
    said: dict[str, list[int]] = defaultdict(list)
    for number, bag in enumerate(bags):
        for word in bag:  # in any order: they are added up
            if counts[word] == 1 or counts[word] * COMMON > len(bags):
                continue
            # Whole bits, because a logarithm's last digit depends on the machine.
            rarity = min((len(bags) // counts[word]).bit_length() - COMMON.bit_length() + 1, RAREST)
            for earlier in reversed(said[word]):
                if number - earlier > WINDOW:
                    break
                shared[number, number - earlier - 1] += rarity
            said[word].append(number)
    return shared


def _each(keys: Sequence[Hashable]) -> list[tuple[Hashable]]:
    return [(key,) for key in keys]


def _latest(keys: Sequence[Hashable], notes: Sequence[Iterable[Hashable]]) -> Ints:
    """[N] for each place, the last place before it whose notes hold its key."""
    last: dict[Hashable, int] = {}
    found = np.full(len(keys), NONE, np.int64)
    for number, (key, noted) in enumerate(zip(keys, notes, strict=True)):
        found[number] = last.get(key, NONE)
        last.update(dict.fromkeys(noted, number))
    return found


def _earliest(keys: Sequence[Hashable], notes: Sequence[Iterable[Hashable]]) -> Ints:
    """[N] for each place, the first place after it whose notes hold its key; N if there is none."""
    return len(keys) - 1 - _latest(keys[::-1], notes[::-1])[::-1]


def _at(values: Ints, places: Ints) -> Ints:
    return np.where(places == NONE, NONE, values[np.maximum(places, 0)])
