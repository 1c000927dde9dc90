"""The folder of a run: which file holds what, and what is left of it once the run is over.

Figures and reports stay; weights go as soon as they are in the registry or of no use any more. Knows nothing of how
the files come about.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.durable import write_text
from finetune.errors import StoreError
from finetune.evaluation.figures import Figures
from finetune.evaluation.verdict import Verdict
from finetune.training.job import EVENTS, JOB, RESULT

COMPARISONS = "comparisons"
DATA, VERDICTS, LEARNT, FIGURES, BUNDLE = "data.json", "verdicts.json", "learnt.json", "figures", "bundle"
REPORT = "report.html"
# End the names of folders of trainings that no run has asked for.
BY_HAND, SEARCH = "-train", "-search"
# What a training leaves that is as large as a model; a search has a folder of it for each trial.
WEIGHTS, TRIALS = ("sft", "kto"), "trial-*"


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def bundle(self) -> Path:
        """Where the exported model is."""
        return self.path / BUNDLE

    def write(self, name: str, value: Any) -> None:
        """Put plain JSON into a file, all of it or nothing."""
        write_text(self.path / name, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")

    def read(self, name: str) -> Any:
        """What is in a file; None if there is none.

        Raises:
            StoreError: It is damaged.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} is damaged ({error}); remove it and run again") from error

    def write_figures(self, name: str, figures: Figures) -> None:
        """Keep what was measured of `base`, `champion` or `challenger`."""
        self.write(f"{FIGURES}/{name}.json", figures.to_json())

    def figures(self, name: str) -> Figures | None:
        """What was measured; None if nothing was."""
        row = self.read(f"{FIGURES}/{name}.json")
        return None if row is None else Figures.from_json(row)

    def write_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Keep what the gates have said."""
        self.write(VERDICTS, [verdict.to_json() for verdict in verdicts])

    def verdicts(self) -> tuple[Verdict, ...]:
        """What the gates have said so far."""
        return tuple(Verdict.from_json(row) for row in self.read(VERDICTS) or ())

    def write_learnt(self, examples: Mapping[str, int]) -> None:
        """Keep which examples were learnt, without a word of them, and how many tokens each is."""
        self.write(LEARNT, {_known_as(id): tokens for id, tokens in examples.items()})

    def new_in(self, examples: Mapping[str, int]) -> dict[str, int]:
        """Those of some examples that this run has not learnt."""
        learnt = self.read(LEARNT) or {}
        return {id: tokens for id, tokens in examples.items() if _known_as(id) not in learnt}

    def start_anew(self) -> None:
        """Remove all that a training and what came after it have left, as another training is to begin."""
        self.drop_models()
        shutil.rmtree(self.path / FIGURES, ignore_errors=True)
        for name in (JOB, RESULT, EVENTS, VERDICTS):
            (self.path / name).unlink(missing_ok=True)

    def drop_weights(self) -> None:
        """Remove what a training has left; the exported model stays, and all figures."""
        for path in self.weights():
            shutil.rmtree(path, ignore_errors=True)

    def weights(self) -> list[Path]:
        """What a training has left, or each trial of a search, as far as it is there."""
        folders = (self.path, *self.path.glob(TRIALS))
        return [path for folder in folders for name in WEIGHTS if (path := folder / name).exists()]

    def drop_models(self) -> None:
        """Remove everything that has learnt from anybody."""
        self.drop_weights()
        shutil.rmtree(self.bundle, ignore_errors=True)


def _known_as(id: str) -> str:
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
