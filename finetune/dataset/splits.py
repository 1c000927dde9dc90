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

VERSION = 3

# Below this nothing can be judged, and everything is learnt.
MIN_CONVERSATIONS = 10
# Of the conversations; more where that is too few to measure by, but never more than twice as much.
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.05
# What a difference in bits per byte can be seen by; 20 kB are about 5,000 tokens.
ENOUGH_CONVERSATIONS = 50
ENOUGH_BYTES = 20_000
# So much more of the test: some conversations give no example, and people are forgotten between two datasets.
TO_SPARE = 1.2


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

    The test is chosen by a hash of the key, among what is older than the border, and what is in it is never learnt
    again. When it is smaller than a test of today's conversations would be, as people were forgotten or chats have
    grown, some join it that would validate otherwise, and validation takes older ones instead. They are the newest, or
    the first by hash, which earlier datasets had not or validated by. That holds as long as newer conversations come
    and few go; what earlier models have learnt is not looked up. If validation has too few, a test that people have
    left takes what validation has got instead, which may have been learnt; one that would only grow waits.

    Given the test that came of it, the same conversations are split the same again.

    Args:
        frozen: Keys of the frozen test, and words for what of it is gone; empty if there is none yet.
    """
    by_key = {fact.key: fact for fact in facts}
    if not frozen and len(by_key) < MIN_CONVERSATIONS:
        note = f"{len(by_key)} conversations are too few to keep any for judging; from {MIN_CONVERSATIONS} on some are"
        return Assignment(dict.fromkeys(by_key, Split.TRAIN), frozen, {}, (note,))
    all_facts = sorted(by_key.values(), key=lambda fact: fact.key)
    frozen = frozen or _first_test(all_facts)
    while joining := _joining(all_facts, frozen):
        frozen |= joining
    groups = _groups(all_facts, frozen)
    validation = _validation(groups)
    splits = {key: _split(key, frozen, validation) for key in by_key}
    borders_ms = {group.source: group.border_ms for group in groups if group.border_ms is not None}
    return Assignment(splits, frozen, borders_ms, tuple(_notes(splits.values(), frozen)))


def _split(key: str, frozen: frozenset[str], validation: frozenset[str]) -> Split:
    if key in frozen:
        return Split.TEST
    return Split.VALIDATION if key in validation else Split.TRAIN


def _first_test(facts: Sequence[ConversationFacts]) -> frozenset[str]:
    validation = _validation(_groups(facts, frozenset()))
    older = [fact.key for fact in facts if fact.key not in validation]
    return frozenset(_first_by_hash(older, _test_size(len(facts)), "test"))


def _joining(facts: Sequence[ConversationFacts], frozen: frozenset[str]) -> frozenset[str]:
    """Keys of what joins the test: first where the smallest part is in it, so that no source pays for another."""
    groups = _groups(facts, frozen)
    candidates = sorted(
        ((group.num_frozen + place) / group.num_members, key)
        for group in groups
        for place, key in enumerate(group.validating, start=1)
    )
    left = sum(fact.key in frozen for fact in facts)
    number = _num_joining(len(facts), left, len(candidates))
    return frozenset(key for _, key in candidates[:number])


def _num_joining(number: int, left: int, candidates: int) -> int:
    """How many of the candidates join the test; all that it needs to measure by, but to grow only if they suffice."""
    missing = max(0, _test_size(number) - left)
    return missing if missing <= candidates else max(0, _least_test_size(number) - left)


@dataclass(frozen=True, slots=True)
class _Group:
    """Conversations that are divided together, by time or by hash.

    Attributes:
        source: That they are all of; empty for those that are divided by hash.
        border_ms: The time from which on they validate; None if they are divided by hash.
        num_members: All of them; `num_frozen` is how many of these are in the test.
        validating: Keys, first those that are least likely ever to have been learnt: the newest, or the first by hash.
    """

    source: str
    border_ms: int | None
    num_members: int
    num_frozen: int
    validating: tuple[str, ...]


def _validation(groups: Iterable[_Group]) -> frozenset[str]:
    return frozenset(key for group in groups for key in group.validating)


def _groups(facts: Sequence[ConversationFacts], frozen: frozenset[str]) -> list[_Group]:
    """All groups that are large enough to be divided, of each the same share to validate.

    The share is one of all, and what is frozen is never chosen: so the run that chooses the test, and later ones on the
    same conversations, come to the same.
    """
    share = _validation_share(facts)
    groups: list[_Group] = []
    rest: list[str] = []
    for source, members in _by_source(facts).items():
        timed = [(end, key) for end, key in members if end is not None]
        group = _by_time(source, timed, frozen, share)
        if group is not None:
            groups.append(group)
        rest += [key for end, key in members if group is None or end is None]
    if len(rest) >= MIN_CONVERSATIONS:
        groups.append(_by_hash(rest, frozen, share))
    return groups


def _by_time(source: str, members: Sequence[tuple[int, str]], frozen: frozenset[str], share: float) -> _Group | None:
    """The members with their ends as a group; None if they cannot be divided by time."""
    newest_first = sorted(((-end, key) for end, key in members if key not in frozen))
    border_ms = _border_ms([-end for end, _ in newest_first], len(members), share)
    if border_ms is None:
        return None
    validating = tuple(key for end, key in newest_first if -end >= border_ms)
    return _Group(source, border_ms, len(members), len(members) - len(newest_first), validating)


def _by_hash(members: Sequence[str], frozen: frozenset[str], share: float) -> _Group:
    free = [key for key in members if key not in frozen]
    validating = _first_by_hash(free, _part(share, len(members)), "validation")
    return _Group("", None, len(members), len(members) - len(free), tuple(validating))


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


def _border_ms(newest_first: Sequence[int], number: int, share: float) -> int | None:
    """The time from which on a share of `number` conversations ended; None if they cannot be divided by time."""
    wanted = _part(share, number)
    if number < MIN_CONVERSATIONS or len(newest_first) < wanted:
        return None
    border_ms = newest_first[wanted - 1]
    if sum(end >= border_ms for end in newest_first) <= 2 * wanted:
        return border_ms
    # So many end at once that the border has to go behind them; in an archive without times of day, say.
    return min((end for end in newest_first if end > border_ms), default=None)


def _test_size(number: int) -> int:
    """`TEST_SHARE`, or enough to measure by."""
    return max(_part(TEST_SHARE, number), _least_test_size(number))


def _least_test_size(number: int) -> int:
    """Enough to measure by and some to spare, but at most twice `TEST_SHARE`."""
    return min(_part(TO_SPARE, ENOUGH_CONVERSATIONS), _part(2 * TEST_SHARE, number))


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
