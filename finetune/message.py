"""One message of any source, in the one shape that all stages before conversations work on.

Knows nothing of where messages come from or what becomes of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from engine.speakers import Called, Piece

# The platform of what was not said on any: public dialogues, made for training.
DATASET = "dataset"
# The source of what people said to our own bot.
LOG = "log"


class Kind(StrEnum):
    """What a message is."""

    MESSAGE = "message"
    ACTION = "action"  # IRC's /me
    COMMAND = "command"  # said to a bot, not to people
    FORWARD = "forward"  # somebody else's words
    CORRECTION = "correction"  # what a person says that the bot should have answered, in reply to its answer
    REJECTED = "rejected"  # an answer of the bot that a person had written anew, in reply to the question


class Role(StrEnum):
    """Whose part a message is, where the source says so."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Rating:
    """What one person thinks of an answer of the bot.

    Attributes:
        voter: As `SourceMessage.author`.
        score: 1 or -1.
    """

    voter: str
    score: int
    source: str


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """What somebody said.

    Attributes:
        id: Unique over all sources, and what `--explain` knows it by: `platform:chat:number`.
        chat: Where it was said, with the platform's id or name; `thread` inside it, if it was in one.
        author: Tells people of one platform apart; empty if the source does not say.
        name: What others call the author; empty if the source does not say.
        pieces: The words; who is called by name in the middle of them is a `Called` with the author.
        sent_at_ms: Milliseconds since 1970 in UTC; None if the source has no times.
        reply_to: The `id` of the message that it answers, where the source says so; may be missing.
        conversation: Where the source itself divides into conversations, which one; each message then answers the one
            before it unless `reply_to` says otherwise.
        is_shared: Whether it was said where several people talk with our bot, so that it saw a tag before each; only
            the log knows.
        model_version: On answers of our own bot, what wrote them.
        source: Where it comes from: the name of an import, or `log`; set when it is gathered.
    """

    id: str
    platform: str
    chat: str
    author: str
    pieces: tuple[Piece, ...]
    name: str = ""
    thread: str | None = None
    sent_at_ms: int | None = None
    reply_to: str | None = None
    conversation: str | None = None
    role: Role | None = None
    kind: Kind = Kind.MESSAGE
    is_bot: bool = False
    is_shared: bool = False
    ratings: tuple[Rating, ...] = ()
    model_version: str | None = None
    source: str = ""

    @property
    def text(self) -> str:
        """The words alone, without the people who are called by name in them."""
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    def with_pieces(self, pieces: Iterable[Piece]) -> Self:
        """The same message saying something else; neighbouring strings become one, and empty ones go."""
        return replace(self, pieces=tuple(_joined(pieces)))

    def to_json(self) -> dict[str, Any]:
        """A JSON object; what is as by default is left out."""
        row: dict[str, Any] = {
            "id": self.id,
            "platform": self.platform,
            "chat": self.chat,
            "author": self.author,
            "pieces": pieces_to_json(self.pieces),
        }
        for name, default in _OPTIONAL.items():
            if (value := getattr(self, name)) != default:
                row[name] = value
        if self.ratings:
            row["ratings"] = ratings_to_json(self.ratings)
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        optional = {name: row[name] for name in _OPTIONAL if name in row}
        if "role" in optional:
            optional["role"] = Role(optional["role"])
        if "kind" in optional:
            optional["kind"] = Kind(optional["kind"])
        return cls(
            id=row["id"],
            platform=row["platform"],
            chat=row["chat"],
            author=row["author"],
            pieces=pieces_from_json(row["pieces"]),
            ratings=ratings_from_json(row.get("ratings", ())),
            **optional,
        )


# What `to_json` writes as it is, unless it is as by default.
_OPTIONAL = {
    field.name: field.default
    for field in fields(SourceMessage)
    if field.default is not MISSING and field.name != "ratings"
}


def pieces_to_json(pieces: Iterable[Piece]) -> list[Any]:
    """What somebody says, as plain JSON."""
    return [{"called": piece.speaker} if isinstance(piece, Called) else piece for piece in pieces]


def pieces_from_json(rows: Iterable[Any]) -> tuple[Piece, ...]:
    """The reverse of `pieces_to_json`."""
    return tuple(Called(row["called"]) if isinstance(row, dict) else row for row in rows)


def ratings_to_json(ratings: Iterable[Rating]) -> list[Any]:
    """What people think of an answer, as plain JSON."""
    return [[rating.voter, rating.score, rating.source] for rating in ratings]


def ratings_from_json(rows: Iterable[Any]) -> tuple[Rating, ...]:
    """The reverse of `ratings_to_json`."""
    return tuple(Rating(*row) for row in rows)


def _joined(pieces: Iterable[Piece]) -> Iterable[Piece]:
    words: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            words.append(piece)
            continue
        if text := "".join(words):
            yield text
        words = []
        yield piece
    if text := "".join(words):
        yield text
