"""From scores to parents: the conversation first, then the message in it.

Several messages of one conversation may be likely parents, each less so than starting anew; a message therefore joins
the conversation whose messages are likeliest together, and answers the likeliest of them (minimum Bayes risk over
conversations; the best single candidate lost 0.007 B3 F). Knows nothing of features or weights.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from finetune.threads.columns import Ints
from finetune.threads.scorer import SCORE_HALVING

ONE = 1 << 20  # how likely the best candidate is; others in proportion
LEAST = ONE >> 10  # what is less likely than this changes no sum that matters
# A wrong link joins two conversations, a missing one takes a message out of one. In scores; on logs of the train part
# that were left out of the training, B3 F is 0.790 at 0, 0.794 at 8, 0.796 at 12, 0.797 at 16 and 0.796 at 24.
ROOT_BONUS = 12

# ONE / 2 ** (n / 16): a table, because a machine's own exp may differ in the last digit.
_FRACTIONS = np.array(
    (
        1048576,
        1004120,
        961548,
        920782,
        881744,
        844361,
        808563,
        774282,
        741455,
        710020,
        679917,
        651091,
        623487,
        597053,
        571740,
        547500,
    ),
    np.int64,
)


def parents(scored: Iterable[tuple[Ints, Ints]], known: Mapping[int, int | None]) -> list[int | None]:
    """The number of the message that each message answers; None at a root.

    Args:
        scored: A few messages at a time, in order: [n, C + 1] the scores of candidates, then of answering nothing, and
            [n, C] the candidates, by number.
        known: Parents that need no guess.
    """
    chosen: list[int | None] = []
    groups: list[int] = []
    for scores, found in scored:
        for likely, root in _likely(scores, found):
            number = len(chosen)
            parent = known[number] if number in known else _choose(likely, root, groups)
            chosen.append(parent)
            groups.append(number if parent is None else groups[parent])
    return chosen


def _likely(scores: Ints, found: Ints) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """For each message, its candidates that are likely at all, with how likely; and how likely a root is."""
    scores = scores.copy()
    scores[:, -1] += ROOT_BONUS
    chances = likelihoods(scores)
    rows, places = np.nonzero(chances[:, :-1] > LEAST)
    likely: list[list[tuple[int, int]]] = [[] for _ in range(len(scores))]
    values = chances[rows, places].tolist()
    for row, candidate, chance in zip(rows.tolist(), found[rows, places].tolist(), values, strict=True):
        likely[row].append((candidate, chance))
    return zip(likely, chances[:, -1].tolist(), strict=True)


def likelihoods(scores: Ints) -> Ints:
    """[N, C + 1] in proportion to probabilities: `ONE` for the best, and 0 below a millionth of that."""
    below: Ints = scores.max(1, keepdims=True) - scores
    chances: Ints = _FRACTIONS[below % SCORE_HALVING] >> np.minimum(below // SCORE_HALVING, 62)
    return chances


def _choose(likely: list[tuple[int, int]], root: int, groups: list[int]) -> int | None:
    together: dict[int, int] = defaultdict(int)
    for candidate, chance in likely:
        together[groups[candidate]] += chance
    if not together or max(together.values()) <= root:
        return None
    best = max(together, key=lambda group: together[group])  # of equals, that of the nearest candidate
    return max((pair for pair in likely if groups[pair[0]] == best), key=lambda pair: pair[1])[0]
