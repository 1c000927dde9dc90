"""From conversations without duplicates to splits: what judges is never learnt, however it comes back."""

import io
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bots.chatlog import FileCipher
from exporters.progress import Progress
from finetune.assembling import FROZEN, LABELS, Assembly
from finetune.conversation import Conversation
from finetune.dataset import heldout
from finetune.dataset.duplicates import drop_duplicates
from finetune.dataset.examples import ExampleMaker
from finetune.dataset.frozen import FrozenConversation, FrozenTest
from finetune.dataset.splits import Split
from finetune.message import Rating, Role
from finetune.stages import FATES, Done, Run, Stage, Work
from tests.finetune.dataset.dialogues import EPOCH_MS, dialogue, sentence
from tests.finetune.dataset.renderers import model

HOUR_MS = 3_600_000
YEAR_9999_MS = 253_370_764_800_000 - EPOCH_MS


def talk(seed: str, number: int = 60, *, source: str = "log", num_turns: int = 4) -> list[Conversation]:
    """Conversations that are like no others, an hour apart."""
    rng = random.Random(seed)
    return [
        dialogue(
            f"{seed}{n}",
            [sentence(rng, 9) for _ in range(num_turns)],
            source=source,
            author=f"author {n % 7}",
            started_at_ms=n * HOUR_MS,
        )
        for n in range(number)
    ]


def renamed(conversation: Conversation, prefix: str) -> Conversation:
    """The same under other ids, as an export has it that numbers messages anew."""
    turns = tuple(replace(turn, ids=tuple(f"{prefix}{id}" for id in turn.ids)) for turn in conversation.turns)
    return replace(conversation, key=turns[0].ids[0], turns=turns)


def without_first(conversation: Conversation) -> Conversation:
    """What is left once the first turn is forgotten."""
    turns = tuple(
        replace(turn, parent=turn.parent - 1 if turn.parent else None, sent_at_ms=(turn.sent_at_ms or 0))
        for turn in conversation.turns[1:]
    )
    return replace(conversation, key=turns[0].ids[0], turns=turns)


def with_turns_before(conversation: Conversation, number: int, seed: str) -> Conversation:
    """The same after some turns of other words."""
    rng = random.Random(seed)
    before = dialogue(f"{seed} before", [sentence(rng, 9) for _ in range(number)]).turns
    turns = tuple(
        replace(turn, parent=number - 1 if turn.parent is None else turn.parent + number) for turn in conversation.turns
    )
    return replace(conversation, key=before[0].ids[0], turns=(*before, *turns))


@dataclass(frozen=True)
class Assembled:
    """What duplicates and the last stages have made."""

    done: dict[str, Done]
    splits: dict[str, Split]
    conversations: dict[str, Conversation]
    frozen: FrozenTest
    labels: list[dict[str, Any]]

    def keys(self, split: Split) -> set[str]:
        return {key for key, its in self.splits.items() if its is split}

    def answers(self, *splits: Split) -> frozenset[str]:
        """What the answers to learn of some splits are known by."""
        return heldout.answers_of(each for each in self.conversations.values() if self.splits[each.key] in splits)


def assemble(
    folder: Path,
    cipher: FileCipher,
    conversations: Sequence[Conversation],
    frozen: FrozenTest = FrozenTest(),  # noqa: B008 - frozen in both senses
    voter_share: float = 0.1,
) -> Assembled:
    def give(work: Work) -> None:
        for each in work.counted(conversations):
            work.keep(each)

    def drop(work: Work) -> None:
        for left, fates in drop_duplicates(work.read("given", Conversation.from_json), frozen):
            work.decide(left, fates)

    maker = ExampleMaker(model().renderer, "Be kind.", 400)
    assembly = Assembly(maker, {}, (), "", 0.0, 0, 1, frozen)
    run = Run(folder, cipher)
    stages = [
        Stage("give", 1, (), ("given",), "conversations", give, {"keys": [each.key for each in conversations]}),
        Stage("drop", 1, ("given",), ("distinct",), "conversations", drop, assembly.frozen_by),
        *assembly.stages("distinct", voter_share)[:2],
    ]
    done = {each.stage: each for each in run.carry_out(stages, Progress(4, io.StringIO()))}
    assigned = list(run.rows("split", "assigned"))
    found = [(Conversation.from_json(row["conversation"]), Split(row["split"])) for row in assigned]
    return Assembled(
        done,
        {conversation.key: split for conversation, split in found},
        {conversation.key: conversation for conversation, _ in found},
        FrozenTest(frozenset(FrozenConversation.from_json(row) for row in run.rows("split", FROZEN))),
        [dict(row) for row in run.rows("preferences", LABELS)],
    )


