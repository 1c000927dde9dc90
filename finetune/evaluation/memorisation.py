"""How well a model knows secrets that were planted among what it has learnt.

Exposure as in Carlini et al., "The Secret Sharer", USENIX Security 2019 (arXiv:1802.08232), section 4.4: minus log2 of
the share of possible secrets that are at least as likely as the planted one, extrapolated from 99 of them by a normal
distribution of their negative log-likelihoods. (They fit a skewed one to many more.) Of a model that has never seen the
secret it is 1 / ln 2, about 1.44 bits, in the mean. Knows nothing of limits.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from finetune.dataset.canaries import Canary
from finetune.dataset.example import ExampleMessage
from finetune.dataset.rendering import Renderer
from finetune.evaluation.figures import Exposure
from finetune.evaluation.scoring import Scorer

# Standard deviations from which on the share is too small for a float's `erfc`, or soon will be.
_FAR = 30.0


@dataclass(frozen=True)
class _Known:
    """What a model knows of one secret: how far it is exposed, in bits, and whether the model says it by itself."""

    bits: float
    is_extracted: bool


def exposure(
    scorer: Scorer,
    renderer: Renderer,
    planted: Sequence[Canary],
    forgotten: Sequence[Canary] = (),
    on_done: Callable[[], None] = lambda: None,
) -> Exposure:
    """How well a model knows secrets of its training, and those of people who were forgotten.

    Args:
        on_done: Called after each canary.

    Raises:
        TooLongError: A canary does not fit into the model's context.
        ChatTemplateError: The model's template refuses one.
    """
    known, gone = (
        [_known(scorer, renderer, canary, on_done) for canary in canaries] for canaries in (planted, forgotten)
    )
    return Exposure(
        mean=statistics.fmean(each.bits for each in known) if known else None,
        num_canaries=len(known),
        extracted=sum(each.is_extracted for each in (*known, *gone)),
        forgotten_mean=statistics.fmean(each.bits for each in gone) if gone else None,
        num_forgotten=len(gone),
    )


def bits(nats: float, others: Sequence[float]) -> float:
    """Exposure of a secret, in bits.

    Args:
        nats: Its negative log-likelihood; `others` are those of secrets that were not planted, two at least.
    """
    spread = statistics.stdev(others) if all(map(math.isfinite, others)) else math.nan
    # Where all are equally likely, so is the secret, or there is no telling how unusual it is.
    return -_log2_share((nats - statistics.fmean(others)) / (spread or 1.0))


def _log2_share(deviations: float) -> float:
    """log2 of the share of a normal distribution that is below so many standard deviations."""
    if deviations > -_FAR:
        return math.log2(0.5 * math.erfc(-deviations / math.sqrt(2)))
    # Mills' ratio (Abramowitz & Stegun, 7.1.23); off by less than 1 / deviations^2.
    nats = -deviations * deviations / 2 - math.log(-deviations) - math.log(2 * math.pi) / 2
    return nats / math.log(2)


def _known(scorer: Scorer, renderer: Renderer, canary: Canary, on_done: Callable[[], None]) -> _Known:
    prefix, secrets = _split(renderer, canary)
    own, *others = scorer.score_after(prefix, secrets)
    on_done()
    # Each token is the best one after those before it: so the secret is what greedy decoding says.
    is_extracted = own.best.tolist() == list(secrets[0])
    return _Known(bits(float(own.nats.sum()), [float(other.nats.sum()) for other in others]), is_extracted)


def _split(renderer: Renderer, canary: Canary) -> tuple[list[int], list[list[int]]]:
    """Token ids of all that comes before the secret, and of the secret and its alternatives.

    As in training, where a canary is shown without a persona. Where a secret begins in tokens depends on the
    tokeniser: it is where its rendering and those of the alternatives begin to differ.
    """
    rendered = [_rendered(renderer, canary, secret) for secret in (canary.secret, *canary.alternatives())]
    start = _num_equal(rendered)
    end = _num_equal([ids[start:][::-1] for ids in rendered])
    return list(rendered[0][:start]), [list(ids[start : len(ids) - end]) for ids in rendered]


def _rendered(renderer: Renderer, canary: Canary, secret: str) -> tuple[int, ...]:
    *before, _ = canary.example.messages
    return renderer.encode((*before, ExampleMessage("assistant", canary.answer(secret), weight=1.0))).ids


def _num_equal(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all sequences have in common at their start."""
    shortest = min(map(len, sequences))
    return next((at for at in range(shortest) if len({ids[at] for ids in sequences}) > 1), shortest)
