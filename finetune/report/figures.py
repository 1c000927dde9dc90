"""All that the data report shows, as plain figures: what the stages fill in, and what is kept beside the page.

Holds no name of a person and, but for the samples, nothing that anybody said. Knows nothing of how it is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from finetune.errors import StoreError
from finetune.report.measures import Concentration, Histogram, Times

FORMAT = 1


class Unit(StrEnum):
    """What a stage counts."""

    MESSAGES = "messages"
    CONVERSATIONS = "conversations"
    EXAMPLES = "examples"


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One import, or the log.

    Attributes:
        right: Under which the operator may train on it.
        conversations: None if the source does not divide into any.
        note: What the operator should know of it, such as rows that could not be read.
    """

    name: str
    format: str
    platform: str
    right: str
    messages: int
    conversations: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class StageLine:
    """What one stage did. What went in and was added, less what was dropped, should be what came out.

    Attributes:
        unit: Of what went in and came out alike.
        dropped: How many by reason; likewise `changed`, which go on, and `added`, such as replayed examples.
        seconds: How long it took; leave out where the page has to be the same each time.
    """

    name: str
    version: str
    unit: Unit
    went_in: int
    came_out: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def num_dropped(self) -> int:
        """Over all reasons."""
        return sum(self.dropped.values())

    @property
    def num_added(self) -> int:
        """Over all reasons."""
        return sum(self.added.values())

    @property
    def unexplained(self) -> int:
        """How many went missing without a reason; below zero, came from nowhere."""
        return self.went_in + self.num_added - self.num_dropped - self.came_out


@dataclass(frozen=True, slots=True)
class Threads:
    """What conversations look like.

    Attributes:
        turns: How many turns they have.
        depths: How many answers long the longest path in them is.
        links: How many turns hang on which `LinkKind`.
    """

    turns: Histogram = field(default_factory=Histogram)
    depths: Histogram = field(default_factory=Histogram)
    links: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SplitLine:
    """One split: `train`, `validation`, `test`."""

    name: str
    conversations: int
    examples: int
    target_tokens: int


@dataclass(frozen=True, slots=True)
class Preferences:
    """What people think of the bot's answers.

    Attributes:
        pairs: Of a better and a worse answer, by reason.
        voters: How many people it comes from.
        capped: Labels left out so that no voter has too large a part of them.
    """

    good: int = 0
    bad: int = 0
    pairs: Mapping[str, int] = field(default_factory=dict)
    voters: int = 0
    capped: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One condition that data has to meet before a model is trained on it.

    Attributes:
        value: What was found, and `limit` what is asked for, both as people read them: `31.2 %`, `at most 20 %`.
        meaning: Why it matters, and what to do if it fails.
    """

    name: str
    value: str
    limit: str
    is_ok: bool
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class SampleLine:
    """One message of a sample, as it came and as it goes on.

    Attributes:
        speaker: The tag or the role; no name.
        before: None if the original is not to be shown.
        after: None if it was dropped.
        reasons: Why it was dropped or changed.
    """

    speaker: str
    before: str | None
    after: str | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Some messages that stand together, for the operator to see with their own eyes what was done."""

    title: str
    lines: tuple[SampleLine, ...]


@dataclass(frozen=True, slots=True)
class DataReport:
    """Everything on the page. The same figures give the same page, byte for byte.

    Attributes:
        made_at: As it is to be shown; None leaves it out.
        target_tokens: Lengths of what is to be learnt.
        authors: How many bytes of what is to be learnt are whose; `chats` likewise.
        redactions: Pieces of personal data replaced, by type.
        secrets: Messages with a secret, by the rule that found it.
    """

    run: str
    dataset_sha256: str
    made_at: str | None = None
    sources: tuple[SourceLine, ...] = ()
    stages: tuple[StageLine, ...] = ()
    target_tokens: Histogram = field(default_factory=Histogram)
    authors: Concentration = field(default_factory=Concentration)
    chats: Concentration = field(default_factory=Concentration)
    times: Times | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)
    secrets: Mapping[str, int] = field(default_factory=dict)
    threads: Threads = field(default_factory=Threads)
    splits: tuple[SplitLine, ...] = ()
    preferences: Preferences = field(default_factory=Preferences)
    checks: tuple[Check, ...] = ()
    samples: tuple[Sample, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`.

        Raises:
            StoreError: It is of another format, or something in it is missing or not of its type.
        """
        if row.get("format") != FORMAT:
            raise StoreError(
                f"data report is of format {row.get('format')!r}, this program reads {FORMAT}; prepare again"
            )
        try:
            return TypeAdapter(cls).validate_python({name: row[name] for name in row if name != "format"})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise StoreError(f"data report is damaged at {place}: {first['msg']}; prepare again") from error


def discrepancies(stages: Sequence[StageLine]) -> list[str]:
    """What does not add up, in words: within a stage, or from one stage to the next that counts the same."""
    found = []
    for stage in stages:
        if stage.unexplained > 0:
            found.append(f"{stage.name}: {stage.unexplained:,} {stage.unit} went missing without a reason")
        elif stage.unexplained < 0:
            found.append(f"{stage.name}: {-stage.unexplained:,} {stage.unit} came out that never went in")
    for one, other in pairwise(stages):
        if one.unit == other.unit and one.came_out != other.went_in:
            found.append(
                f"{one.name} gave {one.came_out:,} {one.unit}, and {other.name} was given {other.went_in:,} of them"
            )
    return found