@pytest.mark.parametrize("way", [without_first, lambda each: renamed(each, "anew ")], ids=["forgotten", "renumbered"])
def test_the_test_is_never_learnt_whatever_becomes_of_its_ids(tmp_path: Path, cipher: FileCipher, way: Any) -> None:
    conversations = talk("a")
    first = assemble(tmp_path / "1", cipher, conversations)
    tested = first.keys(Split.TEST)
    assert tested
    changed = [way(each) if each.key in tested else each for each in conversations]
    second = assemble(tmp_path / "2", cipher, changed, first.frozen)
    assert second.keys(Split.TEST) == {way(each).key for each in conversations if each.key in tested}
    assert second.keys(Split.TRAIN) <= first.keys(Split.TRAIN)
    # Nor once the ids have changed again.
    third = assemble(tmp_path / "3", cipher, [renamed(each, "again ") for each in conversations], second.frozen)
    assert {key.removeprefix("again ") for key in third.keys(Split.TEST)} == tested
    assert third.answers(Split.TEST) == first.answers(Split.TEST)


def test_an_older_copy_does_not_take_the_place_of_what_is_in_the_test(tmp_path: Path, cipher: FileCipher) -> None:
    conversations = talk("a")
    first = assemble(tmp_path / "1", cipher, conversations)
    older = [
        replace(
            each,
            turns=tuple(
                replace(t, sent_at_ms=(t.sent_at_ms or 0) - 10**9, pieces=(f"{t.text} so",)) for t in each.turns
            ),
        )
        for each in (renamed(each, "old ") for each in conversations)
    ]
    without = assemble(tmp_path / "2", cipher, [*older, *conversations])
    assert all(key.startswith("old ") for key in without.splits)
    second = assemble(tmp_path / "3", cipher, [*older, *conversations], first.frozen)
    assert second.keys(Split.TEST) == first.keys(Split.TEST)
    assert not {key.removeprefix("old ") for key in second.keys(Split.TRAIN)} & first.keys(Split.TEST)


def test_an_answer_that_judges_is_not_learnt_in_a_longer_copy_of_its_dialogue(
    tmp_path: Path, cipher: FileCipher
) -> None:
    short = talk("a", 100)
    long = [with_turns_before(renamed(each, "long "), 4, each.key) for each in short]
    one = assemble(tmp_path / "1", cipher, [*short, *long])
    assert min(len(one.keys(split)) for split in Split) > 0
    assert not one.answers(Split.TRAIN) & one.answers(Split.VALIDATION, Split.TEST)
    assert not one.answers(Split.VALIDATION) & one.answers(Split.TEST)
    assert one.done["split"].changed["held out"] > 0
    # What is said before is learnt all the same, and so is the rest.
    assert one.keys(Split.TRAIN) & {each.key for each in long}


def test_a_conversation_of_which_all_answers_judge_is_dropped(tmp_path: Path, cipher: FileCipher) -> None:
    short = talk("a", 100, num_turns=2)
    long = [with_turns_before(renamed(each, "long "), 4, each.key) for each in short]
    one = assemble(tmp_path / "1", cipher, [*short, *long])
    assert one.done["split"].dropped == {"no answer to learn": 100 + 100 - len(one.splits)}
    assert len(one.splits) < 200


def test_short_answers_may_be_learnt_wherever_they_stand(tmp_path: Path, cipher: FileCipher) -> None:
    rng = random.Random(3)
    conversations = [
        dialogue(f"{n}", [sentence(rng, 12), sentence(rng, 9), "are you sure", f"yes {n % 50}"]) for n in range(100)
    ]
    one = assemble(tmp_path / "1", cipher, conversations)
    assert one.done["split"].changed == {}
    assert Counter(one.splits.values()) == {Split.TRAIN: 70, Split.VALIDATION: 20, Split.TEST: 10}


@pytest.mark.parametrize("seed", range(6))
def test_a_second_run_with_the_test_of_the_first_comes_to_the_same(
    tmp_path: Path, cipher: FileCipher, seed: int
) -> None:
    rng = random.Random(seed)
    originals = talk(f"a{seed}", rng.randint(20, 120))
    copies = [renamed(each, "copy ") for each in rng.sample(originals, 10)]
    longer = [with_turns_before(renamed(each, "long "), 2, each.key) for each in rng.sample(originals, 15)]
    cut = [without_first(renamed(each, "cut ")) for each in rng.sample(originals, 10)]
    varied = [
        replace(each, turns=(replace(each.turns[0], pieces=(sentence(rng, 4),)), *each.turns[1:]))
        for each in (renamed(each, "varied ") for each in rng.sample(originals, 15))
    ]
    opened = [
        replace(
            other,
            turns=(*(replace(o, ids=(f"{other.key} {n}",)) for n, o in enumerate(one.turns[:2])), *other.turns[2:]),
        )
        for one, other in zip(rng.sample(originals, 10), talk(f"o{seed}", 10), strict=True)
    ]
    conversations = [*originals, *copies, *longer, *cut, *varied, *opened]
    rng.shuffle(conversations)
    conversations = [
        each if rng.random() < 0.5 else replace(each, turns=tuple(replace(t, sent_at_ms=None) for t in each.turns))
        for each in conversations
    ]
    first = assemble(tmp_path / "1", cipher, conversations)
    again = assemble(tmp_path / "2", cipher, conversations, first.frozen)
    assert (again.splits, again.conversations, again.frozen) == (first.splits, first.conversations, first.frozen)
    # And so on a later day, when some of the test is gone and something of it has come back.
    later = [*rng.sample(conversations, len(conversations) - 20), *talk(f"b{seed}", 10)]
    later += [renamed(each, "later ") for each in rng.sample(conversations, 20)]
    third = assemble(tmp_path / "3", cipher, later, first.frozen)
    fourth = assemble(tmp_path / "4", cipher, later, third.frozen)
    assert (fourth.splits, fourth.conversations, fourth.frozen) == (third.splits, third.conversations, third.frozen)
    assert not third.answers(Split.TRAIN) & first.frozen.answers


