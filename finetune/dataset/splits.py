"""Which conversations are learnt, and which are kept for judging what was learnt.

Whole conversations only: neighbours of a turn that is learnt would tell a judge nothing. Knows their times and sizes,
and nothing of what is said in them.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

VERSION = 2

# Below this nothing can be judged, and everything is learnt.
MIN_CONVERSATIONS = 10
# Of the conversations; more where that is too few to measure by, but never more than twice as much.
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.05
# What a difference in bits per byte can be seen by; 20 kB are about 5,000 tokens.
ENOUGH_CONVERSATIONS = 50
ENOUGH_BYTES = 20_000


class Split(StrEnum):
    """What a conversation is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class ConversationFacts:
    """What is known of a conversation here.

    Attributes:
        ended_at_ms: When its last turn was said; None if its source has no times, or none to believe.
        target_bytes: Length of what is to be learnt in it, in UTF-8.
    """

    key: str
    source: str
    ended_at_ms: int | None
    target_bytes: int


@dataclass(frozen=True)
class Assignment:
    """The split of every conversation.

    Attributes:
        splits: By key.
        frozen: Keys of the frozen test, and words for what of it is gone.
        borders_ms: By source, the time from which on conversations validate; only of sources that are split by time.
        notes: What an operator should know, in words.
    """

    splits: Mapping[str, Split]
    frozen: frozenset[str]
    borders_ms: Mapping[str, int]
    notes: tuple[str, ...] = ()


def assign(facts: Iterable[ConversationFacts], frozen: frozenset[str] = frozenset()) -> Assignment:
    """The split of each conversation; the same for the same conversations, in whatever order.

    Validation is what is newest, source by source: a model that is good at it will be good at what comes next. One
    source's times say nothing of another's, and of two sources the younger would give all. A conversation's time is its
    end, so that nothing that is learnt is newer than the border; one that straddles it validates, and moves over to
    what is learnt as newer ones end. Conversations without times, and those of sources with fewer than
    `MIN_CONVERSATIONS`, are split by a hash of the key.

    The test is chosen once, by a hash of the key, among what is older than the border; from then on nothing joins it,
    and what is in it is never learnt. If it is to be chosen anew, models made before may have learnt from it.

    Args:
        frozen: Keys of the frozen test, and words for what of it is gone; empty if there is none yet.
    """
    by_key = {fact.key: fact for fact in facts}
    if not frozen and len(by_key) < MIN_CONVERSATIONS:
        note = f"{len(by_key)} conversations are too few to keep any for judging; from {MIN_CONVERSATIONS} on some are"
        return Assignment(dict.fromkeys(by_key, Split.TRAIN), frozen, {}, (note,))
    all_facts = sorted(by_key.values(), key=lambda fact: fact.key)
    validation, borders_ms = _validation(all_facts, frozen)
    if not frozen:
        older = [fact.key for fact in all_facts if fact.key not in validation]
        frozen = frozenset(_first_by_hash(older, _test_size(len(all_facts)), "test"))
    splits = {key: _split(key, frozen, validation) for key in by_key}
    return Assignment(splits, frozen, borders_ms, tuple(_notes(splits.values(), frozen)))


def _split(key: str, frozen: frozenset[str], validation: frozenset[str]) -> Split:
    if key in frozen:
        return Split.TEST
    return Split.VALIDATION if key in validation else Split.TRAIN


def _validation(facts: Sequence[ConversationFacts], frozen: frozenset[str]) -> tuple[frozenset[str], dict[str, int]]:
    """Keys of what validates, the same share of every source; and the border of each that is split by time.

    The share is one of all, and what is frozen is never chosen: so the run that chooses the test, and later ones on the
    same conversations, come to the same.
    """
    share = _validation_share(facts)
    keys: list[str] = []
    borders_ms: dict[str, int] = {}
    by_hash: list[tuple[int | None, str]] = []
    for source, members in _by_source(facts).items():
        free = [(end, key) for end, key in members if key not in frozen]
        border_ms = _border_ms([end for end, _ in free], sum(end is not None for end, _ in members), share)
        if border_ms is None:
            by_hash += members
        else:
            borders_ms[source] = border_ms
            keys += [key for end, key in free if end is not None and end >= border_ms]
            by_hash += [(end, key) for end, key in members if end is None]
    if len(by_hash) >= MIN_CONVERSATIONS:
        keys += _first_by_hash(
            [key for _, key in by_hash if key not in frozen], _part(share, len(by_hash)), "validation"
        )
    return frozenset(keys), borders_ms


def _validation_share(facts: Sequence[ConversationFacts]) -> float:
    """`VALIDATION_SHARE`, or what it takes for enough conversations and bytes if these are of the usual length."""
    number, num_bytes = len(facts), sum(fact.target_bytes for fact in facts)
    enough = max(ENOUGH_CONVERSATIONS / max(1, number), ENOUGH_BYTES / max(1, num_bytes))
    return max(VALIDATION_SHARE, min(enough, 2 * VALIDATION_SHARE))


def _by_source(facts: Iterable[ConversationFacts]) -> dict[str, list[tuple[int | None, str]]]:
    members: defaultdict[str, list[tuple[int | None, str]]] = defaultdict(list)
    for fact in facts:
        members[fact.source].append((fact.ended_at_ms, fact.key))
    return members


def _border_ms(ends: Iterable[int | None], number: int, share: float) -> int | None:
    """The time from which on a share of `number` conversations ended; None if they cannot be divided by time."""
    newest_first = sorted((end for end in ends if end is not None), reverse=True)
    wanted = _part(share, number)
    if number < MIN_CONVERSATIONS or len(newest_first) < wanted:
        return None
    border_ms = newest_first[wanted - 1]
    if sum(end >= border_ms for end in newest_first) <= 2 * wanted:
        return border_ms
    # So many end at once that the border has to go behind them; in an archive without times of day, say.
    return min((end for end in newest_first if end > border_ms), default=None)


def _test_size(number: int) -> int:
    """`TEST_SHARE`, or enough to measure by, but at most twice as much."""
    return max(_part(TEST_SHARE, number), min(ENOUGH_CONVERSATIONS, _part(2 * TEST_SHARE, number)))


def _part(share: float, number: int) -> int:
    # 0.1 * 30 is a little more than 3 in floating point, and no reason for a fourth.
    return ceil(round(share * number, 6))


def _first_by_hash(keys: Iterable[str], number: int, purpose: str) -> list[str]:
    """The `number` keys that come first in an order that depends on nothing but the keys and what they are for."""

    def order(key: str) -> bytes:
        return hashlib.blake2b(f"{purpose} {key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()

    return sorted(keys, key=order)[:number]


def _notes(splits: Collection[Split], frozen: frozenset[str]) -> Iterator[str]:
    counts = Counter(splits)
    if gone := len(frozen) - counts[Split.TEST]:
        yield f"{gone} of {len(frozen)} conversations of the frozen test are gone"
    for split in (Split.VALIDATION, Split.TEST):
        if counts[split] < ENOUGH_CONVERSATIONS:
            yield f"{split} has {counts[split]} conversations, and {ENOUGH_CONVERSATIONS} are wanted to measure by"
