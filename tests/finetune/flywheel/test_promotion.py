"""Which version may be champion follows from what people have taken back, and when."""

import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bots.chatlog import ChatLog, FileCipher
from engine.bundle import GRAPH_NAME, MANIFEST_NAME
from engine.errors import RegistryError
from engine.registry import Registry
from finetune.flywheel.lineage import FORGOTTEN, PEOPLE, Lineage, Taint
from finetune.flywheel.promotion import Promotions, RetiringError, TaintedError
from finetune.importing.store import ImportStore
from tests.bots.chatlog.chatlog_samples import ANNA, BERT, CONFIRMED, Clock, decide, settings, talk_now, trainable
from tests.finetune.flywheel.samples import leave_weights, trained

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RUNS = ("20261101-040000-aaaa", "20261108-040000-bbbb", "20261115-040000-cccc")


@dataclass
class Place:
    """A registry with a base model and the models of three runs, promoted one after the other."""

    registry: Registry
    trainings: Path
    lineage: Lineage
    base: str
    versions: list[str]
    weights: dict[str, list[Path]]
    clock: Clock

    def promotions(self, *taints: Taint, now: datetime = NOW) -> Promotions:
        self.clock.time = now
        return Promotions(self.registry, self.lineage, taints, 7, 30, now)

    def left(self) -> list[str]:
        """The runs that have weights still."""
        return [run for run, paths in self.weights.items() if any(path.exists() for path in paths)]


def taint(number: int, days_ago: float) -> Taint:
    return Taint(RUNS[number], NOW - timedelta(days=days_ago), FORGOTTEN)


@pytest.fixture
def place(bundles: Callable[..., Path], tmp_path: Path, cipher: FileCipher) -> Place:
    clock = Clock(NOW)
    registry, trainings = Registry(tmp_path / "registry", now=clock), tmp_path / "trainings"
    base = registry.add(bundles())
    registry.promote(base, "the base model")
    versions = [trained(registry, bundles(), run, tmp_path) for run in RUNS]
    lineage = Lineage(trainings, ImportStore(tmp_path / "imports", cipher), cipher)
    weights = {}
    for run, version in zip(RUNS, versions, strict=True):
        registry.promote(version, f"run {run}")
        lineage.note(run, (), (), NOW - timedelta(days=60))
        weights[run] = leave_weights(trainings, run)
    return Place(registry, trainings, lineage, base, versions, weights, clock)


def test_versions_are_told_with_run_data_and_part(place: Place) -> None:
    first, second, third = place.versions
    place.registry.retire(first, "old")
    place.registry.challenge(second, "once more")
    infos = {each.version: each for each in place.promotions(taint(1, 3), taint(0, 3)).versions()}
    assert set(infos) == {place.base, first, second, third}
    assert (infos[second].run, infos[second].dataset_sha256) == (RUNS[1], f"{RUNS[1]:0<64}")
    assert [v for v, each in infos.items() if each.is_champion] == [third]
    assert [v for v, each in infos.items() if each.is_challenger] == [second]
    assert [v for v, each in infos.items() if each.is_base] == [place.base]
    assert {v: each.retired.reason for v, each in infos.items() if each.retired} == {first: "old"}
    assert {v: each.taint for v, each in infos.items() if each.taint} == {second: taint(1, 3)}


def test_a_champion_is_to_be_replaced_by_its_own_deadline(place: Place) -> None:
    assert place.promotions().due() is None
    assert place.promotions(taint(0, 20)).due() is None, "the champion is clean"
    assert place.promotions(taint(0, 20), taint(2, 3)).due() == NOW + timedelta(days=4)
    place.registry.promote(place.base, "back to the base")
    assert place.promotions(taint(2, 3)).due() is None


