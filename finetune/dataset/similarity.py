"""Texts that are nearly the same: fingerprints of texts, and an index of fingerprints.

A fingerprint is a MinHash of a text's shingles (Broder, "On the resemblance and containment of documents", SEQUENCES
1997), and the index is locality-sensitive hashing by bands (Leskovec et al., "Mining of Massive Datasets", chapter 3).
All arithmetic is on unsigned integers, so that a text has the same fingerprint on every machine. Knows nothing of
conversations.
"""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

SHINGLE_CHARS = 5
NUM_PERMUTATIONS = 128
# Jaccard similarity of the shingles, as estimated from the permutations; its standard error at 0.7 is 0.04.
THRESHOLD = 0.7
# Numbers of bands and of values in each. A pair of similarity 0.7 becomes a candidate with a probability of
# 1 - (1 - 0.7^5)^25 = 0.99, one of 0.2 with 0.008; candidates are compared before they count. The 14 bands of 9 that
# datasketch takes by default find 0.44 of those at 0.7.
BANDS = (25, 5)
# A changed word of 5 letters changes up to 9 shingles, and so takes one of 60 characters to a likeness of 0.7.
# So in short texts likeness says nothing (`how are you`, `who are you`); they have to be equal.
SHORT_CHARS = 60
# Shingles that are permuted at a time: 2 MB, whatever the length of the text.
BATCH = 4096

MinHashValues = NDArray[np.uint32]
# A short text's hash, or a longer one's MinHash.
Fingerprint = bytes | MinHashValues

_EMPTY = MinHash(num_perm=NUM_PERMUTATIONS, hashfunc=zlib.crc32, scheme="affine32")


def normalised(text: str) -> str:
    """A text without what does not make it another one: upper case, and kinds and amounts of white space."""
    return " ".join(text.casefold().split())


def digest(*parts: str) -> bytes:
    """16 bytes that tell sequences of texts apart."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big") + data)
    return state.digest()


def fingerprint(text: str) -> Fingerprint:
    """What two texts are compared by; case and white space do not count."""
    text = normalised(text)
    if len(text) < SHORT_CHARS:
        return digest(text)
    shingles = {text[i : i + SHINGLE_CHARS] for i in range(len(text) - SHINGLE_CHARS + 1)}
    encoded = (shingle.encode("utf-8", "surrogatepass") for shingle in shingles)
    minhash = _EMPTY.copy()
    while batch := list(islice(encoded, BATCH)):
        minhash.update_batch(batch)
    values: MinHashValues = minhash.hashvalues
    return values


def likeness(a: MinHashValues, b: MinHashValues) -> float:
    """Estimate of the Jaccard similarity of two texts' shingles, from 0 to 1."""
    return float(np.count_nonzero(a == b)) / NUM_PERMUTATIONS


class Index:
    """Fingerprints by number, in which those that were added are found as near duplicates of others.

    It is given all fingerprints first: a band that none shares with another, as nearly all are, then takes no room.
    (`datasketch.MinHashLSH` holds 6 kB for each.)
    """

    def __init__(self, prints: Sequence[Fingerprint]) -> None:
        self._prints = prints
        # Of each number, the buckets that it shares with others; a bucket holds the numbers that were added.
        self._buckets: defaultdict[int, list[list[int]]] = defaultdict(list)
        for numbers in _together(prints):
            bucket: list[int] = []
            for number in numbers:
                self._buckets[number].append(bucket)

    def add(self, number: int) -> None:
        """Let a fingerprint be found from now on."""
        for bucket in self._buckets.get(number, ()):
            bucket.append(number)

    def find(self, number: int) -> Iterator[int]:
        """Numbers of the added ones that it is a near duplicate of, the smallest first."""
        candidates = {other for bucket in self._buckets.get(number, ()) for other in bucket}
        return (other for other in sorted(candidates) if _are_alike(self._prints[number], self._prints[other]))


def _together(prints: Sequence[Fingerprint]) -> Iterator[list[int]]:
    """Numbers of fingerprints that have a band in common, or that are of equal short texts."""
    num_bands, num_values = BANDS
    for band in range(num_bands):
        values = slice(band * num_values, (band + 1) * num_values)
        numbers: defaultdict[bytes, list[int]] = defaultdict(list)
        for number, print_ in enumerate(prints):
            if not isinstance(print_, bytes):
                numbers[print_[values].tobytes()].append(number)
            elif band == 0:
                numbers[print_].append(number)
        yield from (several for several in numbers.values() if len(several) > 1)


def _are_alike(a: Fingerprint, b: Fingerprint) -> bool:
    if isinstance(a, bytes) or isinstance(b, bytes):
        return True  # they share a bucket, as only equal ones of these do
    return likeness(a, b) >= THRESHOLD
