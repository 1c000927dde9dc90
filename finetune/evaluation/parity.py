"""Whether a bundle says what the checkpoint says that it was made of, and ends its answers as the base model does.

What the export has measured on text of ours is taken from its manifest; what served weights lose is measured here, on
held-out answers, and so is that the bundle holds these weights and no others. Knows nothing of limits.
"""

import math
from collections.abc import Sequence

import numpy as np

from engine.bundle import TEMPLATE_NAME, TOKENIZER_NAME, Bundle, Manifest
from finetune.evaluation.figures import Parity
from finetune.evaluation.scoring import Scored, Scorer


class RecordingScorer:
    """A scorer that keeps what it has said of whole sequences, so that they are run but once."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.scored: list[Scored] = []

    def score(self, ids: Sequence[int], places: Sequence[int]) -> Scored:
        """As the protocol has it."""
        self.scored.append(self._scorer.score(ids, places))
        return self.scored[-1]

    def score_after(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Scored]:
        """As the protocol has it."""
        return self._scorer.score_after(prefix, continuations)


def parity(bundle: Bundle, base: Bundle, of_bundle: Sequence[Scored], of_checkpoint: Sequence[Scored]) -> Parity:
    """How near a bundle is to its checkpoint.

    Args:
        base: The bundle of the model that the training began with.
        of_bundle: What the bundle says of held-out answers, at least one; `of_checkpoint` likewise, of the same tokens.
    """
    found, expected = _joined(of_bundle), _joined(of_checkpoint)
    figures = bundle.manifest.evaluation
    return Parity(
        logits=figures.max_logit_difference,
        greedy=figures.greedy_equality,
        perplexity=_ratio(found, expected),
        top_1=float((found.best == expected.best).mean()),
        same_text=_text(bundle.manifest) == _text(base.manifest),
    )


def _joined(scored: Sequence[Scored]) -> Scored:
    return Scored(np.concatenate([each.nats for each in scored]), np.concatenate([each.best for each in scored]))


def _ratio(found: Scored, expected: Scored) -> float:
    """Of perplexities; infinite where it is too large for a float, as with a model that was not trained at all."""
    difference = float(found.nats.mean() - expected.nats.mean())
    return math.exp(difference) if not difference > 700 else math.inf


def _text(manifest: Manifest) -> tuple[object, ...]:
    """What decides how a conversation becomes tokens, and where an answer ends."""
    return manifest.tokens, *(manifest.files.get(name) for name in (TOKENIZER_NAME, TEMPLATE_NAME))
