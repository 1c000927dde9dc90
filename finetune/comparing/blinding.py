"""What a judge must not be able to tell: the order of items, and which model is on which side.

Both come from the secret of a sitting by a keyed hash, so that they are the same after a crash, differ from judge to
judge, and follow from nothing that a page shows. Knows nothing of texts.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from finetune.comparing.votes import Outcome


class Choice(StrEnum):
    """What a judge can say of the two answers before them."""

    LEFT = "left"
    RIGHT = "right"
    SAME = "same"
    BAD = "bad"
    SKIP = "skip"


_SAME_ON_BOTH_SIDES = {Choice.SAME: Outcome.TIE, Choice.BAD: Outcome.BOTH_BAD, Choice.SKIP: Outcome.SKIP}


def order(secret: str, items: Iterable[str]) -> tuple[str, ...]:
    """The items in the order in which they are shown."""
    return tuple(sorted(items, key=lambda item: (_hash(secret, "order", item), item)))


def is_left(secret: str, item: str) -> bool:
    """Whether the model that is judged is on the left."""
    return _hash(secret, "side", item)[0] % 2 == 0


def outcome(choice: Choice, *, is_left: bool) -> Outcome:
    """What a choice means for the model that is judged."""
    if choice in _SAME_ON_BOTH_SIDES:
        return _SAME_ON_BOTH_SIDES[choice]
    return Outcome.WIN if (choice is Choice.LEFT) == is_left else Outcome.LOSS


def address(secret: str) -> str:
    """The part of a page's address that nobody can guess; the same as long as the sitting is."""
    return _hash(secret, "address", "").hex()


def _hash(secret: str, purpose: str, item: str) -> bytes:
    return hashlib.blake2b(f"{purpose}|{item}".encode(), key=secret.encode(), digest_size=16).digest()