def test_a_tainted_version_is_promoted_with_a_warning_until_the_deadline_and_not_after(place: Place) -> None:
    first, second, third = place.versions
    promotions = place.promotions(taint(0, 6.9), taint(1, 7))
    (warning,) = promotions.promote(first, "by hand")
    assert first in warning
    assert "by 2026-11-20" in warning
    with pytest.raises(TaintedError, match=rf"{second} may be used no more since 2026-11-20: somebody was forgotten"):
        promotions.promote(second, "by hand")
    assert place.registry.champion() == first
    assert promotions.promote(third, "clean") == ()
    with pytest.raises(RegistryError, match="no version 'nonesuch'"):
        promotions.promote("nonesuch", "test")


def test_a_rollback_warns_of_a_tainted_version_and_goes_past_one_that_is_tainted_too_long(place: Place) -> None:
    first, second, third = place.versions
    version, (warning,) = place.promotions(taint(1, 2)).rollback("worse")
    assert version == second
    assert warning.startswith(f"{second} has to be replaced by 2026-11-25")
    place.registry.promote(third, "again")
    assert place.promotions(taint(1, 8)).rollback("worse") == (first, ())
    assert second not in place.registry.versions()
    assert second in place.registry.retired()
    assert place.left() == [RUNS[0], RUNS[2]]
    assert place.registry.rollback("worse still") == place.base


def test_while_the_champion_is_tainted_others_are_kept_until_the_deadline(place: Place) -> None:
    assert place.promotions(taint(0, 6), taint(2, 6)).retire_tainted() == ()
    assert len(place.registry.versions()) == 4
    (line,) = place.promotions(taint(0, 8), taint(2, 8)).retire_tainted()
    assert place.versions[0] in line
    assert place.registry.champion() == place.versions[2], "until the second deadline it serves"
    assert set(place.registry.versions()) == {place.base, *place.versions[1:]}
    assert place.left() == list(RUNS[1:])


def test_once_the_champion_is_clean_all_that_is_tainted_goes_with_its_weights(place: Place) -> None:
    first, second, third = place.versions
    (one, two) = place.promotions(taint(0, 1), taint(1, 0.1)).retire_tainted()
    assert first in one
    assert second in two
    assert set(place.registry.versions()) == {place.base, third}
    assert "tainted since 2026-11-19: somebody was forgotten" in place.registry.retired()[first].reason
    assert place.left() == [RUNS[2]]
    assert not (place.trainings / RUNS[0] / PEOPLE).exists()
    assert (place.trainings / RUNS[0] / "report.html").exists(), "figures stay"
    assert place.registry.rollback("worse") == place.base
    assert place.promotions(taint(0, 1), taint(1, 0.1)).retire_tainted() == (), "nothing is left to do"


def test_a_run_whose_model_was_never_taken_in_goes_as_well_unless_it_is_under_way(place: Place) -> None:
    run = "20261119-040000-dddd"
    place.lineage.note(run, (), (), NOW)
    place.weights[run] = leave_weights(place.trainings, run)
    promotions = replace(place.promotions(), taints=(Taint(run, NOW, FORGOTTEN),))
    promotions.retire_tainted(under_way={run})
    assert run in place.left()
    assert promotions.retire_tainted() == ()
    assert run not in place.left()
    assert len(place.left()) == 3


def test_by_the_second_deadline_the_nearest_clean_champion_before_serves_and_the_tainted_are_deleted(
    place: Place,
) -> None:
    first, second, third = place.versions
    taints = taint(2, 30), taint(1, 1)
    done = place.promotions(*taints, now=NOW - timedelta(seconds=1)).retire_tainted()
    assert done == ()
    assert place.registry.champion() == third
    done = place.promotions(*taints).retire_tainted()
    assert place.registry.champion() == first
    assert [line.split()[0] for line in done] == [first, second, third]
    assert set(place.registry.versions()) == {place.base, first}
    change = next(c for c in reversed(place.registry.history()) if c.action == "promote")
    assert change.reason == f"in place of {third}, tainted since 2026-10-21: {FORGOTTEN}"
    assert place.left() == [RUNS[0]]


