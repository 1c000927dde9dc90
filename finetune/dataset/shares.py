"""How much each of several parties may have, where nobody may have more than a share of what all have together.

Cutting one party makes the whole smaller, and with it what a share of it is. Integers in, a number out: knows nothing
of authors, chats or replies.
"""

from collections.abc import Iterable


def level(amounts: Iterable[int], share: float) -> float:
    """The most that one party may have, such that it is at most `share` of all once everybody is cut to it.

    Water-filling in closed form: if the `k` largest are cut to a level L and the others have R together, L is
    `share * (k * L + R)`, so L is `share * R / (1 - k * share)`; the right `k` is the smallest for which the next
    party is below that.

    Args:
        amounts: What each party has, 0 or more.
        share: In (0, 1].

    Returns:
        The largest amount if nobody has too much; 0 if there are too few parties for such a share (fewer than
        `1 / share` that have anything).
    """
    falling = sorted(amounts, reverse=True)
    rest = sum(falling)
    if not falling or falling[0] <= share * rest:
        return float(falling[0]) if falling else 0.0
    for k, amount in enumerate(falling, start=1):
        rest -= amount
        if k * share >= 1:
            return 0.0
        limit = share * rest / (1 - k * share)
        following = falling[k] if k < len(falling) else 0
        if limit >= following:
            return limit
    return 0.0
