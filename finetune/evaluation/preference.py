"""Whether a model has come to prefer what people liked to what they did not.

By margins: how much likelier a model finds an answer than the base model does, which is the reward that it stands for
(Rafailov et al., 2023, arXiv:2305.18290, section 4). Knows nothing of limits.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from finetune.dataset.example import ExampleMessage, Label
from finetune.dataset.rendering import Renderer
from finetune.evaluation.figures import Preference
from finetune.evaluation.scoring import DoubleArray, Scorer


def likelihoods(
    scorer: Scorer, renderer: Renderer, labels: Sequence[Label], on_done: Callable[[], None] = lambda: None
) -> DoubleArray:
    """[n] float64 log-likelihood in nats of each rated answer after its prompt, what ends it included.

    Args:
        on_done: Called after each label.

    Raises:
        TooLongError: One does not fit into the model's context.
        ChatTemplateError: The model's template refuses one.
    """
    found = []
    for label in labels:
        found.append(-_nats(scorer, renderer, label))
        on_done()
    return np.array(found)


def preference(labels: Sequence[Label], under_model: DoubleArray, under_base: DoubleArray) -> Preference:
    """How well a model's margins tell liked answers from others.

    Args:
        labels: Held out: of conversations that were not learnt.
        under_model: [n] what `likelihoods` gives with the model; `under_base` with the base model.
    """
    margins = under_model - under_base
    is_good = np.array([label.is_good for label in labels], bool)
    good, bad = margins[is_good], margins[~is_good]
    return Preference(auc(good, bad), good.size, bad.size)


def auc(good: DoubleArray, bad: DoubleArray) -> float:
    """Probability that one of `good` is larger than one of `bad`; what is equal counts half.

    The Mann-Whitney statistic (Hanley & McNeil, 1982), without going through all pairs.

    Returns:
        From 0 to 1; NaN if either is empty, or holds NaN.
    """
    if not good.size or not bad.size or np.isnan(good).any() or np.isnan(bad).any():
        return math.nan
    bad = np.sort(bad)
    below = np.searchsorted(bad, good, side="left") + np.searchsorted(bad, good, side="right")
    return float(below.mean()) / 2 / bad.size


def _nats(scorer: Scorer, renderer: Renderer, label: Label) -> float:
    encoded = renderer.encode((*label.prompt, ExampleMessage("assistant", label.completion, weight=1.0)))
    places = [place for place, weight in enumerate(encoded.weights) if weight > 0]
    return float(scorer.score(encoded.ids, places).nats.sum())
