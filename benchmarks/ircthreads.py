"""The Ubuntu IRC corpus with its links between messages, and how well predicted links agree with them.

The corpus: Kummerfeld et al., "A Large-Scale Corpus for Conversation Disentanglement", ACL 2019. Joins, parts and the
like are left out: an importer passes on what people say.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from finetune.message import SourceMessage
from finetune.threads.names import call_names

Parents = Mapping[int, Sequence[int]]

_SAID = ("message", "action")
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class AnnotatedLog:
    """What people said, and for a part of it what that answers.

    Attributes:
        parents: For each annotated message, the messages it answers; none if it starts a conversation.
    """

    messages: tuple[SourceMessage, ...]
    parents: Parents

    def with_names(self) -> Self:
        """The same with `Called` for who is named."""
        return replace(self, messages=tuple(call_names(self.messages)))

    def without_times(self) -> Self:
        """The same from a source that has no times."""
        return replace(self, messages=tuple(replace(message, sent_at_ms=None) for message in self.messages))

    def with_replies(self, one_in: int) -> Self:
        """The same from a source that knows one in so many of the links."""
        linked = [number for number, parents in self.parents.items() if parents]
        known = {number: self.messages[self.parents[number][-1]].id for number in linked[::one_in]}
        return replace(
            self,
            messages=tuple(replace(m, reply_to=known.get(n)) for n, m in enumerate(self.messages)),
        )


def read_logs(data: Path, part: str) -> list[AnnotatedLog]:
    """The logs of the `train` or `dev` part."""
    with gzip.open(data / "irc-disentanglement" / f"{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [_log(json.loads(line)) for line in lines]


def _log(row: dict[str, Any]) -> AnnotatedLog:
    said = [line for line in row["messages"] if line["kind"] in _SAID]
    numbers = {line["i"]: number for number, line in enumerate(said)}
    parents = {
        numbers[line["i"]]: [numbers[parent] for parent in line["reply_to"] if parent in numbers]
        for line in said
        if "reply_to" in line
    }
    midnight = datetime.fromisoformat(row["date"]).replace(tzinfo=UTC)
    times = _minutes(line["t"] for line in said)
    messages = [_message(row["log"], line, midnight, minute) for line, minute in zip(said, times, strict=True)]
    return AnnotatedLog(tuple(messages), parents)


def _message(log: str, line: dict[str, Any], midnight: datetime, minute: int) -> SourceMessage:
    return SourceMessage(
        id=f"irc:{log}:{line['i']}",
        platform="irc",
        chat=log,
        author=line["nick"],
        name=line["nick"],
        pieces=(line["text"],),
        sent_at_ms=int(midnight.timestamp() * 1000) + minute * 60_000,
    )


def _minutes(times: Iterable[str]) -> Iterator[int]:
    """Minutes since the first midnight; a log may pass others."""
    days, last = 0, 0
    for time in times:
        hours, minutes = time.split(":")
        minute = int(hours) * 60 + int(minutes)
        days += last - minute > _DAY_MINUTES // 2
        last = minute
        yield days * _DAY_MINUTES + minute


@dataclass(frozen=True)
class Agreement:
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """The harmonic mean."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def agreement_of_links(
    logs: Sequence[AnnotatedLog], found: Sequence[Sequence[int | None]], *, roots: bool
) -> Agreement:
    """How many links of annotated messages are found, and how many of those found are right.

    Args:
        logs: With what is right.
        found: For each log and message, what it answers.
        roots: Whether a message that starts a conversation counts as one that answers itself, as in Kummerfeld et al.
    """
    right = num_found = num_true = 0
    for log, guesses in zip(logs, found, strict=True):
        for number, parents in log.parents.items():
            itself = {number} if roots else set()
            true, guess = set(parents) or itself, {guesses[number]} - {None} or itself
            right, num_found, num_true = right + len(true & guess), num_found + len(guess), num_true + len(true)
    return Agreement(right / num_found if num_found else 0.0, right / num_true)


def agreement_of_threads(logs: Sequence[AnnotatedLog], found: Sequence[Sequence[int | None]]) -> Agreement:
    """B-cubed over annotated messages (Bagga and Baldwin, "Algorithms for Scoring Coreference Chains", LREC 1998).

    A thread is what links of annotated messages connect, and of it the annotated messages: two of them that answer the
    same message before the annotated part are in one thread.
    """
    precision, recall, count = 0.0, 0.0, 0
    for log, guesses in zip(logs, found, strict=True):
        true = _threads(log.parents)
        guess = _threads({n: [] if (parent := guesses[n]) is None else [parent] for n in log.parents})
        for number in log.parents:
            both = len(true[number] & guess[number])
            precision, recall, count = (
                precision + both / len(guess[number]),
                recall + both / len(true[number]),
                count + 1,
            )
    return Agreement(precision / count, recall / count)


def _threads(parents: Parents) -> dict[int, set[int]]:
    """For each annotated message, those that are in one thread with it."""
    groups: dict[int, set[int]] = {}
    for number, targets in parents.items():
        joined = groups.setdefault(number, {number})
        for target in targets:
            other = groups.setdefault(target, {target})
            if other is not joined:
                joined |= other
                groups.update(dict.fromkeys(other, joined))
    return {number: groups[number] & parents.keys() for number in parents}