def test_where_no_trained_version_is_clean_the_base_serves(place: Place) -> None:
    place.promotions(*(taint(number, 31) for number in range(3))).retire_tainted()
    assert place.registry.champion() == place.base
    assert place.registry.versions() == [place.base]
    assert place.left() == []


def test_a_version_that_was_rolled_back_does_not_serve_again_when_the_champion_has_to_go(place: Place) -> None:
    first, second, third = place.versions
    place.registry.rollback("third is bad")
    place.registry.promote(first, "again")
    place.promotions(taint(0, 31)).retire_tainted()
    assert place.registry.champion() == second
    assert third in place.registry.versions()


def test_a_damaged_version_does_not_take_the_champions_place(place: Place) -> None:
    first, second, _ = place.versions
    (place.registry.path(second) / GRAPH_NAME).unlink()
    place.promotions(taint(2, 31)).retire_tainted()
    assert place.registry.champion() == first


def test_where_nothing_is_clean_the_champion_serves_on_alone_and_somebody_is_told(place: Place) -> None:
    first, second, third = place.versions
    place.registry.retire(place.base, "by hand")
    with pytest.raises(RetiringError, match="has no clean version to take its place; promote one: make model") as told:
        place.promotions(*(taint(number, 31) for number in range(3))).retire_tainted()
    assert place.registry.champion() == third
    assert [line.split()[0] for line in told.value.done] == [first, second]
    assert (place.registry.versions(), place.left()) == ([third], [RUNS[2]])


def test_what_cannot_be_deleted_keeps_nothing_else_from_it(place: Place, tmp_path: Path) -> None:
    _, second, third = place.versions
    bundle = place.trainings / RUNS[0] / "bundle"
    bundle.rename(tmp_path / "elsewhere")
    bundle.symlink_to(tmp_path / "elsewhere")  # as an operator moves it to a larger disk
    with pytest.raises(RetiringError, match=rf"bundle cannot be removed; .*done all the same: {second}") as told:
        place.promotions(taint(0, 1), taint(1, 1)).retire_tainted()
    (line,) = told.value.done
    assert line.startswith(f"{second} is deleted")
    assert set(place.registry.versions()) == {place.base, third}
    assert RUNS[1] not in place.left()


def test_the_registry_itself_refuses_what_is_tainted_from_the_deadline_on_whoever_asks(place: Place) -> None:
    first, second, third = place.versions
    place.promotions(taint(1, 3), taint(2, 1)).retire_tainted()
    place.clock.time = NOW + timedelta(days=4, hours=-1)
    assert place.registry.rollback("/rollback") == second
    place.clock.time = NOW + timedelta(days=4)
    place.registry.promote(third, "its deadline is later")
    assert place.registry.rollback("/rollback") == first
    with pytest.raises(RegistryError, match=rf"{second} may be used no more since 2026-11-24 .* \(tainted since"):
        place.registry.promote(second, "by hand")


def test_what_turns_out_clean_is_refused_no_more(place: Place) -> None:
    place.promotions(taint(1, 0), taint(2, 0)).retire_tainted()
    place.promotions(taint(2, 0)).retire_tainted()
    place.clock.time = NOW + timedelta(days=10)
    assert place.registry.rollback("worse") == place.versions[1]


def test_what_an_interrupted_deletion_has_left_is_deleted(place: Place, bundles: Callable[..., Path]) -> None:
    first = place.versions[0]
    place.registry.retire(first, "tainted")
    half = place.registry.root / "versions" / first
    half.mkdir()
    shutil.copy(bundles() / GRAPH_NAME, half)
    place.promotions().retire_tainted()
    assert not half.exists()


