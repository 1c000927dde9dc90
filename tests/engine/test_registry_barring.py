"""The registry: versions that may not be used from some time on, and disks that are full."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine import Registry, RegistryError
from engine.__main__ import main
from engine.registry import STATE_NAME, Bar

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BAR = Bar(since=NOON, reason="has seen too much")


class Watch:
    """What time it is, as a test sets it."""

    def __init__(self) -> None:
        self.now = NOON - timedelta(seconds=1)

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let nothing larger be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_barred_version_is_no_champion_from_that_time_on(registry: Registry, versions: list[str]) -> None:
    first, second, third = versions
    for version in versions:
        registry.promote(version, "next")
    watch = Watch()
    watched = Registry(registry.root, now=watch)
    registry.bar({second: BAR})
    assert (watched.predecessors(), watched.barred()) == ([second, first], {})
    watched.promote(second, "in time")
    watched.promote(third, "in time")
    watch.now = NOON
    assert (watched.predecessors(), watched.barred()) == ([first], {second: BAR})
    for act in (watched.promote, watched.challenge):
        with pytest.raises(RegistryError, match=r"no more since 2026-11-20 at 12:00 UTC \(has seen too much\)"):
            act(second, "by hand")
    assert watched.rollback("worse") == first


def test_a_champion_that_is_barred_serves_on_and_nobody_comes_back_to_it(
    registry: Registry, versions: list[str]
) -> None:
    first, second, _ = versions
    registry.promote(first, "first")
    registry.bar({first: BAR})
    assert registry.champion() == first
    registry.promote(second, "second")
    with pytest.raises(RegistryError, match=rf"to roll back to that may still be used \({first} may not\); promote"):
        registry.rollback("worse")
    assert registry.champion() == second


def test_bars_are_lifted_one_by_one(registry: Registry, versions: list[str]) -> None:
    first, second, _ = versions
    registry.bar({first: BAR, second: BAR})
    registry.bar({first: None})
    assert registry.barred() == {second: BAR}
    registry.promote(first, "clean after all")


def test_a_state_that_knows_no_bars_is_read_and_goes_on(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    path = registry.root / STATE_NAME
    state = json.loads(path.read_text())
    del state["barred"]
    path.write_text(json.dumps(state))
    assert registry.barred() == {}
    registry.bar({versions[1]: BAR})
    assert registry.champion() == versions[0]
    assert list(registry.barred()) == [versions[1]]


def test_the_command_refuses_what_is_barred(
    registry: Registry, versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for version in versions[:2]:
        registry.promote(version, "next")
    registry.bar({versions[0]: BAR})
    for arguments in (["rollback"], ["promote", versions[0]]):
        assert main(["--registry", str(registry.root), *arguments]) == 1
        assert versions[0] in capsys.readouterr().err
    assert registry.champion() == versions[1]


def test_what_is_no_folder_is_no_version(registry: Registry, versions: list[str]) -> None:
    (registry.root / "versions" / "notes.txt").write_text("by an operator")
    assert registry.versions() == sorted(versions)


def test_a_bundle_that_does_not_fit_on_the_disk_leaves_nothing_behind(tmp_path: Path, three: list[Path]) -> None:
    registry = Registry(tmp_path / "small")
    why = r"cannot be copied to .*File too large.*free some space"
    with files_no_larger_than(5000), pytest.raises(RegistryError, match=why) as told:
        registry.add(three[0])
    assert "\n" not in str(told.value)
    assert list((registry.root / "versions").iterdir()) == []
    assert registry.add(three[0]) in registry.versions()


def test_a_state_that_does_not_fit_on_the_disk_stays_as_it_was(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    why = r"registry.json cannot be written \(File too large\)"
    with files_no_larger_than(100), pytest.raises(RegistryError, match=why):
        registry.promote(versions[1], "second")
    assert registry.champion() == versions[0]
