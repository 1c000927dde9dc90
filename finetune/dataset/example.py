"""What a model is trained on: conversations as turns of user and assistant, with what in them is to be learnt.

Knows nothing of templates or tokens, nor of how examples come about.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from engine.generation import ChatMessage


@dataclass(frozen=True, slots=True)
class ExampleMessage:
    """One turn.

    Attributes:
        role: `system`, `user` or `assistant`.
        weight: How much it counts in the loss; 0 for context, which is all that people say to the assistant.
    """

    role: str
    content: str
    weight: float = 0.0

    @property
    def is_target(self) -> bool:
        """Whether it is to be learnt."""
        return self.weight > 0

    @property
    def chat_message(self) -> ChatMessage:
        """What the chat template is given, in training as in serving."""
        return ChatMessage(self.role, self.content)  # type: ignore[arg-type]  # checked where it is made


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation up to an answer, or with several.

    Attributes:
        id: Unique in a dataset: that of the first message of its last answer.
        conversation: Key of the conversation; examples that share one are in one split.
        source: Name of the import, `log`, `replay` or `canary`.
        message_ids: Of everything in it: whose words a model sees that is trained on it.
        authors: Who speaks in it, the learnt ones first.
    """

    id: str
    conversation: str
    source: str
    messages: tuple[ExampleMessage, ...]
    message_ids: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """What is to be learnt."""
        return tuple(message.content for message in self.messages if message.is_target)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(
            id=row["id"],
            conversation=row["conversation"],
            source=row["source"],
            messages=tuple(ExampleMessage(**message) for message in row["messages"]),
            message_ids=tuple(row["message_ids"]),
            authors=tuple(row["authors"]),
        )


@dataclass(frozen=True, slots=True)
class Label:
    """An answer that people liked, or did not (for KTO: Ethayarajh et al., 2024, arXiv:2402.01306).

    Attributes:
        prompt: What the answer was given to.
        voters: Who rated it.
    """

    id: str
    conversation: str
    prompt: tuple[ExampleMessage, ...]
    completion: str
    is_good: bool
    voters: tuple[str, ...]
    message_ids: tuple[str, ...] = ()
    model_version: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`; what else is in the row, as its split, is passed over."""
        return cls(
            id=row["id"],
            conversation=row["conversation"],
            prompt=tuple(ExampleMessage(**message) for message in row["prompt"]),
            completion=row["completion"],
            is_good=row["is_good"],
            voters=tuple(row["voters"]),
            message_ids=tuple(row["message_ids"]),
            model_version=row["model_version"],
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to the same, one better than the other (for DPO: Rafailov et al., 2023, arXiv:2305.18290).

    Attributes:
        reason: `correction`, or `retry`.
        voters: Who says so.
    """

    id: str
    conversation: str
    prompt: tuple[ExampleMessage, ...]
    chosen: str
    rejected: str
    reason: str
    voters: tuple[str, ...]
    message_ids: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)
