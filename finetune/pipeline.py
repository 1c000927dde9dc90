"""The stages that make a dataset of chats, in order, each with what it reads, makes and goes by.

The rules themselves stand in the modules that the stages call. Knows nothing of where runs are kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.speakers import Called
from finetune import assembling, gathering
from finetune.cleaning import messages as cleaning
from finetune.cleaning import normalise, personal, secrets, turns
from finetune.cleaning.messages import Cleaned
from finetune.cleaning.pool import Pool
from finetune.conversation import Conversation
from finetune.dataset import caps, duplicates, quality, voices
from finetune.dataset.withholding import Decided
from finetune.fate import Fate, changed
from finetune.gathering import Source, Speaker, by_chat, by_place
from finetune.message import SourceMessage
from finetune.stages import Stage, Work
from finetune.threads import conversations, names

MESSAGES, CONVERSATIONS = "messages", "conversations"


@dataclass(frozen=True)
class Shares:
    """How much of what is learnt may come from one place, from 0 to 1."""

    author: float
    chat: float
    voter: float


def stages(
    sources: Sequence[Source], known_by: Mapping[str, Any], shares: Shares, assembly: assembling.Assembly, pool: Pool
) -> list[Stage]:
    """The stages of a dataset; `known_by` is what the sources are known by, as plain JSON."""
    return [
        Stage(
            "gather",
            gathering.VERSION,
            (),
            ("gathered", "people"),
            MESSAGES,
            partial(gathering.gather, sources=sources),
            known_by,
        ),
        _of_messages("normalise", normalise.VERSION, "gathered", "normalised", partial(map, normalise.normalised)),
        _of_messages(
            "secrets", secrets.VERSION, "normalised", "without_secrets", partial(pool.map, cleaning.without_secrets)
        ),
        _of_messages("personal", personal.VERSION, "without_secrets", "redacted", partial(pool.map, cleaning.redacted)),
        Stage("names", names.VERSION, ("redacted", "people"), ("named",), MESSAGES, _call_names),
        Stage("threads", conversations.VERSION, ("named",), ("threaded",), MESSAGES, _find_threads),
        _of_conversations("voices", voices.VERSION, "threaded", "voiced", partial(map, voices.voiced)),
        _of_conversations("turns", turns.VERSION, "voiced", "joined", partial(pool.map, turns.cleaned)),
        _of_conversations("quality", quality.VERSION, "joined", "worthy", partial(map, quality.check)),
        _of_conversations(
            "duplicates",
            duplicates.VERSION,
            "worthy",
            "distinct",
            partial(duplicates.drop_duplicates, frozen=assembly.frozen),
            assembly.frozen_by,
        ),
        _of_conversations(
            "caps",
            caps.VERSION,
            "distinct",
            "capped",
            partial(caps.cap, author_share=shares.author, chat_share=shares.chat),
            {"author": shares.author, "chat": shares.chat},
        ),
        *assembly.stages("capped", shares.voter),
    ]


def _of_messages(
    name: str,
    version: int,
    source: str,
    out: str,
    look_at: Callable[[Iterable[SourceMessage]], Iterable[Cleaned]],
) -> Stage:
    """A stage that looks at each message for itself."""

    def run(work: Work) -> None:
        for message, fates in look_at(work.read(source, SourceMessage.from_json)):
            work.decide(message, fates)

    return Stage(name, version, (source,), (out,), MESSAGES, run)


def _of_conversations(
    name: str,
    version: int,
    source: str,
    out: str,
    look_at: Callable[[Iterable[Conversation]], Iterable[Decided]],
    settings: Mapping[str, Any] | None = None,
) -> Stage:
    """A stage that looks at all conversations, as often as it likes."""

    def run(work: Work) -> None:
        for conversation, fates in look_at(work.read(source, Conversation.from_json)):
            work.decide(conversation, fates)

    return Stage(name, version, (source,), (out,), CONVERSATIONS, run, settings or {})


def _call_names(work: Work) -> None:
    people = by_place(work.read("people", Speaker.from_json))
    for chat in by_chat(work.read("redacted", SourceMessage.from_json)):
        around = people.get((chat[0].platform, chat[0].chat), names.NOBODY)
        for before, message in zip(chat, names.call_names(chat, around), strict=True):
            work.decide(message, _called(before, message))


def _called(before: SourceMessage, after: SourceMessage) -> tuple[Fate, ...]:
    number = _num_called(after) - _num_called(before)
    return (changed(after.id, "names", f"{number} people called by name"),) if number else ()


def _num_called(message: SourceMessage) -> int:
    return sum(isinstance(piece, Called) for piece in message.pieces)


def _find_threads(work: Work) -> None:
    for chat in by_chat(work.read("named", SourceMessage.from_json)):
        work.pass_on(len(chat))
        for conversation in conversations.find(chat):
            work.write("threaded", conversation.to_json())
