"""What is remembered of the test, so that it is never learnt, however it comes back.

A conversation's key does not outlive its first message, and an export made anew may number all of them otherwise. So
the ids of all its messages are kept, and what its answers are known by; as short digests, not as words. Knows nothing
of how the test is chosen.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from finetune.conversation import Conversation
from finetune.dataset.heldout import answers_of, short_digest

# A conversation that has come back under other ids is known by this part of its answers: one alone may be a phrase.
RETURNED = 0.5


@dataclass(frozen=True, slots=True)
class FrozenConversation:
    """What is remembered of one conversation of the test.

    Attributes:
        ids: Of its messages, as digests.
        answers: What its answers are known by.
    """

    ids: frozenset[str]
    answers: frozenset[str]

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        """What is to be remembered of a conversation."""
        return cls(frozenset(_ids(conversation)), answers_of([conversation]))

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"ids": sorted(self.ids), "answers": sorted(self.answers)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(frozenset(row["ids"]), frozenset(row["answers"]))


@dataclass(frozen=True, slots=True)
class Found:
    """What of the test is there.

    Attributes:
        keys: Of the conversations that belong to it.
        gone: For each conversation of it that is there in no form, a word that stands for it, and is no key.
    """

    keys: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FrozenTest:
    """The test as earlier datasets have put it aside; empty if none has.

    Attributes:
        conversations: No two of them have a message in common.
    """

    conversations: frozenset[FrozenConversation] = field(default_factory=frozenset)

    @property
    def answers(self) -> frozenset[str]:
        """What all of its answers are known by."""
        return frozenset(known_by for each in self.conversations for known_by in each.answers)

    def found_in(self, conversations: Iterable[Conversation]) -> Found:
        """Which conversations belong to the test.

        Those do that have one of its messages; and, where none of a conversation's messages is there any more, those
        that have half of its answers. (Others may have an answer of the test; then only this must not be learnt.)

        Args:
            conversations: Gone through at most twice.
        """
        if not self.conversations:
            return Found()
        keys, there = _by_ids(self.conversations, conversations)
        returned, back = _by_answers(self.conversations - there, conversations)
        gone = self.conversations - there - back
        return Found(frozenset(keys | returned), frozenset(min(each.ids) for each in gone))

    def with_test(self, conversations: Iterable[Conversation]) -> "FrozenTest":
        """The same with what today's test has, too; conversations that have grown or come apart count as one."""
        by_id: dict[str, FrozenConversation] = {}
        for each in (*self.conversations, *map(FrozenConversation.of, conversations)):
            parts = {each, *(by_id[id] for id in each.ids if id in by_id)}
            whole = FrozenConversation(
                frozenset().union(*(part.ids for part in parts)), frozenset().union(*(part.answers for part in parts))
            )
            by_id.update(dict.fromkeys(whole.ids, whole))
        return FrozenTest(frozenset(by_id.values()))

    def to_json(self) -> list[dict[str, Any]]:
        """Its conversations as JSON objects, always in the same order."""
        return sorted((each.to_json() for each in self.conversations), key=lambda row: min(row["ids"]))


def _by_ids(
    frozen: Iterable[FrozenConversation], conversations: Iterable[Conversation]
) -> tuple[set[str], set[FrozenConversation]]:
    """Keys of conversations with messages of frozen ones, and these."""
    by_id = {id: each for each in frozen for id in each.ids}
    keys: set[str] = set()
    there: set[FrozenConversation] = set()
    for conversation in conversations:
        held = {by_id[id] for id in _ids(conversation) if id in by_id}
        if held:
            keys.add(conversation.key)
            there |= held
    return keys, there


def _by_answers(
    frozen: Collection[FrozenConversation], conversations: Iterable[Conversation]
) -> tuple[set[str], set[FrozenConversation]]:
    """Keys of conversations with enough of the answers of frozen ones, and these."""
    holders: defaultdict[str, list[FrozenConversation]] = defaultdict(list)
    for each in frozen:
        for known_by in each.answers:
            holders[known_by].append(each)
    keys: set[str] = set()
    back: set[FrozenConversation] = set()
    for conversation in conversations if holders else ():
        shared = Counter(each for known_by in answers_of([conversation]) for each in holders.get(known_by, ()))
        enough = {each for each, number in shared.items() if number >= RETURNED * len(each.answers)}
        if enough:
            keys.add(conversation.key)
            back |= enough
    return keys, back


def _ids(conversation: Conversation) -> Iterator[str]:
    return (short_digest("id", id) for turn in conversation.turns for id in turn.ids)
