"""Whose words each run has seen, and since when it should not have: of imports; the chat log keeps its own.

Beside a run's other files stand, encrypted, `people.rows`: who speaks or votes in which import that it has learnt from,
and `canaries.rows`: the secrets that were planted in its data, without whose words they went. The former is written
before the run trains and removed with the last of its weights. What taints a run is that somebody is forgotten, or that
an import is removed; not that an import is replaced by a newer export, nor a single message less. Knows nothing of what
becomes of tainted models.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from bots.chatlog import FileCipher
from finetune.dataset.canaries import Canary
from finetune.errors import StoreError
from finetune.flywheel.folder import RunFolder
from finetune.importing.store import ImportStore, imported_messages
from finetune.message import LOG, SourceMessage
from finetune.sealed import Rows, write_rows

PEOPLE, CANARIES = "people.rows", "canaries.rows"
AGAIN = "put back a copy of it; nobody can tell otherwise whose words that run has seen"
FORGOTTEN = "somebody was forgotten, or has ended their consent"


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody whose words or votes a run has learnt from.

    Attributes:
        source: Name of the import.
        author: As in the import; empty for all of whom it does not say who they are.
        messages: How many of them are that person's; votes count, too.
        removals: How often an import of that name had been removed before: one more taints, whatever the clock says.
        noted_at: When it was written down.
    """

    source: str
    platform: str
    author: str
    messages: int
    removals: int
    noted_at: datetime

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self) | {"noted_at": self.noted_at.isoformat()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(**{**row, "noted_at": datetime.fromisoformat(row["noted_at"])})


@dataclass(frozen=True)
class Taint:
    """A run that has seen what it should not have any more.

    Attributes:
        since: The first time that somebody wanted it so.
        why: All reasons; names nobody.
    """

    run: str
    since: datetime
    why: str


class Lineage:
    """What all runs have seen."""

    def __init__(self, trainings: Path, imports: ImportStore, cipher: FileCipher) -> None:
        self._trainings, self._imports, self._cipher = trainings, imports, cipher

    def note(self, run: str, message_ids: Iterable[str], canaries: Iterable[Canary], now: datetime) -> frozenset[str]:
        """Write down what a run is going to see, before it does; in place of what was noted of it before.

        Reads all imports. To be called while nobody changes them (`ImportStore.alone`).

        Args:
            message_ids: Of every message in examples, labels and pairs; those of the chat log are passed over.

        Returns:
            Those that are in no import any more: not to be trained on.

        Raises:
            StoreError: An import is damaged, or the file cannot be written.
        """
        missing = {id for id in message_ids if not id.startswith(f"{LOG}:")}
        people: Counter[tuple[str, str, str]] = Counter()
        for message in imported_messages(self._imports, self._imports.all()):
            if message.id in missing:  # the first import that has it counts, as it does for datasets
                missing.remove(message.id)
                people.update((message.source, message.platform, who) for who in _people_in(message))
        removals = Counter(removed.name for removed in self._imports.removed())
        with write_rows(self._file(run, PEOPLE), self._cipher) as written:
            for (source, platform, author), number in sorted(people.items()):
                seen = Seen(source, platform, author, number, removals[source], now)
                written.writer.write(seen.to_json())
        with write_rows(self._file(run, CANARIES), self._cipher) as written:
            for canary in canaries:
                written.writer.write(replace(canary, author=None).to_json())
        return frozenset(missing)

    def seen(self, run: str) -> list[Seen]:
        """Whom a run has seen in imports; nobody if nothing was noted of it, or its weights are gone."""
        path = self._file(run, PEOPLE)
        return list(Rows(path, self._cipher, Seen.from_json, AGAIN)) if path.exists() else []

    def runs_that_saw(self, platform: str, author: str) -> tuple[str, ...]:
        """The runs that have learnt from somebody who speaks in an import, oldest first."""
        return tuple(run for run in self._runs(PEOPLE) if _is_among(platform, {author.lower()}, self.seen(run)))

    def drop(self, run: str) -> None:
        """Remove everything that a run has left which has learnt from anybody, and then whom it has seen.

        Raises:
            StoreError: Something cannot be removed; whom it has seen is known still.
        """
        folder = RunFolder(self._trainings / run)
        folder.drop_models()
        for path in (folder.bundle, *folder.weights()):
            if path.exists():
                raise StoreError(f"{path} cannot be removed; look at its permissions, and remove it by hand")
        self._file(run, PEOPLE).unlink(missing_ok=True)

    def tainted(self, in_log: Mapping[str, datetime]) -> tuple[Taint, ...]:
        """All runs that have seen what they should not have, the first to be tainted first.

        Args:
            in_log: What the chat log has of the same: `ChatLog.training.tainted_since`.
        """
        found = [Taint(run, since, FORGOTTEN) for run, since in in_log.items()]
        for run in self._runs(PEOPLE):
            found += self._tainted_by_imports(run)
        return _merged(found)

    def canaries_before(self, run: str, planted: Collection[Canary]) -> list[Canary]:
        """What was planted in the data of earlier runs and is not among what is `planted` in this one's.

        Some of it went with people who were forgotten meanwhile: the model of this run should not know it.
        """
        known = {canary.example_id for canary in planted}
        earlier: dict[str, Canary] = {}
        for each in self._runs(CANARIES):
            if each < run:
                canaries = Rows(self._file(each, CANARIES), self._cipher, Canary.from_json, AGAIN)
                earlier |= {canary.example_id: canary for canary in canaries if canary.example_id not in known}
        return [earlier[id] for id in sorted(earlier)]

    def _tainted_by_imports(self, run: str) -> Iterator[Taint]:
        seen = self.seen(run)
        for person in self._imports.forgotten():
            if _is_among(person.platform, person.known_by, seen):
                yield Taint(run, person.at, FORGOTTEN)
        before = {each.source: each.removals for each in seen}
        removals = Counter[str]()
        for removed in self._imports.removed():
            removals[removed.name] += 1
            if removed.name in before and removals[removed.name] > before[removed.name]:
                yield Taint(run, removed.at, f"the import {removed.name} was removed")

    def _runs(self, name: str) -> list[str]:
        """The runs that have a file of that name, oldest first."""
        return sorted(path.parent.name for path in self._trainings.glob(f"*/{name}"))

    def _file(self, run: str, name: str) -> Path:
        return self._trainings / run / name


def _people_in(message: SourceMessage) -> Iterator[str]:
    yield message.author
    yield from (rating.voter for rating in message.ratings)


def _is_among(platform: str, known_by: Collection[str], seen: Iterable[Seen]) -> bool:
    return any(each.platform == platform and each.author.lower() in known_by for each in seen)


def _merged(taints: Iterable[Taint]) -> tuple[Taint, ...]:
    """One for each run, with all its reasons in the order of time."""
    by_run: dict[str, Taint] = {}
    for taint in sorted(taints, key=lambda each: (each.since, each.run)):
        first = by_run.setdefault(taint.run, taint)
        if taint.why not in first.why.split("; "):
            by_run[taint.run] = replace(first, why=f"{first.why}; {taint.why}")
    return tuple(by_run.values())
