"""Brings together what may be trained on, from the imports and from the chat log, each chat in order of time.

What the operator's settings do not permit today stays out, and what two overlapping exports both hold comes once.
Who speaks where is told beside: of some people no message may be left when names are looked for in the texts.
Knows nothing of what is in the messages.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from finetune.fate import dropped
from finetune.message import SourceMessage
from finetune.stages import Work

VERSION = 1


@dataclass(frozen=True)
class Source:
    """Messages of one origin.

    Attributes:
        refusal: Why nothing of it may be trained on today; None if it may.
    """

    name: str
    messages: Iterable[SourceMessage]
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Speaker:
    """What somebody who speaks in a chat, or one of its threads, is called there."""

    platform: str
    chat: str
    author: str
    name: str

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(**row)


def gather(work: Work, sources: Iterable[Source]) -> None:
    """All messages of all sources, by chat and time; and all who speak in them, as `people`."""
    seen: set[str] = set()
    kept: list[SourceMessage] = []
    for source in sources:
        for message in work.counted(source.messages):
            if source.refusal is not None:
                work.decide(None, (dropped(message.id, "not permitted", source.refusal),))
            elif message.id in seen:
                work.decide(None, (dropped(message.id, "imported twice", "an earlier import has it, too"),))
            else:
                seen.add(message.id)
                kept.append(message)
    ordered = in_order(kept)
    for message in ordered:
        work.keep(message)
    for speaker in dict.fromkeys(map(_speaker, ordered)):
        if speaker.name.strip():
            work.write("people", speaker.to_json())


def by_place(speakers: Iterable[Speaker]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """For each platform and chat the names of its people, by author."""
    places: dict[tuple[str, str], dict[str, list[str]]] = {}
    for each in speakers:
        places.setdefault((each.platform, each.chat), {}).setdefault(each.author, []).append(each.name)
    return places


def in_order(messages: Iterable[SourceMessage]) -> list[SourceMessage]:
    """By chat, thread and time; what has no time stays in the order in which it came, before what has one."""
    return sorted(messages, key=lambda m: (m.platform, m.chat, m.thread or "", m.sent_at_ms or 0))


def by_chat(messages: Iterable[SourceMessage]) -> Iterator[list[SourceMessage]]:
    """The messages of one chat, or thread, after the other; of a source that is in order."""
    chat: list[SourceMessage] = []
    for message in messages:
        if chat and _place(message) != _place(chat[0]):
            yield chat
            chat = []
        chat.append(message)
    if chat:
        yield chat


def _speaker(message: SourceMessage) -> Speaker:
    return Speaker(message.platform, message.chat, message.author, message.name)


def _place(message: SourceMessage) -> tuple[str, str, str | None]:
    return message.platform, message.chat, message.thread
