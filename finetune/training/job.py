"""What a training is given and what it gives back, as files in its folder.

`job.json` is written before a training begins; its digest is what checkpoints belong to, so that a training is taken
up by the same job only. `result.json` is written when it has ended. Knows nothing of torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from finetune.durable import write_text
from finetune.errors import StoreError
from finetune.stages import sha256_of

JOB, RESULT = "job.json", "result.json"
CHECKPOINTS, ADAPTER, MERGED = "checkpoints", "adapter", "merged"
EVENTS, LOG = "events.jsonl", "log.txt"


@dataclass(frozen=True)
class Hyperparameters:
    """All that decides what is learnt, with nothing left to the hardware; see `finetune.settings.TrainSettings`.

    Attributes:
        tokens: Budget from which the number of steps is planned; None for none.
        replay_share: Of what is learnt, as `finetune.settings.FinetuneSettings` has it.
    """

    method: Literal["lora", "full"]
    lora_rank: int
    lora_alpha: int
    lora_dropout: float
    learning_rate: float
    warmup: float
    weight_decay: float
    max_grad_norm: float
    step_examples: int
    batch_size: int
    epochs: float
    tokens: int | None
    replay_share: float
    precision: Literal["fp32", "bf16"]
    packing: bool
    evaluations: int
    patience: int
    kto: bool
    kto_learning_rate: float
    kto_beta: float
    seed: int


@dataclass(frozen=True)
class Budgets:
    """What a training may use up at most; changes when it ends, not what it is."""

    seconds: float
    disk_bytes: int


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        run: Which run it belongs to.
        dataset: Name of the dataset's run; `dataset_sha256` is what the dataset is known by.
        base: Source of the base checkpoint, as `exporters.sources.resolve` takes it.
        base_sha256: Digest of that checkpoint.
        bundle: Version, in the registry, whose template and tokeniser render examples: the base model's.
        code: Versions of ours and of the libraries that decide what comes out.
    """

    run: str
    dataset: str
    dataset_sha256: str
    base: str
    base_sha256: str
    bundle: str
    hyperparameters: Hyperparameters
    code: Mapping[str, str]

    @property
    def digest(self) -> str:
        """What checkpoints belong to: all but the run's name."""
        return sha256_of({name: value for name, value in asdict(self).items() if name != "run"})

    def write(self, folder: Path) -> None:
        """Put it into a training's folder."""
        write_text(folder / JOB, json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The job of a training's folder.

        Raises:
            StoreError: There is none, or it is damaged.
        """
        row = _read(folder / JOB)
        try:
            return cls(**row | {"hyperparameters": Hyperparameters(**row["hyperparameters"])})
        except (KeyError, TypeError) as error:
            raise StoreError(f"{folder / JOB} is damaged ({error}); remove {folder} and run again") from error


@dataclass(frozen=True)
class Stage:
    """How one stage of a training (SFT, KTO) went.

    Attributes:
        bits_per_byte: Held out, of the best step; `bits_per_byte_before` of what it began with. Of KTO they are taken
            on the same data.
        ended_by: `plan`, `patience`, or the budget that was used up: `wall clock` or `disk`.
        tokens: Seen in training, context included.
        memory_bytes: Largest, of the process on a CPU and of the device on a GPU.
    """

    name: Literal["sft", "kto"]
    steps: int
    best_step: int
    bits_per_byte_before: float
    bits_per_byte: float
    ended_by: str
    tokens: int
    seconds: float
    memory_bytes: int

    @property
    def tokens_per_second(self) -> float:
        """Evaluations included."""
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Result:
    """How a training went.

    Attributes:
        skipped: Why a stage was left out, by name; as `{"kto": "120 labels, 200 are needed"}`.
        hardware: What it ran on, in words.
    """

    stages: tuple[Stage, ...]
    skipped: Mapping[str, str]
    hardware: str

    def write(self, folder: Path) -> None:
        """Put it into a training's folder."""
        write_text(folder / RESULT, json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Self | None":
        """The result in a training's folder; None as long as it has not ended.

        Raises:
            StoreError: It is damaged.
        """
        if not (folder / RESULT).exists():
            return None
        row = _read(folder / RESULT)
        try:
            return cls(tuple(Stage(**each) for each in row["stages"]), row["skipped"], row["hardware"])
        except (KeyError, TypeError) as error:
            raise StoreError(f"{folder / RESULT} is damaged ({error}); remove it and run again") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); remove {path.parent} and run again") from error
    if not isinstance(row, dict):
        raise StoreError(f"{path} is damaged; remove {path.parent} and run again")
    return row
