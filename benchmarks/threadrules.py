"""Who answers whom without learning, to compare with: what FINETUNE.md 3.2 calls cheap rules."""

from collections.abc import Callable, Sequence

from finetune.message import SourceMessage
from finetune.threads.addressing import addressed

MINUTE_MS = 60_000

Linker = Callable[[Sequence[SourceMessage]], Sequence[int | None]]


def previous(minutes: int) -> Linker:
    """Everything answers the message before it, if that is recent."""

    def linker(messages: Sequence[SourceMessage]) -> list[int | None]:
        return [_recent(messages, n - 1 if n else None, n, minutes) for n in range(len(messages))]

    return linker


def same_author(minutes: int) -> Linker:
    """Everybody goes on with what they said themselves."""

    def linker(messages: Sequence[SourceMessage]) -> list[int | None]:
        last: dict[str, int] = {}
        found: list[int | None] = []
        for number, message in enumerate(messages):
            found.append(_recent(messages, last.get(message.author), number, minutes))
            last[message.author] = number
        return found

    return linker


def addressing(messages: Sequence[SourceMessage]) -> list[int | None]:
    """Who is named at the start is answered (60 minutes); else who last named me, or what I said last (10 minutes)."""
    said: dict[str, int] = {}
    calls: dict[str, int] = {}
    found: list[int | None] = []
    for number, message in enumerate(messages):
        people = addressed(message)
        answered = [_recent(messages, said.get(person), number, 60) for person in people]
        own = [_recent(messages, known.get(message.author), number, 10) for known in (said, calls)]
        there = [parent for parent in answered if parent is not None] or [p for p in own if p is not None]
        found.append(max(there, default=None))
        said[message.author] = number
        calls.update(dict.fromkeys(people, number))
    return found


def _recent(messages: Sequence[SourceMessage], earlier: int | None, later: int, minutes: int) -> int | None:
    if earlier is None:
        return None
    before, after = messages[earlier].sent_at_ms, messages[later].sent_at_ms
    assert before is not None and after is not None
    return earlier if after - before <= minutes * MINUTE_MS else None
