"""Everything that a run has left in its folder, read once; what it did not come to is missing here too.

A file that is damaged is named and left out: what is wrong with a run is no reason to show nothing of it. Knows
nothing of how any of it is shown.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from finetune.dataset.splits import Split
from finetune.errors import StoreError
from finetune.evaluation.figures import Figures
from finetune.evaluation.verdict import Verdict
from finetune.flywheel.folder import DATA, FIGURES, VERDICTS, RunFolder
from finetune.report.figures import SplitLine, StageLine, Unit
from finetune.report.measures import Histogram
from finetune.runreport import events
from finetune.runreport.events import Course
from finetune.training.job import EVENTS, JOB, RESULT, Job, Result

_MODELS = ("base", "champion", "challenger")

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Source:
    """Where some of the data came from, and under which right it is learnt."""

    name: str
    right: str
    rows: int


@dataclass(frozen=True, slots=True)
class Data:
    """What a run has learnt from, in figures.

    Attributes:
        lengths: Of answers to be learnt, in tokens.
    """

    verdicts: tuple[Verdict, ...] = ()
    sources: tuple[Source, ...] = ()
    funnel: tuple[StageLine, ...] = ()
    splits: tuple[SplitLine, ...] = ()
    lengths: Histogram = field(default_factory=Histogram)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Data":
        """What a run's `data.json` says."""
        return cls(
            tuple(Verdict.from_json(each) for each in row.get("verdicts", ())),
            tuple(Source(each["name"], each["right"], each["rows"]) for each in row.get("sources", ())),
            tuple(_stage(each) for each in row.get("funnel", ())),
            tuple(_split(name, row["splits"][name]) for name in Split if name in row.get("splits", {})),
            Histogram.of(_lengths(row.get("target_tokens", {}))),
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """All files of a run; None, or empty, for what is not there.

    Attributes:
        verdicts: Of all gates, that of the data first.
        is_exported: Whether a bundle came out that is still there.
        damaged: Names of files that could not be read.
    """

    job: Job | None = None
    result: Result | None = None
    course: Course = field(default_factory=Course)
    data: Data | None = None
    base: Figures | None = None
    champion: Figures | None = None
    challenger: Figures | None = None
    verdicts: tuple[Verdict, ...] = ()
    is_exported: bool = False
    damaged: tuple[str, ...] = ()


def read(folder: Path) -> Findings:
    """What is in a run's folder."""
    files = _Files(folder)
    data = files.json(DATA, Data.from_json)
    judged = files.json(VERDICTS, lambda rows: tuple(Verdict.from_json(row) for row in rows)) or ()
    figures = {name: files.json(f"{FIGURES}/{name}.json", Figures.from_json) for name in _MODELS}
    return Findings(
        job=files.part(JOB, lambda: Job.read(folder)),
        result=files.part(RESULT, lambda: Result.read(folder)),
        course=files.part(EVENTS, lambda: events.read(folder / EVENTS)) or Course(),
        data=data,
        verdicts=tuple(dict.fromkeys((*(data.verdicts if data else ()), *judged))),
        is_exported=RunFolder(folder).bundle.is_dir(),
        damaged=tuple(files.damaged),
        **figures,
    )


class _Files:
    """The files of a folder, and which of them could not be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = RunFolder(folder)
        self.damaged: list[str] = []

    def json(self, name: str, parse: Callable[[Any], Part]) -> Part | None:
        """What is made of a JSON file; None if there is none, or if nothing can be made of it."""

        def parsed() -> Part | None:
            value = self._folder.read(name)
            return None if value is None else parse(value)

        return self.part(name, parsed)

    def part(self, name: str, read: Callable[[], Part | None]) -> Part | None:
        """What is in a file, whatever it is; None if there is none, or if it is damaged."""
        if not (self._folder.path / name).exists():
            return None
        try:
            return read()
        except (StoreError, OSError, ValueError, KeyError, TypeError, AttributeError):
            self.damaged.append(name)
            return None


def _stage(row: Mapping[str, Any]) -> StageLine:
    return StageLine(
        name=row["stage"],
        version=str(row.get("version", "")),
        unit=Unit(row["unit"]),
        went_in=row["went_in"],
        came_out=row["came_out"],
        dropped=row.get("dropped", {}),
        changed=row.get("changed", {}),
        added=row.get("added", {}),
    )


def _split(name: str, row: Mapping[str, Any]) -> SplitLine:
    return SplitLine(name, row.get("conversations", 0), row.get("examples", 0), row.get("target_tokens", 0))


def _lengths(counts: Mapping[str, int]) -> Iterator[int]:
    for length, number in counts.items():
        for _ in range(number):
            yield int(length)
