"""A sitting from its first item to its end, across crashes, second thoughts and other judges."""

from pathlib import Path

import pytest

from finetune.comparing.blinding import Choice
from finetune.comparing.judging import Judging, Shown
from finetune.comparing.result import CONFIDENCE, HumanResult, read
from finetune.comparing.store import votes_path, withdraw
from finetune.comparing.votes import Outcome
from finetune.comparing.wilson import lower_bound
from finetune.durable import UNFINISHED
from finetune.errors import StoreError
from tests.finetune.comparing.sittings import AGAINST, VERSION, judging, pairs, store


def shown(sitting: Judging) -> Shown:
    item = sitting.next()
    assert item is not None
    return item


def prefer(sitting: Judging, word: str) -> None:
    """Vote for the answer that begins so."""
    item = shown(sitting)
    sitting.vote(item.item, Choice.LEFT if item.left.startswith(word) else Choice.RIGHT)


def skip_to_the_end(sitting: Judging) -> None:
    while (item := sitting.next()) is not None:
        sitting.vote(item.item, Choice.SKIP)


def test_votes_count_for_the_answer_that_was_liked_on_whichever_side_it_was(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(20))
    for word in ["new"] * 9 + ["old"] * 6:
        prefer(sitting, word)
    for choice in (Choice.SAME, Choice.SAME, Choice.BAD, Choice.SKIP, Choice.SKIP):
        sitting.vote(shown(sitting).item, choice)
    assert sitting.next() is None
    expected = HumanResult(VERSION, AGAINST, 9, 6, 2, 1, 0, lower_bound(10.5, 18, CONFIDENCE))
    assert sitting.result() == read(tmp_path, VERSION, AGAINST) == expected
    assert (expected.judged, expected.points, expected.share) == (18, 10.5, 10.5 / 18)
    assert "better 9, worse 6, as good 2, both bad 1" in expected.in_words()


def test_both_models_are_seen_on_both_sides(tmp_path: Path) -> None:
    sitting, left = judging(tmp_path, pairs(40)), []
    while (item := sitting.next()) is not None:
        assert {item.left[:3], item.right[:3]} == {"new", "old"}
        left.append(item.left[:3])
        sitting.vote(item.item, Choice.SKIP)
    assert {"new", "old"} == set(left)


def test_a_sitting_that_was_killed_goes_on_at_the_same_item_and_address_with_the_same_sides(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(10))
    for _ in range(4):
        prefer(sitting, "new")
    again = judging(tmp_path, pairs(10))
    assert again.next() == sitting.next()
    assert again.address == sitting.address
    assert again.result() == sitting.result()


def test_equal_answers_are_not_shown_and_count_as_ties_but_not_as_votes_and_once_for_all_judges(
    tmp_path: Path,
) -> None:
    for number, judge in enumerate(("ann", "ben"), 1):
        sitting = judging(tmp_path, pairs(5, equal=3), judge)
        assert sitting.total == 2
        prefer(sitting, "new")
        prefer(sitting, "new")
        before = sitting.result().equal
        sitting.end()
        sitting.end()
        found = sitting.result()
        assert (before, found.equal) == (0 if judge == "ann" else 3, 3)
        assert (found.wins, found.ties, found.judged) == (2 * number, 0, 2 * number)
        assert found.share == (2 * number + 1.5) / (2 * number + 3)
    chats = Judging(store(tmp_path), "chats", pairs(4, equal=2), "ann")
    skip_to_the_end(chats)
    chats.end()
    assert chats.result().equal == 5, "those of another source are others"


def test_equal_answers_alone_are_no_result(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(40, equal=40))
    sitting.end()
    assert sitting.is_over
    assert read(tmp_path, VERSION, AGAINST) is None


def test_a_model_that_is_liked_less_is_not_saved_by_ties(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(40))
    for _ in range(16):
        prefer(sitting, "old")
    for choice in [Choice.SAME] * 12 + [Choice.BAD] * 12:
        sitting.vote(shown(sitting).item, choice)
    found = sitting.result()
    assert (found.judged, found.share) == (40, 0.3)
    assert found.lower_bound == lower_bound(12, 40, CONFIDENCE) < 0.25


