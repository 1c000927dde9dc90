"""How a stage of a training has gone so far, and what follows from it: which step is the best, and when to stop.

Plain arithmetic, kept with each checkpoint so that a stage that is taken up again decides as it would have. The
libraries' own early stopping is not used: it did not trigger. Knows nothing of torch.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Self

from finetune.training.errors import TrainingError

COURSE = "course.json"
# A gradient is judged by the median of so many before it, once there are enough of them.
WINDOW, ENOUGH = 100, 10
# So many gradients in a row that are so much longer mean that training has come apart.
LARGE, TOO_MANY = 10.0, 20


@dataclass
class Course:
    """How a stage has gone; `finetune.training.watching` alone writes to it.

    Attributes:
        before: Held-out bits per byte before the first step; None until it is measured.
        bits_per_byte: Of the best step; None until one is measured.
        best_step: Whose weights are taken; 0 as long as there is none.
        worse: Evaluations since then.
        seconds: Wall clock, those before it was taken up again included.
        tokens: Seen in training.
        norms: Lengths of the last gradients.
        large: How many of them in a row were far too long.
        ended_by: As `finetune.training.job.Stage` has it; None as long as it goes on.
    """

    before: float | None = None
    bits_per_byte: float | None = None
    best_step: int = 0
    worse: int = 0
    seconds: float = 0.0
    tokens: int = 0
    norms: list[float] = field(default_factory=list)
    large: int = 0
    ended_by: str | None = None

    def stepped(self, step: int, loss: float, norm: float) -> None:
        """Take note of a step.

        Raises:
            TrainingError: It cannot come to any good.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"loss {loss} and gradient {norm} at step {step}, finite ones were expected; set a lower "
                "TRAIN_LEARNING_RATE or TRAIN_PRECISION=fp32"
            )
        usual = median(self.norms) if len(self.norms) >= ENOUGH else math.inf
        self.large = self.large + 1 if norm > LARGE * usual else 0
        if self.large >= TOO_MANY:
            raise TrainingError(
                f"the gradients of {TOO_MANY} steps up to {step} are more than {LARGE:g} times as long as usual "
                f"({norm:.3g} against {usual:.3g}); set a lower TRAIN_LEARNING_RATE"
            )
        self.norms = [*self.norms, norm][-WINDOW:]

    def evaluated(self, step: int, bits_per_byte: float, patience: int | None) -> bool:
        """Take note of an evaluation; returns whether this step is the best so far.

        Args:
            patience: Evaluations without a better one that end the stage; None if the last step is taken in any case.

        Raises:
            TrainingError: The model does not give any number.
        """
        if not math.isfinite(bits_per_byte):
            raise TrainingError(f"the held-out loss is {bits_per_byte} at step {step}; set a lower TRAIN_LEARNING_RATE")
        is_best = patience is None or self.bits_per_byte is None or bits_per_byte < self.bits_per_byte
        if is_best:
            self.bits_per_byte, self.best_step, self.worse = bits_per_byte, step, 0
        else:
            self.worse += 1
        if patience is not None and self.worse >= patience:
            self.ended_by = "patience"
        return is_best

    def write(self, folder: Path) -> None:
        """Put it into a checkpoint."""
        (folder / COURSE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """That of a checkpoint, which has been verified."""
        return cls(**json.loads((folder / COURSE).read_text(encoding="utf-8")))


def kept(saved: Sequence[int], best: int, room: int) -> set[int]:
    """Which checkpoints are to stay: the best, then the newest, and no more than there is room for."""
    by_worth = sorted(saved, key=lambda step: (step == best, step), reverse=True)
    return set(by_worth[:room])
