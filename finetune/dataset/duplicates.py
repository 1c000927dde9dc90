"""Conversations, answers and pairs of context and answer that are there more than once.

What a model learns more often than once it may come to say word for word: repetition inside what is learnt is what
leaks (Carlini et al., 2021, arXiv:2012.07805; Lee et al., 2022, arXiv:2107.06499). Knows nothing of who speaks, and
sees no likeness of meaning.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from finetune.conversation import Conversation
from finetune.dataset.frozen import FrozenTest
from finetune.dataset.shares import level
from finetune.dataset.similarity import Fingerprint, Index, digest, fingerprint, normalised
from finetune.dataset.times import believed
from finetune.dataset.withholding import Decided, Reason, drop, withhold

VERSION = 2

# Of all that is learnt, at most this is one and the same answer: a bot that says `ok` to everything is of no use.
REPLY_SHARE = 0.02

NEAR_DUPLICATE = "near duplicate"
SAME_ANSWER = "same answer again"
COMMON_ANSWER = "common answer"

NONE_FROZEN = FrozenTest()


@dataclass(frozen=True, slots=True)
class _Target:
    """What is remembered of a turn that may be learnt: digests of its words, alone and after all that they answer."""

    turn: int
    reply: bytes
    pair: bytes


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is remembered of a conversation."""

    place: int
    key: str
    started_at_ms: int | None
    is_frozen: bool
    words: Fingerprint
    targets: tuple[_Target, ...]

    @property
    def age(self) -> tuple[bool, int, str]:
        """Sorts the oldest first, those without a time last."""
        return self.started_at_ms is None, self.started_at_ms or 0, self.key

    @property
    def rank(self) -> tuple[bool, tuple[bool, int, str]]:
        """Sorts first what stays before all else."""
        return not self.is_frozen, self.age


# Reasons by place of the conversation and number of the turn.
_Withheld = defaultdict[int, dict[int, Reason]]


def drop_duplicates(conversations: Iterable[Conversation], frozen: FrozenTest = NONE_FROZEN) -> Iterator[Decided]:
    """Each conversation once, and of what it teaches only what is not taught elsewhere already.

    Of near duplicates the oldest stays, so that what is imported anew moves nothing; but what is frozen stays before
    anything older, which would be learnt in its place. (Nothing that stayed before its test was frozen goes then: no
    two of what stayed are alike.) Of the same answer to the same
    words, from the first turn on, only the oldest is learnt. An answer that makes up more than `REPLY_SHARE` of what
    is learnt is learnt less often, in places chosen by hash; answers that are there once always stay.

    Args:
        conversations: Gone through up to four times. 1 kB of each is held in memory, and 0.2 kB of each target.
        frozen: The test.

    Yields:
        In the order of `conversations`, what is left of each.
    """
    tested = frozen.found_in(conversations).keys
    seen = [_look_at(place, conversation, tested) for place, conversation in enumerate(conversations)]
    originals, kept = _near_duplicates(seen)
    withheld: _Withheld = defaultdict(dict)
    _withhold_same(kept, withheld)
    _withhold_common(kept, withheld)
    for place, conversation in enumerate(conversations):
        if place in originals:
            yield drop(conversation, Reason(NEAR_DUPLICATE, f"of the conversation that begins with {originals[place]}"))
        else:
            yield withhold(conversation, withheld.get(place, {}))


def shared_near_duplicates(a: Iterable[Conversation], b: Iterable[Conversation]) -> list[tuple[str, str]]:
    """Keys of conversations of `a` and of `b` that are near duplicates of each other."""
    known = [(each.key, _words(each)) for each in a]
    others = [(each.key, _words(each)) for each in b]
    both = known + others
    index = Index([words for _, words in both])
    for number in range(len(known)):
        index.add(number)
    return [
        (both[found][0], both[number][0]) for number in range(len(known), len(both)) for found in index.find(number)
    ]


def _look_at(place: int, conversation: Conversation, tested: Collection[str]) -> _Seen:
    return _Seen(
        place=place,
        key=conversation.key,
        started_at_ms=believed(conversation.started_at_ms),
        is_frozen=conversation.key in tested,
        words=_words(conversation),
        targets=tuple(_targets(conversation)),
    )


def _words(conversation: Conversation) -> Fingerprint:
    return fingerprint("\n".join(turn.text for turn in conversation.turns))


def _targets(conversation: Conversation) -> Iterator[_Target]:
    paths: list[bytes] = []  # of each turn, the digest of its words and all that they answer
    for number, turn in enumerate(conversation.turns):
        text = normalised(turn.text)
        before = "" if turn.parent is None else paths[turn.parent].hex()
        paths.append(digest(before, text))
        if turn.is_target:
            yield _Target(number, digest(text), paths[number])


def _near_duplicates(seen: Collection[_Seen]) -> tuple[dict[int, str], list[_Seen]]:
    """By place, the key of what a conversation repeats; and the rest, the oldest first.

    Each is compared with those that stay, not with those that go: no two of those that stay are alike, and nothing
    goes for likeness to something that is not there.
    """
    by_rank = sorted(seen, key=lambda one: one.rank)
    index = Index([one.words for one in by_rank])
    originals, kept = {}, []
    for number, one in enumerate(by_rank):
        alike = next(index.find(number), None)
        if alike is None:
            index.add(number)
            kept.append(one)
        else:
            originals[one.place] = by_rank[alike].key
    return originals, sorted(kept, key=lambda one: one.age)


def _withhold_same(kept: Iterable[_Seen], withheld: _Withheld) -> None:
    first: dict[bytes, str] = {}
    for one in kept:
        for target in one.targets:
            if target.pair in first:
                detail = f"to the same words as in the conversation that begins with {first[target.pair]}"
                withheld[one.place][target.turn] = Reason(SAME_ANSWER, detail)
            else:
                first[target.pair] = one.key


def _withhold_common(kept: Iterable[_Seen], withheld: _Withheld) -> None:
    places: defaultdict[bytes, list[tuple[bytes, int, int]]] = defaultdict(list)
    for one in kept:
        for target in one.targets:
            if target.turn not in withheld[one.place]:
                places[target.reply].append((target.pair, one.place, target.turn))
    counts = Counter({reply: len(where) for reply, where in places.items()})
    most = max(1, int(level(counts.values(), REPLY_SHARE)))
    for where in places.values():
        for _, place, turn in sorted(where)[most:]:
            detail = f"given {len(where)} times, learnt {most} times"
            withheld[place][turn] = Reason(COMMON_ANSWER, detail)
