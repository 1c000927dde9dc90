"""Held-out bits per byte, by which a training is watched: often, so on few conversations.

What models are compared by in the end is measured elsewhere (`finetune.evaluation`), on more. Knows nothing of
training.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch

from finetune.dataset.rendering import Encoded, Renderer
from finetune.training.encoding import Row
from finetune.training.targets import losses, padded, portions

# Of crowd workers' dialogues, 16,000 tokens: half a minute on two idle cores, nine times in a training. The bits of two
# checkpoints on the same conversations differ by far less than those of two conversations do.
CONVERSATIONS = 50
BATCH_SIZE = 16
# Without gradients nothing is kept of one layer for another, so that this is more than in training.
TOKENS_AT_ONCE = 4096


def words(rows: Iterable[Row], renderer: Renderer) -> list[Row]:
    """Rows in which words alone count, each alike; the tokens that end an answer, and other marks, do not.

    Rows without a word are left out.
    """
    return [each for row in rows if (each := _words(row, renderer)) is not None]


def _words(row: Row, renderer: Renderer) -> Row | None:
    places = set(renderer.word_places(Encoded(row.ids, row.weights)))
    return replace(row, weights=tuple(float(n in places) for n in range(len(row.ids)))) if places else None


def total_nats(model: Any, rows: Sequence[Row], device: torch.device) -> float:
    """What all targets of some rows cost together, in nats, whatever their weights; leaves the model evaluating."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for portion in portions(sorted(rows, key=_length), BATCH_SIZE, TOKENS_AT_ONCE):
            total += losses(model, padded(portion, device)).nats.double().sum().item()
    return total


def bits_per_byte(nats: float, num_bytes: int) -> float:
    """Nats as bits per byte of text, which does not depend on the tokeniser as perplexity does."""
    return nats / math.log(2) / num_bytes


def _length(row: Row) -> tuple[int, str]:
    return len(row.ids), row.id
