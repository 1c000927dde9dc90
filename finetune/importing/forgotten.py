"""Who was to be forgotten, remembered for the sake of imports to come: exports made before have those people still.

Knows nothing of how imports are kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bots.chatlog import FileCipher
from engine.speakers import Called, Piece
from finetune.gathering import by_chat, in_order
from finetune.message import SourceMessage
from finetune.sealed import Rows, write_rows
from finetune.threads.names import call_names

AGAIN = "put back a copy of it, or remove it and forget again whom it has named"
# Of people who were forgotten when nobody wrote down yet when.
_BEFORE_TIMES = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Forgotten:
    """Somebody of whom no import may hold anything.

    Attributes:
        names: What the person was called; also what exports without ids know the person by.
        at: When somebody first asked for it.
    """

    platform: str
    author: str
    names: tuple[str, ...]
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        at = datetime.fromisoformat(row["at"]) if "at" in row else _BEFORE_TIMES
        return cls(row["platform"], row["author"], tuple(row["names"]), at)

    @property
    def key(self) -> tuple[str, str]:
        """The same for all ways of writing an author: importers of IRC make small letters of a nick."""
        return self.platform, self.author.lower()

    @property
    def known_by(self) -> frozenset[str]:
        """All that the person may be called as an author, in small letters."""
        return frozenset(word.lower() for word in (self.author, *self.names))


class Oblivion:
    """The people of one platform who were forgotten."""

    def __init__(self, people: Sequence[Forgotten]) -> None:
        self._names = {each.author: each.names for each in people}
        self._known_by = {word for each in people for word in each.known_by}
        self.num_left_out = 0

    def left(self, messages: Iterable[SourceMessage]) -> Iterator[SourceMessage]:
        """What is left of messages without those people: what they say, their votes, and where others name them.

        By chat and time, and in memory at once; as they come if nobody was forgotten. How many were left out is
        counted.
        """
        if not self._names:
            yield from messages
            return
        for chat in by_chat(in_order(messages)):
            # In texts, too: once nobody speaks by that name, later stages would take it for a word.
            for message in call_names(chat, self._names):
                if self._is_known(message.author):
                    self.num_left_out += 1
                else:
                    yield self._without(message)

    def _without(self, message: SourceMessage) -> SourceMessage:
        ratings = tuple(rating for rating in message.ratings if not self._is_known(rating.voter))
        return replace(message.with_pieces(map(self._piece, message.pieces)), ratings=ratings)

    def _piece(self, piece: Piece) -> Piece:
        return "someone" if isinstance(piece, Called) and self._is_known(piece.speaker) else piece

    def _is_known(self, author: str) -> bool:
        return author.lower() in self._known_by


def look_for(
    platform: str, authors: Iterable[str], messages: Iterable[SourceMessage], now: datetime
) -> list[Forgotten]:
    """Those of some people who are there, with all the names that messages of the platform have for them."""
    wanted = {author.lower(): author for author in authors if author}  # without one are all whose source has none
    names: dict[str, dict[str, None]] = {}
    for message in messages if wanted else ():
        for person in map(str.lower, _people_in(message)):
            if person in wanted:
                names.setdefault(person, {})
        if (author := message.author.lower()) in wanted and message.name.strip():
            names[author][message.name] = None
    return [Forgotten(platform, wanted[person], tuple(known), now) for person, known in names.items()]


def _people_in(message: SourceMessage) -> Iterator[str]:
    yield message.author
    yield from (piece.speaker for piece in message.pieces if isinstance(piece, Called))
    yield from (rating.voter for rating in message.ratings)


def read(path: Path, cipher: FileCipher, platform: str) -> list[Forgotten]:
    """The people of a platform who were forgotten so far."""
    return [each for each in read_all(path, cipher) if each.platform == platform]


def remember(path: Path, cipher: FileCipher, forgotten: Iterable[Forgotten]) -> None:
    """Add people who are to be forgotten; names that were known before stay."""
    people = {each.key: each for each in read_all(path, cipher)}
    for person in forgotten:
        before = people.get(person.key, person)
        people[person.key] = replace(before, names=tuple(dict.fromkeys((*before.names, *person.names))))
    with write_rows(path, cipher) as written:
        for each in people.values():
            written.writer.write(each.to_json())


def read_all(path: Path, cipher: FileCipher) -> Iterable[Forgotten]:
    """The people of all platforms who were."""
    return Rows(path, cipher, Forgotten.from_json, AGAIN) if path.exists() else ()