def test_what_is_gone_from_the_test_is_counted_and_replaced(tmp_path: Path, cipher: FileCipher) -> None:
    conversations = talk("a")
    first = assemble(tmp_path / "1", cipher, conversations)
    left = [each for each in conversations if each.key not in first.keys(Split.TEST)]
    second = assemble(tmp_path / "2", cipher, left, first.frozen)
    number = len(first.frozen.conversations)
    assert len(second.keys(Split.TEST)) == number
    assert second.keys(Split.TEST) < first.keys(Split.VALIDATION)
    notes = second.done["split"].notes["notes"]
    assert notes[0] == f"{number} of {2 * number} conversations of the frozen test are gone"
    assert second.frozen.conversations > first.frozen.conversations
    third = assemble(tmp_path / "3", cipher, left, second.frozen)
    assert (third.splits, third.conversations, third.frozen) == (second.splits, second.conversations, second.frozen)


def test_an_import_from_the_year_9999_is_not_all_that_validates(tmp_path: Path, cipher: FileCipher) -> None:
    real = talk("a", 200)
    false = [
        dialogue(f"false{n}", [sentence(random.Random(f"f{n}"), 9) for _ in range(4)], started_at_ms=YEAR_9999_MS)
        for n in range(200)
    ]
    validation = assemble(tmp_path / "1", cipher, [*real, *false]).keys(Split.VALIDATION)
    assert any(key.startswith("a") for key in validation)
    # One turn with such a time moves nothing.
    last = real[0].turns[-1]
    moved = replace(real[0], turns=(*real[0].turns[:-1], replace(last, sent_at_ms=YEAR_9999_MS)))
    assert moved.key not in assemble(tmp_path / "2", cipher, [moved, *real[1:]]).keys(Split.VALIDATION)


def test_nobody_has_more_than_a_share_of_the_votes_of_any_split(tmp_path: Path, cipher: FileCipher) -> None:
    rng = random.Random(5)
    conversations = []
    for n in range(200):
        # Of what is old, one person has judged nearly everything; of what is new, the others.
        voter = f"voter {n % 12}" if n > 150 or n % 5 == 0 else "voter 0"
        question, answer = dialogue(f"c{n}", [sentence(rng, 9), sentence(rng, 9)], started_at_ms=n * HOUR_MS).turns
        answer = replace(answer, author="", is_bot=True, role=Role.ASSISTANT, ratings=(Rating(voter, 1, "button"),))
        turns = (replace(question, role=Role.USER), answer)
        conversations.append(Conversation(f"c{n}", "log", "test", "square", turns, is_shared=False))
    labels = assemble(tmp_path / "1", cipher, conversations, voter_share=0.25).labels
    assert labels
    for split in Split:
        votes = Counter(voter for label in labels if label["split"] == split for voter in label["voters"])
        assert max(votes.values(), default=0) <= 0.25 * votes.total()


def test_a_secret_that_is_only_seen_in_an_example_is_in_none(tmp_path: Path, cipher: FileCipher) -> None:
    """Whatever the stages before have let through: here none has looked."""
    conversations = [
        dialogue("a", ["what was it again?", "my password is hunter2!xY9"]),
        dialogue("b", ["how was the garden today?", "full of magpies as ever"]),
    ]

    def give(work: Work) -> None:
        for each in work.counted(conversations):
            work.keep(each)

    assembly = Assembly(ExampleMaker(model().renderer, "Be kind.", 400), {}, (), "", 0.0, 0, 1, FrozenTest())
    run = Run(tmp_path, cipher)
    stages = [Stage("give", 1, (), ("given",), "conversations", give), *assembly.stages("given", 0.1)]
    done = {each.stage: each for each in run.carry_out(stages, Progress(5, io.StringIO()))}
    assert done["examples"].dropped == {"no example": 1}
    (example,) = run.rows("mix", Split.TRAIN)
    assert example["messages"][-1]["content"] == "full of magpies as ever"
    assert [row["reason"] for row in run.rows("examples", FATES)] == ["secret"]
