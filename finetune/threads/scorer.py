"""How likely each earlier message is the one that is answered: a small network, the same on every machine.

One hidden layer over zeros and ones, as the feed-forward model of Kummerfeld et al. (ACL 2019), without its word
vectors. Weights are integers, and so is every sum: those of the hidden units stay below 2**24, where float32 holds
integers exactly, and those of the scores below 2**53, where float64 does (see `_check`). The order in which a matrix
product adds them up, which is each machine's own, therefore does not matter. `python -m benchmarks.threads train` makes
the weights. Knows nothing of chats.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from finetune.threads.columns import NONE, Ints
from finetune.threads.features import Flags

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

HIDDEN_ONE = 1 << 8  # what stands for 1.0 in hidden units
SHIFT = 16  # bits by which sums are larger than scores
SCORE_HALVING = 16  # a message this much lower is half as likely
IMPOSSIBLE = -(1 << 30)
_FLOAT32_EXACT = 1 << 24
_FLOAT64_EXACT = 1 << 53


@dataclass(frozen=True)
class Scorer:
    """The weights, integers all; H hidden units, P features of pairs and M of messages.

    Attributes:
        pair: [P, H] of a candidate; `message` [M, H] is added, and `bias` [H].
        out: [H] from hidden units to the score.
        root: [M, H] for the score of answering nothing, with `root_bias` [H], `root_out` [H] and `root_out_bias` [1].
    """

    pair: Floats
    message: Floats
    bias: Floats
    out: Floats
    root: Floats
    root_bias: Floats
    root_out: Floats
    root_out_bias: Floats

    def __post_init__(self) -> None:
        _check(self.out, self.bias, self.pair, self.message)
        _check(self.root_out, self.root_bias, self.root)

    def score(self, messages: Flags, pairs: Flags, found: Ints) -> Ints:
        """[n, NUM_CANDIDATES + 1] a score for each candidate, then for none; `SCORE_HALVING` more is twice as likely.

        Args:
            messages: [n, M] from `features.of_messages`.
            pairs: [n, NUM_CANDIDATES, P] from `features.of_pairs`.
            found: [n, NUM_CANDIDATES] the candidates; those that are NONE are `IMPOSSIBLE`.
        """
        alone = messages.astype(np.float32)
        hidden = pairs.reshape(-1, pairs.shape[-1]).astype(np.float32) @ self.pair
        hidden = hidden.reshape(*found.shape, -1)
        hidden += (alone @ self.message + self.bias)[:, None]
        scores = _scaled(_rectified(hidden) @ self.out)
        root = _scaled(_rectified(alone @ self.root + self.root_bias) @ self.root_out + self.root_out_bias)
        return np.concatenate([np.where(found == NONE, IMPOSSIBLE, scores), root[:, None]], 1)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Scorer":
        """The weights, as `train` writes them."""
        weights = {name: np.array(values, np.float64) for name, values in row.items()}
        hidden = {name: weights[name].astype(np.float32) for name in ("pair", "message", "bias", "root", "root_bias")}
        return cls(**weights | hidden)


@cache
def shipped() -> Scorer:
    """The scorer that comes with this package."""
    return Scorer.from_json(json.loads(Path(__file__).with_name("scorer.json").read_text(encoding="ascii")))


def _rectified(hidden: Floats) -> npt.NDArray[np.float64]:
    return np.maximum(hidden, 0).astype(np.float64)


def _scaled(sums: Floats) -> Ints:
    return np.floor(sums / (1 << SHIFT)).astype(np.int64)  # exact: the divisor is a power of two


def _check(out: Floats, bias: Floats, *weights: Floats) -> None:
    """Even if all features were 1 and nothing cancelled out, floats must hold the sums exactly."""
    most = np.abs(bias) + sum(np.abs(weight).sum(0) for weight in weights)
    assert float(most.max()) < _FLOAT32_EXACT
    assert float((most * np.abs(out)).sum()) < _FLOAT64_EXACT
