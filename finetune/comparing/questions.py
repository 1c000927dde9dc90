"""What two models are both asked: general questions of ours, or held-out conversations of people.

Which of many are asked is settled by hash, so that it is the same ones whenever they are asked for. Knows nothing of
answers.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from engine.generation import ChatMessage
from finetune.dataset.example import Example

# 30 to 50: fewer decide nothing, and more tire.
ITEMS = 40


class Source(StrEnum):
    """Where questions are from."""

    GENERAL = "general"
    CHATS = "chats"


@dataclass(frozen=True)
class Question:
    """A conversation that is to be answered.

    Attributes:
        id: The same for the same question.
        messages: A system message, if there is a persona, and turns up to one of a person.
    """

    id: str
    messages: tuple[ChatMessage, ...]

    @property
    def turns(self) -> tuple[ChatMessage, ...]:
        """What people are shown of it: all but the persona."""
        return tuple(message for message in self.messages if message.role != "system")

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(row["id"], tuple(ChatMessage(**message) for message in row["messages"]))


def general(prompts: Iterable[str], persona: str | None = None, number: int = ITEMS) -> tuple[Question, ...]:
    """Some of the prompts, each as a conversation that begins with it."""
    system = () if persona is None else (ChatMessage("system", persona),)
    asked = [Question(digest("general", prompt), (*system, ChatMessage("user", prompt))) for prompt in set(prompts)]
    return _first(asked, number)


def held_out(examples: Iterable[Example], number: int = ITEMS) -> tuple[Question, ...]:
    """The conversations before the last answer of some examples, at most one of a conversation."""
    by_conversation: dict[str, Question] = {}
    for example in examples:
        question = _before_last_answer(example)
        if question is not None:
            kept = by_conversation.setdefault(example.conversation, question)
            by_conversation[example.conversation] = min(kept, question, key=lambda each: each.id)
    return _first(by_conversation.values(), number)


def _before_last_answer(example: Example) -> Question | None:
    places = [place for place, message in enumerate(example.messages) if message.is_target]
    before = example.messages[: places[-1]] if places else ()
    if not before or before[-1].role != "user":
        return None
    return Question(digest("chats", example.id), tuple(message.chat_message for message in before))


def _first(questions: Iterable[Question], number: int) -> tuple[Question, ...]:
    return tuple(sorted(questions, key=lambda question: question.id)[:number])


def digest(*parts: str) -> str:
    """What texts are known by."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=12).hexdigest()
