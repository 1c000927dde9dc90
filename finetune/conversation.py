"""Who answers whom, and the conversations that follow from it: what the stages after threads work on.

Knows nothing of how links are found or what is trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from engine.speakers import Piece
from finetune.message import (
    Kind,
    Rating,
    Role,
    pieces_from_json,
    pieces_to_json,
    ratings_from_json,
    ratings_to_json,
)


class LinkKind(StrEnum):
    """How it is known what a message answers; the surer, the earlier."""

    REPLY = "reply"  # the source has a link
    SOURCE = "source"  # the source divides into conversations, or its chat has two sides
    ADDRESSED = "addressed"  # it begins with somebody's name
    INFERRED = "inferred"  # rules or the learned scorer say so
    ROOT = "root"  # it answers nothing

    @property
    def weight(self) -> float:
        """How much an example counts in training whose answer hangs on such a link (FINETUNE 3.4, rule 6)."""
        return 0.5 if self is LinkKind.INFERRED else 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one person said in one go: one message, or a few in a row.

    Attributes:
        ids: Of its messages, in order.
        parent: Number of the turn that it answers, in the same conversation and smaller than its own; None at a root.
        link: How that is known.
        is_target: Whether a model may learn to say this.
    """

    ids: tuple[str, ...]
    author: str
    pieces: tuple[Piece, ...]
    parent: int | None
    link: LinkKind
    sent_at_ms: int | None = None
    role: Role | None = None
    kind: Kind = Kind.MESSAGE
    is_bot: bool = False
    is_target: bool = False
    ratings: tuple[Rating, ...] = ()
    model_version: str | None = None

    @property
    def text(self) -> str:
        """The words alone, without the people who are called by name in them."""
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    def with_target(self, is_target: bool) -> Self:
        """The same turn, to be learnt or not."""
        return replace(self, is_target=is_target)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "ids": list(self.ids),
            "author": self.author,
            "pieces": pieces_to_json(self.pieces),
            "parent": self.parent,
            "link": self.link,
            "sent_at_ms": self.sent_at_ms,
            "role": self.role,
            "kind": self.kind,
            "is_bot": self.is_bot,
            "is_target": self.is_target,
            "ratings": ratings_to_json(self.ratings),
            "model_version": self.model_version,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(
            ids=tuple(row["ids"]),
            author=row["author"],
            pieces=pieces_from_json(row["pieces"]),
            parent=row["parent"],
            link=LinkKind(row["link"]),
            sent_at_ms=row["sent_at_ms"],
            role=Role(row["role"]) if row["role"] else None,
            kind=Kind(row["kind"]),
            is_bot=row["is_bot"],
            is_target=row["is_target"],
            ratings=ratings_from_json(row["ratings"]),
            model_version=row["model_version"],
        )


@dataclass(frozen=True, slots=True)
class Conversation:
    """A tree of turns, in the order in which they were said.

    Attributes:
        key: The id of its first message: stable when later messages join it.
        source: Where it comes from: the name of an import, or `log`.
        is_shared: Whether several people speak beside the assistant, so that each needs a tag.
    """

    key: str
    source: str
    platform: str
    chat: str
    turns: tuple[Turn, ...]
    is_shared: bool

    @property
    def started_at_ms(self) -> int | None:
        """When its first turn was said, if the source has times."""
        return self.turns[0].sent_at_ms

    @property
    def ended_at_ms(self) -> int | None:
        """When its last turn was said, if the source has times."""
        times = [turn.sent_at_ms for turn in self.turns if turn.sent_at_ms is not None]
        return max(times) if times else None

    def with_turns(self, turns: tuple[Turn, ...]) -> Self:
        """The same conversation with other turns; their numbers stay what they were."""
        return replace(self, turns=turns)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "key": self.key,
            "source": self.source,
            "platform": self.platform,
            "chat": self.chat,
            "is_shared": self.is_shared,
            "turns": [turn.to_json() for turn in self.turns],
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(
            key=row["key"],
            source=row["source"],
            platform=row["platform"],
            chat=row["chat"],
            turns=tuple(Turn.from_json(turn) for turn in row["turns"]),
            is_shared=row["is_shared"],
        )
