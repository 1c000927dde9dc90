"""Whether a text repeats what one person has said: 50 characters of an answer that was learnt.

What stands in three conversations or more is common property: a greeting, a copied joke. Holds hashes, no words. Knows
nothing of models.
"""

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from finetune.dataset import canaries, replay
from finetune.dataset.example import Example

CHARS = 50
COMMON_CONVERSATIONS = 3
# What the model has said itself, and what nobody has.
NOBODYS = (replay.SOURCE, canaries.SOURCE)


class VerbatimIndex:
    """Every stretch of 50 characters that people have said, by its hash: 8 bytes each, 40 MB for 100,000 answers."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        """`hashes` [n] uint64 ascending."""
        self._hashes = hashes

    @classmethod
    def of(cls, examples: Iterable[Example], sources: Collection[str] = NOBODYS) -> Self:
        """The index of what is learnt of people; examples of `sources` are left out."""
        hashes, conversations = array("Q"), array("Q")
        for example in examples:
            if example.source not in sources:
                found = {hash for target in example.targets for hash in _windows(target)}
                hashes.extend(found)
                conversations.extend([_hash(example.conversation)] * len(found))
        return cls(_rare(np.array(hashes, np.uint64), np.array(conversations, np.uint64)))

    def holds_part_of(self, text: str) -> bool:
        """Whether some 50 characters of a text are in it."""
        windows = np.array(list(_windows(text)), np.uint64)
        places = np.searchsorted(self._hashes, windows)
        is_inside = places < self._hashes.size
        return bool((self._hashes[places[is_inside]] == windows[is_inside]).any())


def _rare(hashes: NDArray[np.uint64], conversations: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hashes that come with fewer than three different conversations, ascending, each once."""
    pairs = np.unique(np.stack([hashes, conversations], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    return found[counts < COMMON_CONVERSATIONS]


def _windows(text: str) -> Iterator[int]:
    return (_hash(text[at : at + CHARS]) for at in range(len(text) - CHARS + 1))


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
