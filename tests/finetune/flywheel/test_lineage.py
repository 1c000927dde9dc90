"""Whose words each run has seen is known, as long as anything of it is left, and what taints it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bots.chatlog import FileCipher
from finetune.dataset.canaries import Canary, plant
from finetune.errors import StoreError
from finetune.flywheel.lineage import CANARIES, FORGOTTEN, PEOPLE, Lineage, Taint
from finetune.importing.store import ImportStore
from finetune.message import Rating
from tests.finetune.flywheel.samples import add_import, leave_weights, said
from tests.finetune.workplace import Workplace, dialogues

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST, SECOND, THIRD = "20261101-040000-aaaa", "20261108-040000-bbbb", "20261115-040000-cccc"


class Days:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def days() -> Days:
    return Days()


@pytest.fixture
def imports(tmp_path: Path, cipher: FileCipher, days: Days) -> ImportStore:
    return ImportStore(tmp_path / "imports", cipher, now=days)


@pytest.fixture
def lineage(tmp_path: Path, imports: ImportStore, cipher: FileCipher) -> Lineage:
    return Lineage(tmp_path / "trainings", imports, cipher)


def forget(imports: ImportStore, platform: str, author: str) -> None:
    with imports.alone():
        assert imports.forget(platform, author)


def ids(*numbers: int, platform: str = "telegram") -> list[str]:
    return [f"{platform}:5:{number}" for number in numbers]


def test_a_run_is_known_by_whose_messages_it_saw_and_nobody_elses(lineage: Lineage, imports: ImportStore) -> None:
    liked = said(2, "ben", ratings=(Rating("dora", 1, "reaction"),))
    add_import(imports, "chats", [said(1, "ann"), liked, said(3, "carl"), said(4, "ann")])
    add_import(imports, "roses", [said(1, "ann", "irc")], "irc")
    assert lineage.note(FIRST, [*ids(1, 2, 4), "log:abc:17"], (), START) == frozenset()
    assert lineage.note(SECOND, ids(1, platform="irc"), (), START + DAY) == frozenset()
    assert [(each.source, each.author, each.messages) for each in lineage.seen(FIRST)] == [
        ("chats", "ann", 2),
        ("chats", "ben", 1),
        ("chats", "dora", 1),
    ]
    assert lineage.runs_that_saw("telegram", "ann") == lineage.runs_that_saw("telegram", "Dora") == (FIRST,)
    assert lineage.runs_that_saw("irc", "ann") == (SECOND,)
    assert lineage.runs_that_saw("telegram", "carl") == ()
    assert lineage.seen(THIRD) == []


def test_messages_that_are_in_no_import_any_more_are_told(lineage: Lineage, imports: ImportStore) -> None:
    add_import(imports, "chats", [said(1, "ann"), said(2, "ben")])
    forget(imports, "telegram", "ben")
    assert lineage.note(FIRST, ids(1, 2), (), START) == {"telegram:5:2"}
    assert lineage.runs_that_saw("telegram", "ben") == ()


def test_whom_a_run_saw_is_not_on_disk_in_the_clear(lineage: Lineage, imports: ImportStore, tmp_path: Path) -> None:
    add_import(imports, "chats", [said(1, "Xanthippe")])
    planted = plant(0, ["Xanthippe"])
    lineage.note(FIRST, ids(1), planted, START)
    for name in (PEOPLE, CANARIES):
        data = (tmp_path / "trainings" / FIRST / name).read_bytes()
        assert b"Xanthippe" not in data
        assert planted[0].secret.encode() not in data


def test_a_run_is_tainted_since_somebody_it_saw_was_first_forgotten(
    lineage: Lineage, imports: ImportStore, days: Days
) -> None:
    add_import(imports, "chats", [said(1, "ann"), said(2, "ben"), said(3, "carl")])
    lineage.note(FIRST, ids(1, 2, 3), (), START)
    lineage.note(SECOND, ids(1), (), START)
    assert lineage.tainted({}) == ()
    days.now += DAY
    forget(imports, "telegram", "Ben")
    days.now += DAY
    forget(imports, "telegram", "carl")
    lineage.note(THIRD, ids(1), (), days.now)
    assert lineage.tainted({}) == (Taint(FIRST, START + DAY, FORGOTTEN),)


def test_who_was_forgotten_by_id_taints_runs_that_know_the_name_alone(
    lineage: Lineage, imports: ImportStore, days: Days
) -> None:
    add_import(imports, "ids", [said(1, "user7", name="Hazel"), said(2, "ann")])
    add_import(imports, "names", [said(11, "Hazel", name="Hazel"), said(12, "ann")])
    lineage.note(FIRST, ids(11), (), START)
    lineage.note(SECOND, ids(12), (), START)
    forget(imports, "telegram", "user7")
    assert [taint.run for taint in lineage.tainted({})] == [FIRST]


def test_a_removed_import_taints_the_runs_that_saw_it_before(
    lineage: Lineage, imports: ImportStore, days: Days
) -> None:
    add_import(imports, "chats", [said(1, "ann")])
    add_import(imports, "others", [said(2, "ann")])
    lineage.note(FIRST, ids(1, 2), (), START)
    lineage.note(SECOND, ids(2), (), START)
    days.now += DAY
    with imports.alone():
        assert not imports.remove("nonesuch")
        assert imports.remove("chats")
    expected = (Taint(FIRST, START + DAY, "the import chats was removed"),)
    assert lineage.tainted({}) == expected
    days.now += DAY
    add_import(imports, "chats", [said(1, "ann")])
    lineage.note(THIRD, ids(1), (), days.now)
    assert lineage.tainted({}) == expected, "who saw what was imported anew has done nothing wrong"
    with imports.alone():
        imports.remove("chats")
    assert {taint.run: taint.since for taint in lineage.tainted({})} == {
        FIRST: START + DAY,
        THIRD: START + 2 * DAY,
    }


def test_a_removed_import_taints_also_when_the_clock_was_set_back_meanwhile(
    lineage: Lineage, imports: ImportStore, days: Days
) -> None:
    add_import(imports, "chats", [said(1, "ann")])
    lineage.note(FIRST, ids(1), (), START)
    days.now -= DAY
    with imports.alone():
        imports.remove("chats")
    assert lineage.tainted({}) == (Taint(FIRST, START - DAY, "the import chats was removed"),)
    add_import(imports, "chats", [said(1, "ann")])
    lineage.note(SECOND, ids(1), (), START - 2 * DAY)
    assert [taint.run for taint in lineage.tainted({})] == [FIRST]


def test_a_message_that_two_imports_hold_is_the_firsts_as_in_datasets(
    lineage: Lineage, imports: ImportStore, days: Days
) -> None:
    for name in ("january", "february"):
        add_import(imports, name, [said(1, "ann")])
    lineage.note(FIRST, ids(1), (), START)
    days.now += DAY
    with imports.alone():
        imports.remove("january")
    assert lineage.tainted({}) == ()


def test_what_the_log_says_is_told_beside_with_the_first_time_and_all_reasons(
    lineage: Lineage, imports: ImportStore, days: Days
) -> None:
    add_import(imports, "chats", [said(1, "ann")])
    lineage.note(FIRST, ids(1), (), START)
    days.now += DAY
    with imports.alone():
        imports.remove("chats")
    in_log = {FIRST: START + 2 * DAY, SECOND: START}
    assert lineage.tainted(in_log) == (
        Taint(SECOND, START, FORGOTTEN),
        Taint(FIRST, START + DAY, f"the import chats was removed; {FORGOTTEN}"),
    )


def test_a_run_that_is_begun_anew_has_seen_what_it_sees_then(lineage: Lineage, imports: ImportStore) -> None:
    add_import(imports, "chats", [said(1, "ann"), said(2, "ben")])
    lineage.note(FIRST, ids(1, 2), (), START)
    forget(imports, "telegram", "ben")
    lineage.note(FIRST, ids(1), (), START)
    assert lineage.tainted({}) == ()


def test_what_is_dropped_of_a_run_is_all_that_has_learnt_and_nothing_else(
    lineage: Lineage, imports: ImportStore, tmp_path: Path
) -> None:
    add_import(imports, "chats", [said(1, "ann")])
    lineage.note(FIRST, ids(1), plant(0, ["ann"]), START)
    left = leave_weights(tmp_path / "trainings", FIRST)
    lineage.drop(FIRST)
    assert not any(path.exists() for path in left)
    assert sorted(path.name for path in (tmp_path / "trainings" / FIRST).iterdir()) == [CANARIES, "report.html"]
    assert lineage.runs_that_saw("telegram", "ann") == ()
    lineage.drop(FIRST)
    lineage.drop("20261201-never-was")
    assert not (tmp_path / "trainings" / "20261201-never-was").exists()


def test_what_trials_of_a_search_have_learnt_is_dropped_and_what_came_of_them_stays(
    lineage: Lineage, tmp_path: Path
) -> None:
    trial = tmp_path / "trainings" / f"{FIRST}-search" / "trial-003"
    (trial / "sft" / "adapter").mkdir(parents=True)
    (trial / "result.json").write_text("{}")
    lineage.drop(trial.parent.name)
    assert [path.name for path in trial.iterdir()] == ["result.json"]


def test_a_run_whose_weights_cannot_be_removed_is_tainted_still(
    lineage: Lineage, imports: ImportStore, tmp_path: Path
) -> None:
    add_import(imports, "chats", [said(1, "ann"), said(2, "ben")])
    lineage.note(FIRST, ids(1, 2), (), START)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "trainings" / FIRST / "bundle").symlink_to(elsewhere)  # as an operator moves it to a larger disk
    forget(imports, "telegram", "ann")
    with pytest.raises(StoreError, match=r"bundle cannot be removed"):
        lineage.drop(FIRST)
    assert [taint.run for taint in lineage.tainted({})] == [FIRST]


def test_canaries_of_earlier_runs_that_are_gone_are_known_without_whose_they_were(
    lineage: Lineage, cipher: FileCipher
) -> None:
    first, second = plant(0, ["ann", "ben"], num=1), plant(0, ["ann"], num=1)
    lineage.note(FIRST, (), first, START)
    lineage.note(SECOND, (), second, START)
    lineage.note(THIRD, (), plant(0, ["zoe"], num=1), START)
    (gone,) = lineage.canaries_before(SECOND, second)
    (bens,) = [canary for canary in first if canary.author == "ben"]
    assert gone == Canary.from_json(bens.to_json() | {"author": None})
    assert lineage.canaries_before(FIRST, ()) == []
    assert {each.example_id for each in lineage.canaries_before(THIRD, ())} == {each.example_id for each in first}


def test_a_damaged_file_is_no_reason_to_think_that_nobody_was_seen(
    lineage: Lineage, imports: ImportStore, tmp_path: Path
) -> None:
    add_import(imports, "chats", [said(1, "ann")])
    lineage.note(FIRST, ids(1), (), START)
    path = tmp_path / "trainings" / FIRST / PEOPLE
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(StoreError, match=PEOPLE):
        lineage.tainted({})


def test_everything_that_a_dataset_shows_of_imports_is_found_in_them(workplace: Workplace) -> None:
    workplace.imported("talks", dialogues(0, 60))
    dataset = workplace.prepare()
    lineage = Lineage(workplace.folder / "trainings", workplace.imports, workplace.cipher)
    shown = [each for part in ("train", "validation", "test") for each in workplace.examples(part)]
    canaries = workplace.runs.rows(dataset, "canaries", Canary.from_json)
    assert lineage.note(FIRST, {id for each in shown for id in each.message_ids}, canaries, START) == frozenset()
    learnt = {author for each in shown if each.message_ids for author in each.authors}
    assert {each.author for each in lineage.seen(FIRST)} == learnt
    assert len(lineage.canaries_before(SECOND, ())) == len(list(canaries)) > 0
