"""The folder of runs: which dataset is the newest, what it was made of, and where its parts are.

Only the newest run keeps its texts: what somebody takes back today must not lie about in older ones. Knows nothing of
how datasets are made.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from bots.chatlog import FileCipher
from finetune.durable import UNFINISHED, write_text
from finetune.errors import NoDataError, StoreError
from finetune.locking import alone
from finetune.sealed import Digest, Row, Rows, Written, write_rows
from finetune.stages import Done, Run

AnyItem = TypeVar("AnyItem")

FORMAT = 1
MANIFEST, NEWEST = "dataset.json", "newest"
# Beside the runs: the chat log as it was last read, what the base model has said, and the frozen test.
SNAPSHOT, REPLAY, FROZEN = ".snapshot", "replay", "frozen"


@dataclass(frozen=True)
class Dataset:
    """What a run has made, as its manifest says.

    Attributes:
        run: Name of its folder, made of its inputs.
        sha256: What the dataset is known by: the same on any machine that was given the same.
        inputs: What it was made of and by: sources with their rights, settings, model, library versions.
        stages: What each stage did, in order.
    """

    run: str
    sha256: str
    inputs: Mapping[str, Any]
    stages: tuple[Done, ...]

    def stage(self, name: str) -> Done:
        """What one stage did."""
        return next(each for each in self.stages if each.stage == name)

    def artefact(self, name: str) -> tuple[str, Digest]:
        """The stage that made a file, and what the file is known by."""
        return next((each.stage, each.outputs[name]) for each in self.stages if name in each.outputs)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        done = [each.to_json() for each in self.stages]
        return {"format": FORMAT, "run": self.run, "sha256": self.sha256, "inputs": self.inputs, "stages": done}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        if row["format"] != FORMAT:
            raise StoreError(f"the dataset is of format {row['format']}, this version reads {FORMAT}; prepare it again")
        return cls(row["run"], row["sha256"], row["inputs"], tuple(Done.from_json(each) for each in row["stages"]))


class Runs:
    """The folder of all runs."""

    def __init__(self, root: Path, cipher: FileCipher) -> None:
        self.root, self._cipher = root, cipher

    def run(self, name: str) -> Run:
        """A run, which may not have begun."""
        return Run(self.root / name, self._cipher)

    def newest(self) -> Dataset:
        """The newest dataset.

        Raises:
            NoDataError: There is none yet.
            StoreError: Its manifest cannot be read.
        """
        try:
            name = (self.root / NEWEST).read_text(encoding="utf-8").strip()
            return Dataset.from_json(json.loads((self.root / name / MANIFEST).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise NoDataError("there is no dataset yet; make one with: python -m finetune prepare") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"the newest dataset cannot be read ({error}); prepare it again") from error

    def rows(self, dataset: Dataset, name: str, parse: Callable[[Row], AnyItem]) -> Rows[AnyItem]:
        """A part of a dataset, or what one of its stages has made."""
        stage, _ = dataset.artefact(name)
        return Rows(self.root / dataset.run / stage / f"{name}.rows", self._cipher, parse)

    def beside(self, name: str, parse: Callable[[Row], AnyItem]) -> Iterable[AnyItem]:
        """What stands beside the runs, nothing if it was never written."""
        path = self._beside(name)
        return Rows(path, self._cipher, parse) if path.exists() else ()

    @contextmanager
    def replacing(self, name: str) -> Iterator[Written]:
        """Write what stands beside the runs anew, all of it or not at all."""
        with write_rows(self._beside(name), self._cipher) as written:
            yield written

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from working here.

        Raises:
            StoreError: One is at it, or the folder cannot be made.
        """
        with alone(self.root, "FINETUNE_RUNS"):
            yield

    def publish(self, dataset: Dataset) -> None:
        """Let a dataset be the newest, and older ones keep nothing that people said."""
        text = json.dumps(dataset.to_json(), indent=2, sort_keys=True)
        write_text(self.root / dataset.run / MANIFEST, f"{text}\n")
        write_text(self.root / NEWEST, f"{dataset.run}\n")
        self._forget_texts(but=dataset.run)

    def withdraw(self) -> None:
        """Let there be no dataset, as nothing may be trained on any more; runs keep nothing that people said."""
        (self.root / NEWEST).unlink(missing_ok=True)
        self._forget_texts()

    def _forget_texts(self, but: str | None = None) -> None:
        """Remove the rows of all runs but one, also those that a run was writing when it was killed."""
        for folder in self.root.iterdir():
            if folder.is_dir() and not folder.is_symlink() and folder.name != but:
                for path in (*folder.glob("*/*.rows"), *folder.glob(f"*/.*{UNFINISHED}")):
                    path.unlink()

    def _beside(self, name: str) -> Path:
        return self.root / f"{name}.rows"
