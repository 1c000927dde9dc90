"""How sure a difference between two models is, given the conversations that they were compared on.

Knows nothing of models, nor of what difference is asked for.
"""

from collections.abc import Mapping

import numpy as np

from finetune.evaluation.figures import Loss

RESAMPLES = 2000
CONFIDENCE = 0.95
# Resamples at a time: with 10,000 conversations, 8 MB of places.
CHUNK = 100


def upper_bound(challenger: Mapping[str, Loss], champion: Mapping[str, Loss], seed: int = 0) -> float:
    """What the challenger's bits per byte exceed the champion's by at most, as a share of the champion's.

    The upper bound of the one-sided 95 % percentile interval of a bootstrap over conversations (Efron & Tibshirani, "An
    Introduction to the Bootstrap", 1993, chapter 13). It is paired: a resample has the same conversations of both, so
    that what is hard for both does not blur the difference.

    Args:
        challenger: By conversation, the same ones as the champion's; at least one.
        seed: Of the resamples.

    Returns:
        Below 0 if the challenger is surely better. NaN if a loss is not finite, or there is nothing to be said.
    """
    assert challenger.keys() == champion.keys(), "both are measured on the same conversations"
    new, old = (_columns(losses) for losses in (challenger, champion))
    rng = np.random.Generator(np.random.PCG64(seed))
    ratios = np.empty(RESAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        for at in range(0, RESAMPLES, CHUNK):
            drawn = rng.integers(0, len(new), size=(min(CHUNK, RESAMPLES - at), len(new)))
            (new_nats, new_bytes), (old_nats, old_bytes) = (columns[drawn].sum(axis=1).T for columns in (new, old))
            ratios[at : at + CHUNK] = (new_nats / new_bytes) / (old_nats / old_bytes)
        return float(np.quantile(ratios, CONFIDENCE)) - 1


def _columns(losses: Mapping[str, Loss]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """[conversations, 2] nats and bytes, in the order of the conversations' keys."""
    return np.array([[losses[key].nats, losses[key].bytes] for key in sorted(losses)], np.float64)
