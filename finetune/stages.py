"""Runs a list of stages from file to file, and takes up an interrupted list where it was.

Each stage has a folder with the encrypted rows that it made, the fates of what it dropped or changed, and a manifest:
what went in, what came out, what they are known by, and how many had which fate. A stage whose manifest names the
same inputs, version and settings as today is done. Knows nothing of what the stages do.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bots.chatlog import FileCipher
from exporters.progress import Bar, Progress
from finetune.durable import write_text
from finetune.errors import StoreError
from finetune.fate import Fate, Outcome
from finetune.sealed import Digest, Row, Rows, RowWriter, Written, write_rows

AnyItem = TypeVar("AnyItem")

FORMAT = 1
MANIFEST, FATES = "manifest.json", "fates"


class ToJson(Protocol):
    """What can be written as a row."""

    def to_json(self) -> Row:
        """A JSON object."""
        ...


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: A verb in the fewest words; also its folder's name.
        version: Raised with every change that makes the same input come out otherwise.
        inputs: Artefacts of earlier stages that it reads.
        outputs: Artefacts that it makes.
        unit: What goes in: `messages`, `conversations` or `examples`.
        settings: All that it goes by, as plain JSON.
        run: Does it.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unit: str
    run: Callable[["Work"], None]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """The manifest of a stage.

    Attributes:
        inputs: What each was known by.
        outputs: What each is known by.
        went_in: How many of its unit.
        came_out: How many.
        dropped: By reason.
        changed: By reason.
        notes: Whatever figures the stage has found worth telling.
    """

    stage: str
    version: int
    unit: str
    settings_sha256: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, Digest]
    went_in: int
    came_out: int
    dropped: Mapping[str, int]
    changed: Mapping[str, int]
    notes: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""
        outputs = {name: {"rows": d.rows, "sha256": d.sha256} for name, d in self.outputs.items()}
        return self.__dict__ | {"format": FORMAT, "outputs": outputs}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Done":
        """The reverse of `to_json`."""
        rest = {name: value for name, value in row.items() if name not in ("format", "outputs")}
        return cls(outputs={name: Digest(**digest) for name, digest in row["outputs"].items()}, **rest)


class Work:
    """What a stage has at hand while it runs.

    Attributes:
        went_in: Rows of its first input, or what it has counted itself if it has none.
        came_out: How many of its unit went on.
        notes: Whatever figures it finds worth telling; plain JSON.
    """

    def __init__(
        self, folder_of: Callable[[str], Path], cipher: FileCipher, writers: Mapping[str, RowWriter], bar: Bar
    ) -> None:
        self._folder_of, self._cipher, self._writers, self._bar = folder_of, cipher, writers, bar
        self.went_in = self.came_out = 0
        self.dropped: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.notes: dict[str, Any] = {}

    def read(self, name: str, parse: Callable[[Row], AnyItem]) -> Rows[AnyItem]:
        """An input, which may be read as often as one likes."""
        return Rows(self._folder_of(name) / f"{name}.rows", self._cipher, parse)

    def counted(self, items: Iterable[AnyItem]) -> Iterator[AnyItem]:
        """Items that come from elsewhere, counted as they go in."""
        for item in items:
            self.went_in += 1
            yield item

    def keep(self, item: ToJson) -> None:
        """Let something go on, into the first output."""
        self.pass_on()
        self.write(next(iter(self._writers)), item.to_json())

    def pass_on(self, number: int = 1) -> None:
        """Count what goes on without being written as it is."""
        self.came_out += number
        self._bar.update(number)

    def leave(self, reason: str) -> None:
        """Let something end here whose fates were told already."""
        self._bar.update(1)
        self.dropped[reason] += 1

    def write(self, name: str, row: Row) -> None:
        """Add a row to an output, whatever that is beside what goes on."""
        self._writers[name].write(row)

    def decide(self, item: ToJson | None, fates: Sequence[Fate]) -> None:
        """Let something go on, or not if it is None; and say why, and what was changed."""
        self.changed.update(fate.reason for fate in fates if fate.outcome is Outcome.CHANGED)
        self.tell(fates)
        if item is not None:
            self.keep(item)
        else:
            self.leave(next(fate.reason for fate in reversed(fates) if fate.outcome is Outcome.DROPPED))

    def tell(self, fates: Iterable[Fate]) -> None:
        """Write down what became of something, for whoever asks."""
        for fate in fates:
            self.write(FATES, asdict(fate))


class Run:
    """A folder in which stages are run."""

    def __init__(self, folder: Path, cipher: FileCipher) -> None:
        self.folder, self._cipher = folder, cipher

    def rows(self, stage: str, name: str) -> Rows[Row]:
        """An artefact of a stage."""
        return Rows(self.folder / stage / f"{name}.rows", self._cipher, lambda row: row)

    def done(self, stage: str) -> Done | None:
        """The manifest of a stage, if it is done."""
        path = self.folder / stage / MANIFEST
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            return Done.from_json(row) if row["format"] == FORMAT else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged ({error}); remove {path.parent} and run again") from error

    def carry_out(self, stages: Iterable[Stage], progress: Progress) -> list[Done]:
        """Run every stage that is not done; returns the manifests of all, in order."""
        made: dict[str, tuple[str, Digest]] = {}
        manifests = []
        for stage in stages:
            done = self._up_to_date(stage, made) or self._run(stage, made, progress)
            made |= {name: (stage.name, digest) for name, digest in done.outputs.items()}
            manifests.append(done)
        return manifests

    def _up_to_date(self, stage: Stage, made: Mapping[str, tuple[str, Digest]]) -> Done | None:
        done = self.done(stage.name)
        is_same = (
            done is not None
            and (done.version, done.settings_sha256) == (stage.version, sha256_of(stage.settings))
            and done.inputs == _inputs(stage, made)
            and all((self.folder / stage.name / f"{name}.rows").exists() for name in (*stage.outputs, FATES))
        )
        return done if is_same else None

    def _run(self, stage: Stage, made: Mapping[str, tuple[str, Digest]], progress: Progress) -> Done:
        folder = self.folder / stage.name
        shutil.rmtree(folder, ignore_errors=True)
        total = made[stage.inputs[0]][1].rows if stage.inputs else None
        with progress.stage(stage.name, total=total, unit=stage.unit) as bar, ExitStack() as files:
            written = {
                name: files.enter_context(write_rows(folder / f"{name}.rows", self._cipher))
                for name in (*stage.outputs, FATES)
            }
            writers = {name: each.writer for name, each in written.items()}
            work = Work(lambda name: self.folder / made[name][0], self._cipher, writers, bar)
            work.went_in = total or 0
            stage.run(work)
        done = _manifest(stage, work, _inputs(stage, made), written)
        write_text(folder / MANIFEST, json.dumps(done.to_json(), indent=2, sort_keys=True) + "\n")
        return done


def _manifest(stage: Stage, work: Work, inputs: Mapping[str, str], written: Mapping[str, Written]) -> Done:
    digests = {name: each.digest for name, each in written.items() if name != FATES and each.digest is not None}
    return Done(
        stage=stage.name,
        version=stage.version,
        unit=stage.unit,
        settings_sha256=sha256_of(stage.settings),
        inputs=inputs,
        outputs=digests,
        went_in=work.went_in,
        came_out=work.came_out,
        dropped=dict(sorted(work.dropped.items())),
        changed=dict(sorted(work.changed.items())),
        notes=work.notes,
    )


def _inputs(stage: Stage, made: Mapping[str, tuple[str, Digest]]) -> dict[str, str]:
    return {name: made[name][1].sha256 for name in stage.inputs}


def sha256_of(value: Any) -> str:
    """What some plain JSON is known by."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