def test_an_item_counts_once_however_often_it_is_sent_and_the_last_word_stands(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(3))
    item = shown(sitting).item
    for choice in (Choice.BAD, Choice.BAD, Choice.SAME, Choice.SAME):
        sitting.vote(item, choice)
    result = sitting.result()
    assert (result.judged, result.ties, result.both_bad) == (1, 1, 0)
    assert shown(sitting).number == 2


def test_the_last_vote_can_be_taken_back_and_a_wish_sent_twice_takes_back_one(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(3))
    first = shown(sitting)
    prefer(sitting, "new")
    second = shown(sitting)
    prefer(sitting, "new")
    assert sitting.last == second.item
    sitting.undo(second.item)
    sitting.undo(second.item)
    assert sitting.next() == second
    sitting.undo(first.item)
    assert sitting.next() == first
    assert sitting.last is None
    assert sitting.result().judged == 0


def test_it_is_over_only_when_every_item_has_a_vote_and_then_nothing_changes(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(3))
    item = shown(sitting).item
    sitting.end()
    assert not sitting.is_over
    skip_to_the_end(sitting)
    sitting.end()
    for late in (sitting, judging(tmp_path, pairs(3))):
        late.vote(item, Choice.BAD)
        late.undo(item)
        assert late.is_over
        assert late.last is None
        assert [each.outcome for each in late.reveal()] == [Outcome.SKIP] * 3


def test_judges_add_up_and_each_sees_an_order_of_their_own(tmp_path: Path) -> None:
    orders: dict[str, list[str]] = {}
    for judge in ("ann", "ben", "cem"):
        sitting = judging(tmp_path, pairs(12), judge)
        while (item := sitting.next()) is not None:
            orders.setdefault(judge, []).append(item.item)
            prefer(sitting, "new")
    result = read(tmp_path, VERSION, AGAINST)
    assert result is not None
    assert result.wins == 36
    assert len({tuple(order) for order in orders.values()}) == 3


def test_nothing_is_the_result_of_a_sitting_in_which_nobody_has_voted(tmp_path: Path) -> None:
    assert read(tmp_path, VERSION, AGAINST) is None
    sitting = judging(tmp_path, pairs(3))
    skip_to_the_end(sitting)
    assert read(tmp_path, VERSION, AGAINST) is None
    assert sitting.result().in_words().endswith("no votes yet")


def test_an_item_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        judging(tmp_path, pairs(3)).vote("other", Choice.LEFT)


def test_a_vote_that_cannot_be_kept_does_not_count(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(3))
    item = shown(sitting)
    unfinished = votes_path(tmp_path, VERSION, AGAINST).with_name(f".{VERSION}--{AGAINST}.json{UNFINISHED}")
    unfinished.mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        sitting.vote(item.item, Choice.LEFT)
    assert sitting.next() == item


def test_votes_that_are_damaged_are_refused_and_not_begun_anew(tmp_path: Path) -> None:
    votes_path(tmp_path, VERSION, AGAINST).write_text('{"format": 1', encoding="utf-8")
    with pytest.raises(StoreError, match="restore or remove it"):
        judging(tmp_path, pairs(3))
    with pytest.raises(StoreError, match="restore or remove it"):
        read(tmp_path, VERSION, AGAINST)


def test_what_people_read_is_on_disk_encrypted_only_and_can_be_withdrawn(tmp_path: Path) -> None:
    made = pairs(3)
    kept = store(tmp_path)
    kept.keep_pairs("chats", made)
    sitting = Judging(kept, "chats", made, "ann")
    prefer(sitting, "new")
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"What is" not in everything
    assert b"new 0" not in everything
    assert kept.pairs("chats") == made
    assert kept.pairs("general") is None
    (tmp_path / f".half.rows{UNFINISHED}").write_bytes(b"what a process was writing when it was killed")
    withdraw(tmp_path)
    assert not list(tmp_path.glob("*rows*"))
    assert kept.pairs("chats") is None
    assert sitting.result().wins == 1


def test_what_was_withdrawn_and_made_anew_does_not_offer_to_take_back_votes_for_what_is_gone(tmp_path: Path) -> None:
    prefer(judging(tmp_path, pairs(3)), "new")
    anew = judging(tmp_path, pairs(9)[3:])
    assert anew.last is None
    assert shown(anew).number == 1
    assert anew.result().wins == 1