def test_the_newest_trained_versions_are_kept_and_champion_challenger_and_base_in_any_case(
    place: Place, bundles: Callable[..., Path], tmp_path: Path
) -> None:
    first, second, third = place.versions
    older = trained(place.registry, bundles(), "20261001-040000-0000", tmp_path)
    place.registry.challenge(older, "waits")
    assert place.promotions().keep(3) == ()
    place.registry.promote(first, "again")
    place.registry.challenge(older, "waits")
    (line,) = place.promotions().keep(1)
    assert line == f"{second} is deleted, as it is old"
    assert set(place.registry.versions()) == {place.base, older, first, third}
    assert place.registry.retired()[second].reason == "old: the newest 1 are kept"
    assert place.left() == [RUNS[0], RUNS[2]]


def test_what_is_damaged_or_does_not_belong_there_is_told_and_keeps_nothing_from_being_done(place: Place) -> None:
    first, second, _ = place.versions
    (place.registry.path(second) / MANIFEST_NAME).write_text("{")
    stray = place.registry.root / "versions" / "lost+found"
    stray.mkdir()
    (stray.parent / "notes.txt").write_text("a file is no version")
    infos = {each.version: each for each in place.promotions(taint(1, 31)).versions()}
    damaged = [version for version, each in infos.items() if each.damage]
    assert damaged == [second, stray.name]
    assert (infos[second].run, infos[second].taint) == (None, None)
    assert f"{MANIFEST_NAME} is damaged" in str(infos[second].damage)
    assert str(infos[stray.name].damage).endswith(
        "(No such file or directory); add the bundle again, or retire the version"
    )
    place.promotions(taint(0, 1)).retire_tainted()
    assert first not in place.registry.versions()
    place.promotions().keep(1)
    assert {second, stray.name} <= set(place.registry.versions()), "nobody can tell whether they are old"
    place.registry.retire(second, "damaged")
    assert place.promotions().rollback("worse") == (place.base, ())


def test_while_the_champion_is_damaged_others_are_kept_until_the_deadline(place: Place) -> None:
    (place.registry.path(place.versions[2]) / MANIFEST_NAME).unlink()
    assert place.promotions(taint(0, 6)).retire_tainted() == ()
    (line,) = place.promotions(taint(0, 7)).retire_tainted()
    assert line.startswith(place.versions[0])


def test_what_is_damaged_is_refused_still_once_it_is_mended(
    place: Place,
) -> None:
    first, second, _ = place.versions
    place.promotions(taint(1, 0), taint(2, 0)).retire_tainted()
    path = place.registry.path(second) / MANIFEST_NAME
    manifest = path.read_bytes()
    path.write_text("{")
    place.promotions(taint(1, 1), taint(2, 0)).retire_tainted()
    path.write_bytes(manifest)
    place.clock.time = NOW + timedelta(days=10)
    assert place.registry.rollback("worse") == first


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[ChatLog]:
    database = settings(f"sqlite:///{tmp_path}/data/mynah.db", tmp_path)
    async with ChatLog.open(database, policy=CONFIRMED, now=Clock()) as opened:
        yield opened


async def test_who_is_forgotten_in_chat_is_forgotten_by_models_in_time(place: Place, log: ChatLog) -> None:
    for user in (ANNA, BERT):
        await decide(log, user=user)
        await talk_now(log, int(user.id), author=user)
    ids = [message.message_id for turn in await trainable(log) for message in turn.messages]
    await log.training.note_model(RUNS[1], ids)
    await log.forget("telegram", BERT.id)
    ids = [message.message_id for turn in await trainable(log) for message in turn.messages]
    await log.training.note_model(RUNS[2], ids)

    taints = place.lineage.tainted(await log.training.tainted_since())
    assert [each.run for each in taints] == [RUNS[1]]
    place.promotions(*taints, now=log.now()).retire_tainted()
    assert place.versions[1] not in place.registry.versions()

    await decide(log, False)
    taints = place.lineage.tainted(await log.training.tainted_since())
    due = place.promotions(*taints, now=log.now()).due()
    assert due is not None
    assert log.now() < due < log.now() + timedelta(days=7)
