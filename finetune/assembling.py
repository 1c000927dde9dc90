"""The last stages of a dataset: which conversations are learnt and which judge, and the examples that come of them.

Knows nothing of where conversations come from.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self, TypeVar

from finetune.cleaning.secrets import SecretScanner
from finetune.conversation import Conversation
from finetune.dataset import canaries, examples, heldout, preferences, replay, splits
from finetune.dataset.caps import target_bytes
from finetune.dataset.example import Example, Label, Pair
from finetune.dataset.examples import ExampleMaker, Made
from finetune.dataset.frozen import FrozenTest
from finetune.dataset.splits import ConversationFacts, Split
from finetune.dataset.times import believed
from finetune.fate import Fate, dropped
from finetune.sealed import Row
from finetune.stages import Stage, Work, sha256_of

# In a small dataset, one canary for each author would be most of it.
EXAMPLES_PER_CANARY = 20
LABELS, PAIRS, CANARIES, FROZEN = "labels", "pairs", "canaries", "frozen"

AnyVoted = TypeVar("AnyVoted", Label, Pair)


@dataclass(frozen=True)
class Assembly:
    """What the last stages go by.

    Attributes:
        known_by: What the maker is known by, as plain JSON: template, tokeniser, persona, length.
        replay: What the base model has said itself, and what that is known by.
        frozen: What earlier datasets have put aside for the test.
    """

    maker: ExampleMaker
    known_by: Mapping[str, Any]
    replay: Sequence[Example]
    replay_sha256: str
    replay_share: float
    num_canaries: int
    seed: int
    frozen: FrozenTest

    @property
    def frozen_by(self) -> dict[str, Any]:
        """What stages are known by that go by the frozen test; it is no input of a run, since runs choose it."""
        return {FROZEN: sha256_of(self.frozen.to_json())}

    def stages(self, source: str, voter_share: float) -> list[Stage]:
        """The stages, from conversations to the dataset."""
        return [
            Stage(
                "split",
                splits.VERSION,
                (source,),
                ("assigned", FROZEN),
                "conversations",
                partial(_split, source=source, frozen=self.frozen),
                self.frozen_by,
            ),
            # Before the examples: it is given all conversations, and passes all of them on.
            Stage(
                "preferences",
                preferences.VERSION,
                ("assigned",),
                (LABELS, PAIRS),
                "conversations",
                partial(_make_preferences, maker=self.maker, share=voter_share),
                {**self.known_by, "voter_share": voter_share},
            ),
            Stage(
                "examples",
                examples.VERSION,
                ("assigned",),
                ("learnt", Split.VALIDATION, Split.TEST),
                "conversations",
                partial(_make_examples, maker=self.maker),
                self.known_by,
            ),
            Stage(
                "mix",
                replay.VERSION + canaries.VERSION - 1,
                ("learnt",),
                (Split.TRAIN, CANARIES),
                "examples",
                self._mix,
                {
                    **self.known_by,
                    "replay": self.replay_sha256,
                    "replay_share": self.replay_share,
                    "canaries": self.num_canaries,
                    "seed": self.seed,
                },
            ),
        ]

    def _mix(self, work: Work) -> None:
        """What people say, some of what the base model says, and the canaries."""
        authors: set[str] = set()
        num_bytes = 0
        people = work.read("learnt", Example.from_json)
        for example in people:
            authors.update(author for author in example.authors[:1] if author)
            num_bytes += sum(len(target.encode()) for target in example.targets)
            work.keep(example)
        extra = replay.mix(num_bytes, self.replay, self.replay_share)
        max_authors = min(canaries.MAX_AUTHORS, work.came_out // EXAMPLES_PER_CANARY)
        planted = canaries.plant(self.seed, sorted(authors), self.num_canaries, max_authors)
        for example in (*extra, *(each.example for each in planted)):
            work.keep(example)
        for each in planted:
            work.write(CANARIES, each.to_json())
        work.notes |= {"added": {"replay": len(extra), "canaries": len(planted)}}


@dataclass(frozen=True)
class Assigned:
    """A conversation and what it is for."""

    split: Split
    conversation: Conversation

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"split": self.split, "conversation": self.conversation.to_json()}

    @classmethod
    def from_json(cls, row: Row) -> Self:
        """The reverse of `to_json`."""
        return cls(Split(row["split"]), Conversation.from_json(row["conversation"]))


def _split(work: Work, source: str, frozen: FrozenTest) -> None:
    conversations = work.read(source, Conversation.from_json)
    found = frozen.found_in(conversations)
    assignment = splits.assign(map(_facts, conversations), found.keys | found.gone)

    def chosen(split: Split) -> Iterator[Conversation]:
        return (each for each in conversations if assignment.splits[each.key] is split)

    frozen = frozen.with_test(chosen(Split.TEST))
    held = {Split.TEST: frozenset[str](), Split.VALIDATION: frozen.answers}
    held[Split.TRAIN] = frozen.answers | heldout.answers_of(chosen(Split.VALIDATION))
    for conversation in conversations:
        split = assignment.splits[conversation.key]
        left, fates = heldout.without(conversation, held[split])
        work.decide(Assigned(split, left) if left is not None else None, fates)
    for row in frozen.to_json():
        work.write(FROZEN, row)
    work.notes |= {"notes": list(assignment.notes), "borders_ms": dict(sorted(assignment.borders_ms.items()))}


def _facts(conversation: Conversation) -> ConversationFacts:
    times = [ms for turn in conversation.turns if (ms := believed(turn.sent_at_ms)) is not None]
    return ConversationFacts(
        key=conversation.key,
        source=conversation.source,
        ended_at_ms=max(times, default=None),
        target_bytes=sum(target_bytes(turn) for turn in conversation.turns if turn.is_target),
    )


def _make_examples(work: Work, maker: ExampleMaker) -> None:
    counts: dict[Split, Counter[str]] = {split: Counter() for split in Split}
    lengths: Counter[int] = Counter()
    scanner = SecretScanner()
    for assigned in work.read("assigned", Assigned.from_json):
        every, fates = maker.make(assigned.conversation)
        made = [each for each in every if not _holds_secret(scanner, each.example)]
        work.tell((*fates, *(_withheld(each.example) for each in every if each not in made)))
        for each in made:
            work.write("learnt" if assigned.split is Split.TRAIN else assigned.split, each.example.to_json())
        counts[assigned.split].update(_counted(made))
        lengths.update(length for each in made for length in each.target_lengths)
        if made:
            work.pass_on()
        else:
            work.leave("no example")
    work.notes |= {
        "splits": {split: dict(counter) for split, counter in counts.items()},
        "target_tokens": {str(length): number for length, number in sorted(lengths.items())},
    }


def _holds_secret(scanner: SecretScanner, example: Example) -> bool:
    """Whether words that were harmless one by one are a secret as the model would see them. The last door there is."""
    return any(scanner.find(message.content) for message in example.messages if message.role != "system")


def _withheld(example: Example) -> Fate:
    return dropped(example.id, "secret", "only to be seen where all that the example shows stands together")


def _counted(made: Sequence[Made]) -> dict[str, int]:
    return {
        "conversations": bool(made),
        "examples": len(made),
        "targets": sum(len(each.example.targets) for each in made),
        "tokens": sum(len(each.encoded.ids) for each in made),
        "target_tokens": sum(each.encoded.num_targets for each in made),
    }


def _make_preferences(work: Work, maker: ExampleMaker, share: float) -> None:
    made: dict[str, Split] = {}
    labels: list[Label] = []
    pairs: list[Pair] = []
    for assigned in work.read("assigned", Assigned.from_json):
        made[assigned.conversation.key] = assigned.split
        found, fates = preferences.labels(assigned.conversation, maker)
        labels += found
        pairs += preferences.pairs(assigned.conversation, maker)
        work.tell(fates)
        work.pass_on()
    kept, fates = _cap_voters(labels, made, share)
    kept_pairs, pair_fates = _cap_voters(pairs, made, share)
    work.tell((*fates, *pair_fates))
    _write(work, LABELS, kept, made)
    _write(work, PAIRS, kept_pairs, made)
    work.notes |= {
        "good": sum(label.is_good for label in kept),
        "bad": sum(not label.is_good for label in kept),
        "pairs": dict(sorted(Counter(pair.reason for pair in kept_pairs).items())),
        "voters": len({voter for voters in _voters(kept, kept_pairs) for voter in voters}),
        "capped": len(fates) + len(pair_fates),
    }


def _cap_voters(
    voted: Sequence[AnyVoted], of: Mapping[str, Split], share: float
) -> tuple[list[AnyVoted], tuple[Fate, ...]]:
    """What is left once nobody has more than a share of any split: of all together is not enough to learn from."""
    kept: list[AnyVoted] = []
    fates: list[Fate] = []
    for split in Split:
        left, gone = preferences.cap_voters([each for each in voted if of[each.conversation] is split], share)
        kept += left
        fates += gone
    return kept, tuple(fates)


def _voters(labels: Iterable[Label], pairs: Iterable[Pair]) -> Iterator[tuple[str, ...]]:
    yield from (label.voters for label in labels)
    yield from (pair.voters for pair in pairs)


def _write(work: Work, name: str, voted: Iterable[Label | Pair], of: Mapping[str, Split]) -> None:
    for each in voted:
        work.write(name, {"split": of[each.conversation], **asdict(each)})
