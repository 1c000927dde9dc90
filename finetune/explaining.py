"""What became of one message, stage by stage, in words.

Knows nothing of the rules: it reads what the stages have written down.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from finetune.assembling import Assigned
from finetune.conversation import Conversation, Turn
from finetune.dataset.example import Example
from finetune.dataset.splits import Split
from finetune.errors import NoDataError
from finetune.fate import Outcome
from finetune.message import SourceMessage
from finetune.runs import Dataset, Runs
from finetune.stages import FATES, Done

AnyItem = TypeVar("AnyItem")

# What these drop is an answer to learn or a vote; its words may stay, as what others answer.
_OF_ANSWERS = ("examples", "preferences")


def explain(runs: Runs, dataset: Dataset, id: str) -> list[str]:
    """One line per stage that the message came to, until it was dropped or has become an example.

    Raises:
        NoDataError: No message of that id went into the dataset.
    """
    gather, *others = dataset.stages  # where one copy of a message may be left out, and another stays
    message = _first(each for each in runs.rows(dataset, "gathered", SourceMessage.from_json) if each.id == id)
    refused = _told(runs, gather, dataset, {id})
    if message is None and not refused:
        raise NoDataError(
            f"no message {id} went into dataset {dataset.run}; ids are platform:chat:number, as the file or the log "
            "has them"
        )
    lines = [f"{id} in dataset {dataset.run}", *map(str, refused)]
    if message is None:
        return [*lines, "  and goes no further"]
    lines.append(f"  from {message.source}, said in {message.chat}: {_quoted(runs, dataset, id)}")
    names = {id}
    for done in others:
        turn = _turn(runs, dataset, done, id)
        if turn is not None:
            names = {id, turn.ids[0]}
        told = _told(runs, done, dataset, names)
        lines += map(str, told)
        if done.stage not in _OF_ANSWERS and any(each.outcome is Outcome.DROPPED for each in told):
            return [*lines, "  and goes no further"]
    return [*lines, *_end(runs, dataset, id)]


@dataclass(frozen=True)
class _Told:
    """What a stage has written down of a message; as in `Fate`."""

    stage: str
    outcome: Outcome
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"  {self.stage:12} {self.outcome}: {self.reason}{f' ({self.detail})' if self.detail else ''}"


def _told(runs: Runs, done: Done, dataset: Dataset, ids: set[str]) -> list[_Told]:
    rows = runs.run(dataset.run).rows(done.stage, FATES)
    told = (_Told(done.stage, Outcome(r["outcome"]), r["reason"], r["detail"]) for r in rows if r["id"] in ids)
    return list(dict.fromkeys(told))


def _turn(runs: Runs, dataset: Dataset, done: Done, id: str) -> Turn | None:
    """The turn that the message became a part of, once there are turns."""
    if done.stage not in ("voices", "turns", "quality", "duplicates", "caps"):
        return None
    (name,) = done.outputs
    turns = (
        turn
        for conversation in runs.rows(dataset, name, Conversation.from_json)
        for turn in conversation.turns
        if id in turn.ids
    )
    return _first(turns)


def _end(runs: Runs, dataset: Dataset, id: str) -> Iterator[str]:
    """What it is in the dataset."""
    assigned = _first(
        each for each in runs.rows(dataset, "assigned", Assigned.from_json) if _is_in(each.conversation, id)
    )
    if assigned is None:
        return
    turn = next(turn for turn in assigned.conversation.turns if id in turn.ids)
    yield f"  is in conversation {assigned.conversation.key}, for {assigned.split}"
    yield f"  {'is to be learnt' if turn.is_target else 'is context'}; known by: {turn.link}"
    for split in Split:
        for example in runs.rows(dataset, split, Example.from_json):
            if id in example.message_ids:
                yield f"  is in example {example.id} of {split}"


def _is_in(conversation: Conversation, id: str) -> bool:
    return any(id in turn.ids for turn in conversation.turns)


def _quoted(runs: Runs, dataset: Dataset, id: str) -> str:
    """What it says without personal data; what was dropped before that may hold a secret, and is not shown."""
    message = _first(each for each in runs.rows(dataset, "redacted", SourceMessage.from_json) if each.id == id)
    if message is None:
        return "its words are not shown, as it was dropped before personal data was taken out"
    text = " ".join(message.text.split())
    return repr(text if len(text) <= 100 else f"{text[:99]}…")


def _first(items: Iterable[AnyItem]) -> AnyItem | None:
    return next(iter(items), None)
