"""Puts together what the data report shows, from the manifests of a dataset and the files of its stages.

Knows nothing of how it is shown.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.speakers import Called
from finetune.assembling import Assigned
from finetune.checks import MIN_AUTHORS, MIN_TARGETS, RESCANNED, Facts, checks, common_reply_share
from finetune.cleaning.personal import PersonalData
from finetune.cleaning.secrets import SecretScanner
from finetune.conversation import Conversation, Turn
from finetune.dataset import canaries, heldout
from finetune.dataset.caps import attainable, chat_of, target_bytes, taught_by
from finetune.dataset.duplicates import shared_near_duplicates
from finetune.dataset.example import Example
from finetune.dataset.splits import Split
from finetune.fate import Outcome
from finetune.importing.store import Import, ImportStore
from finetune.message import LOG, SourceMessage
from finetune.report import (
    Concentration,
    DataReport,
    Histogram,
    Preferences,
    Sample,
    SampleLine,
    SourceLine,
    SplitLine,
    StageLine,
    Threads,
    Times,
    Unit,
)
from finetune.runs import Dataset, Runs
from finetune.stages import FATES, Done

BLOT = "\N{FULL BLOCK}"
_COUNTED = re.compile(r"(\d+) (\w+)")


def report_on(
    runs: Runs,
    imports: ImportStore,
    dataset: Dataset,
    num_samples: int,
    *,
    min_targets: int = MIN_TARGETS,
    min_authors: int = MIN_AUTHORS,
) -> DataReport:
    """The report of a dataset, with so many samples of each kind; its checks go by the limits that are given."""
    looked = _look(runs, dataset)
    examples = dataset.stage("examples").notes
    told = dataset.stage("preferences").notes
    return DataReport(
        run=dataset.run,
        dataset_sha256=dataset.sha256,
        sources=tuple(_sources(imports.all(), dataset, looked)),
        stages=tuple(map(_stage, dataset.stages)),
        target_tokens=Histogram.of(_expanded(examples["target_tokens"])),
        authors=Concentration.of(looked.authors.values()),
        chats=Concentration.of(looked.chats.values()),
        times=Times.of(looked.times),
        redactions=_redactions(runs, dataset),
        secrets=_secrets(runs, dataset),
        threads=_threads(runs, dataset),
        splits=tuple(_splits(dataset)),
        preferences=Preferences(told["good"], told["bad"], told["pairs"], told["voters"], told["capped"]),
        checks=checks(_facts(runs, dataset, looked), min_targets=min_targets, min_authors=min_authors),
        samples=tuple(_samples(runs, dataset, num_samples)) if num_samples else (),
    )


@dataclass
class _Looked:
    """What one pass over messages and one over conversations tell."""

    messages: Counter[str] = field(default_factory=Counter)
    times: list[int | None] = field(default_factory=list)
    authors: Counter[str] = field(default_factory=Counter)
    chats: Counter[str] = field(default_factory=Counter)
    conversations: Counter[str] = field(default_factory=Counter)
    targets: list[str] = field(default_factory=list)


def _look(runs: Runs, dataset: Dataset) -> _Looked:
    looked = _Looked()
    for message in runs.rows(dataset, "gathered", SourceMessage.from_json):
        looked.messages[message.source] += 1
        looked.times.append(message.sent_at_ms)
    for conversation in runs.rows(dataset, "capped", Conversation.from_json):
        looked.conversations[conversation.source] += 1
    for conversation, turn in _taught(runs, dataset):
        looked.authors[taught_by(turn)] += target_bytes(turn)
        looked.chats[chat_of(conversation)] += target_bytes(turn)
        looked.targets.append(turn.text)
    return looked


def _taught(runs: Runs, dataset: Dataset) -> Iterator[tuple[Conversation, Turn]]:
    """The turns that a model trained on the dataset learns: those of which an example came out."""
    refused = {row["id"] for row in runs.run(dataset.run).rows("examples", FATES)}
    for assigned in runs.rows(dataset, "assigned", Assigned.from_json):
        if assigned.split is Split.TRAIN:
            for turn in assigned.conversation.turns:
                if turn.is_target and turn.ids[0] not in refused:
                    yield assigned.conversation, turn


def _sources(imports: Iterable[Import], dataset: Dataset, looked: _Looked) -> Iterator[SourceLine]:
    if looked.messages[LOG]:
        yield SourceLine(
            LOG, "chat log", "all", "consent, by the policy gate", looked.messages[LOG], looked.conversations[LOG]
        )
    known = {each.name: each for each in imports}
    for each in dataset.inputs["sources"]["imports"]:
        name = each["name"]
        done = known.get(name)
        yield SourceLine(
            name=name,
            format=done.origin.format if done else "removed",
            platform=done.origin.platform if done else "",
            right=each["right"],
            messages=looked.messages[name],
            conversations=looked.conversations[name],
            note=each["refusal"] or (f"{done.problems:,} bad rows" if done and done.problems else ""),
        )


def _stage(done: Done) -> StageLine:
    return StageLine(
        name=done.stage,
        version=str(done.version),
        unit=Unit(done.unit),
        went_in=done.went_in,
        came_out=done.came_out,
        dropped=done.dropped,
        changed=done.changed,
        added=done.notes.get("added", {}),
    )


def _expanded(counts: Mapping[str, int]) -> Iterator[int]:
    for size, number in counts.items():
        yield from [int(size)] * number


def _redactions(runs: Runs, dataset: Dataset) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in runs.run(dataset.run).rows("personal", FATES):
        for number, kind in _COUNTED.findall(row["detail"]):
            counts[kind] += int(number)
    return dict(counts)


def _secrets(runs: Runs, dataset: Dataset) -> dict[str, int]:
    rows = runs.run(dataset.run).rows("secrets", FATES)
    return dict(Counter(rule for row in rows for rule in row["detail"].split(", ")))


def _threads(runs: Runs, dataset: Dataset) -> Threads:
    sizes: list[int] = []
    depths: list[int] = []
    links: Counter[str] = Counter()
    for conversation in runs.rows(dataset, "threaded", Conversation.from_json):
        depth: list[int] = []
        for turn in conversation.turns:
            depth.append(0 if turn.parent is None else depth[turn.parent] + 1)
            links[turn.link] += 1
        sizes.append(len(depth))
        depths.append(max(depth))
    return Threads(Histogram.of(sizes), Histogram.of(depths), dict(links))


def _splits(dataset: Dataset) -> Iterator[SplitLine]:
    for split in Split:
        counts = dataset.stage("examples").notes["splits"][split]
        yield SplitLine(
            split, counts.get("conversations", 0), counts.get("examples", 0), counts.get("target_tokens", 0)
        )


def _facts(runs: Runs, dataset: Dataset, looked: _Looked) -> Facts:
    settings = dataset.inputs["stages"]["caps"]["settings"]
    answered = sum(
        any(turn.is_target for turn in conversation.turns)
        for conversation in runs.rows(dataset, "voiced", Conversation.from_json)
    )
    by_split = dataset.stage("examples").notes["splits"]
    secrets, personal = _second_look(runs, dataset)
    return Facts(
        targets=sum(counts.get("targets", 0) for counts in by_split.values()),
        conversations={split: counts.get("conversations", 0) for split, counts in by_split.items()},
        target_tokens=list(_expanded(dataset.stage("examples").notes["target_tokens"])),
        common_reply=common_reply_share(looked.targets),
        authors=looked.authors,
        chats=looked.chats,
        author_limit=attainable(settings["author"], len(looked.authors)),
        chat_limit=attainable(settings["chat"], len(looked.chats)),
        dropped_share=1 - dataset.stage("duplicates").came_out / answered if answered else 0.0,
        secrets=secrets,
        personal_share=personal,
        shared=_shared(runs, dataset),
    )


def _second_look(runs: Runs, dataset: Dataset) -> tuple[int, float]:
    """Secrets in all that came out, and the share of some that has personal data."""
    scanner, personal_data = SecretScanner(), PersonalData()
    secrets = looked = found = 0
    for split in Split:
        examples = runs.rows(dataset, split, Example.from_json)
        for example in (example for example in examples if example.source != canaries.SOURCE):
            for message in example.messages:
                secrets += bool(scanner.find(message.content))
                if message.role != "system" and looked < RESCANNED:
                    looked += 1
                    found += bool(personal_data.find(message.content))
    return secrets, found / looked if looked else 0.0


def _shared(runs: Runs, dataset: Dataset) -> int:
    """Pairs of conversations in different splits that are the same, or nearly; and answers that are in two."""

    class _Of:
        """The conversations of some splits, which may be read more than once."""

        def __init__(self, *splits: Split) -> None:
            self._splits = splits

        def __iter__(self) -> Iterator[Conversation]:
            for assigned in runs.rows(dataset, "assigned", Assigned.from_json):
                if assigned.split in self._splits:
                    yield assigned.conversation

    train, validation, test = (_Of(split) for split in Split)
    held_out = _Of(Split.VALIDATION, Split.TEST)
    return (
        len(shared_near_duplicates(train, held_out))
        + len(shared_near_duplicates(validation, test))
        + heldout.shared_answers(train, heldout.answers_of(held_out))
        + heldout.shared_answers(validation, heldout.answers_of(test))
    )


def _samples(runs: Runs, dataset: Dataset, number: int) -> Iterator[Sample]:
    """A few messages before and after each kind of change; personal data and names before it are blotted out."""
    named, withheld = _ids(runs, dataset, "names"), _ids(runs, dataset, "quality")
    personal = _some(_ids(runs, dataset, "personal") - named, number)
    before = _rows(runs, dataset, "without_secrets", personal)
    cleaned = _rows(runs, dataset, "named", personal | _some(named, number) | _some(withheld, number))
    yield Sample(
        "Personal data", tuple(SampleLine("", _blotted(before[id]), _shown(cleaned[id]), ()) for id in sorted(before))
    )
    yield Sample(
        "People called by name",
        tuple(
            SampleLine("", _shown(cleaned[id], BLOT * 5), _shown(cleaned[id])) for id in sorted(_some(named, number))
        ),
    )
    reasons = _reasons(runs, dataset, "quality")
    yield Sample(
        "Not to be learnt",
        tuple(SampleLine("", _shown(cleaned[id]), None, reasons[id]) for id in sorted(_some(withheld, number))),
    )
    yield from _learnt(runs, dataset, max(1, number // 4))


def _learnt(runs: Runs, dataset: Dataset, number: int) -> Iterator[Sample]:
    """A few examples as the model sees them."""
    chosen = sorted(runs.rows(dataset, "learnt", Example.from_json), key=lambda example: _order(example.id))[:number]
    for example in chosen:
        lines = tuple(
            SampleLine(
                f"{message.role}, learnt" if message.is_target else message.role, message.content, message.content
            )
            for message in example.messages
        )
        yield Sample("An example", lines)


def _ids(runs: Runs, dataset: Dataset, stage: str) -> set[str]:
    rows = runs.run(dataset.run).rows(stage, FATES)
    return {row["id"] for row in rows if row["outcome"] == Outcome.CHANGED}


def _reasons(runs: Runs, dataset: Dataset, stage: str) -> dict[str, tuple[str, ...]]:
    rows = runs.run(dataset.run).rows(stage, FATES)
    return {row["id"]: (row["reason"],) for row in rows if row["outcome"] == Outcome.CHANGED}


def _some(ids: set[str], number: int) -> set[str]:
    return set(sorted(ids, key=_order)[:number])


def _rows(runs: Runs, dataset: Dataset, name: str, ids: set[str]) -> dict[str, SourceMessage]:
    rows = runs.rows(dataset, name, SourceMessage.from_json)
    return {message.id: message for message in rows if message.id in ids} if ids else {}


def _shown(message: SourceMessage, someone: str = "[someone]") -> str:
    return "".join(someone if isinstance(piece, Called) else piece for piece in message.pieces)


def _blotted(message: SourceMessage) -> str:
    text = _shown(message, BLOT * 5)
    for span in reversed(PersonalData().find(text)):
        text = text[: span.start] + BLOT * (span.end - span.start) + text[span.end :]
    return text


def _order(id: str) -> bytes:
    return hashlib.sha256(id.encode("utf-8", "replace")).digest()
