"""The registry: a challenger that waits, and versions that are deleted for good."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine import BundleError, Engine, Registry, RegistryError
from engine.__main__ import main
from engine.bundle import GRAPH_NAME
from engine.registry import STATE_NAME
from tests.engine.test_engine import answer, request


def test_a_challenger_waits_until_it_is_promoted(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    assert registry.challenger() is None
    registry.challenge(versions[1], "has passed")
    assert (registry.champion(), registry.challenger()) == (versions[0], versions[1])
    registry.challenge(versions[2], "is better still")
    assert Registry(registry.root).challenger() == versions[2], "it is on disk, in place of the other"
    registry.promote(versions[2], "won")
    assert (registry.champion(), registry.challenger()) == (versions[2], None)
    assert [(c.action, c.version, c.replaced) for c in registry.history()] == [
        ("promote", versions[0], None),
        ("challenge", versions[1], None),
        ("challenge", versions[2], versions[1]),
        ("promote", versions[2], versions[0]),
    ]


def test_a_challenger_was_compared_with_a_champion_that_is_gone_once_another_is_promoted(
    registry: Registry, versions: list[str]
) -> None:
    registry.promote(versions[0], "first")
    registry.challenge(versions[1], "has passed")
    registry.promote(versions[2], "by hand")
    assert registry.challenger() is None


def test_a_rollback_leaves_the_challenger_unless_it_is_what_is_gone_back_to(
    registry: Registry, versions: list[str]
) -> None:
    for version in versions[:2]:
        registry.promote(version, "next")
    registry.challenge(versions[2], "has passed")
    registry.rollback("worse")
    assert registry.challenger() == versions[2]
    registry.promote(versions[1], "again")
    registry.challenge(versions[0], "why not")
    registry.rollback("worse")
    assert (registry.champion(), registry.challenger()) == (versions[0], None)


def test_a_challenger_does_not_count_as_a_champion_before(registry: Registry, versions: list[str]) -> None:
    registry.challenge(versions[2], "the very first entry")
    registry.promote(versions[0], "first")
    registry.challenge(versions[1], "has passed")
    assert registry.base() == versions[0]
    assert registry.predecessors() == []
    with pytest.raises(RegistryError, match="no champion before"):
        registry.rollback("nothing there")


def test_what_cannot_challenge_is_refused_and_nothing_changes(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    with pytest.raises(RegistryError, match="is the champion already"):
        registry.challenge(versions[0], "itself")
    with pytest.raises(RegistryError, match="no version 'nonesuch'"):
        registry.challenge("nonesuch", "unknown")
    (registry.path(versions[1]) / GRAPH_NAME).unlink()
    with pytest.raises(BundleError, match=GRAPH_NAME):
        registry.challenge(versions[1], "damaged")
    assert registry.challenger() is None
    assert len(registry.history()) == 1


def test_a_retired_version_is_deleted_and_the_history_keeps_when_and_why(
    registry: Registry, versions: list[str]
) -> None:
    registry.promote(versions[0], "first")
    folder = registry.path(versions[1])
    registry.retire(versions[1], "has seen too much")
    assert not folder.exists()
    assert versions[1] not in registry.versions()
    change = registry.history()[-1]
    assert (change.action, change.version, change.reason) == ("retire", versions[1], "has seen too much")
    assert registry.retired() == {versions[1]: change}


def test_nobody_goes_back_to_a_retired_version(registry: Registry, versions: list[str], three: list[Path]) -> None:
    registry.promote(versions[0], "first")
    registry.retire(versions[1], "has seen too much")
    when = registry.history()[-1].at
    for act in (
        lambda: registry.promote(versions[1], "again"),
        lambda: registry.challenge(versions[1], "again"),
        lambda: registry.add(three[1]),
    ):
        with pytest.raises(RegistryError, match=rf"{when:%Y-%m-%d at %H:%M} UTC \(has seen too much\)"):
            act()
    assert registry.champion() == versions[0]
    assert versions[1] not in registry.versions()
    assert len(registry.history()) == 2


def test_the_champion_cannot_be_retired_and_an_unknown_version_neither(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    with pytest.raises(RegistryError, match="is the champion; promote another version or roll back first"):
        registry.retire(versions[0], "test")
    with pytest.raises(RegistryError, match="no version 'nonesuch'"):
        registry.retire("nonesuch", "test")
    assert registry.versions() == sorted(versions)
    assert registry.retired() == {}


def test_a_retired_challenger_challenges_no_more(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    registry.challenge(versions[1], "has passed")
    registry.retire(versions[2], "another")
    assert registry.challenger() == versions[1]
    registry.retire(versions[1], "has seen too much")
    assert registry.challenger() is None


def test_rollback_goes_past_what_is_retired_or_missing(registry: Registry, versions: list[str]) -> None:
    first, second, third = versions
    for version in versions:
        registry.promote(version, "next")
    registry.retire(second, "has seen too much")
    assert registry.rollback("worse") == first
    with pytest.raises(RegistryError, match="no champion before"):
        registry.rollback("nothing left")
    registry.promote(third, "again")
    registry.path(first).rename(registry.root / "elsewhere")
    with pytest.raises(RegistryError, match="no champion before"):
        registry.rollback("it is missing")
    (registry.root / "elsewhere").rename(registry.root / "versions" / first)
    assert registry.rollback("it is back") == first


def test_a_rollback_never_goes_to_the_champion_itself(registry: Registry, versions: list[str]) -> None:
    for version in (versions[0], versions[1], versions[0]):
        registry.promote(version, "next")
    registry.retire(versions[1], "between the same")
    assert registry.predecessors() == []
    with pytest.raises(RegistryError, match="no champion before"):
        registry.rollback("nothing left")


def test_retiring_again_deletes_what_an_interruption_has_left(
    registry: Registry, versions: list[str], three: list[Path]
) -> None:
    registry.promote(versions[0], "first")
    registry.retire(versions[1], "has seen too much")
    three[1].rename(registry.root / "versions" / versions[1])  # as if the process had been killed before it deleted
    for act in (registry.promote, registry.challenge):
        with pytest.raises(RegistryError, match="was retired"):
            act(versions[1], "half deleted")
    registry.retire(versions[1], "another reason")
    assert versions[1] not in registry.versions()
    assert [c.reason for c in registry.history() if c.action == "retire"] == ["has seen too much"]


def test_a_state_of_the_first_format_is_read_and_goes_on(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    path = registry.root / STATE_NAME
    state = json.loads(path.read_text())
    assert (state.pop("format"), state.pop("challenger")) == (2, None)
    path.write_text(json.dumps(state | {"format": 1}))
    assert registry.champion() == versions[0]
    assert registry.challenger() is None
    registry.promote(versions[1], "second")
    assert json.loads(path.read_text())["format"] == 2
    assert registry.rollback("back") == versions[0]


async def test_no_answer_is_lost_when_the_version_that_writes_it_is_retired(
    start_engine: Callable[..., Awaitable[Engine]], bundles: Callable[..., Path], tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    old, new = (registry.add(bundles(seed=seed)) for seed in (0, 1))
    registry.promote(old, "first")
    engine = await start_engine(registry=tmp_path, max_batch=8, slots=8, watch_interval_s=0.02)
    expected = [(await answer(engine, request(f"text {i}", f"e{i}", max_tokens=100))).token_ids for i in range(8)]
    generations = [await engine.submit(request(f"text {i}", f"s{i}", max_tokens=100)) for i in range(8)]
    for generation in generations:
        await anext(generation)
    registry.promote(new, "better")
    registry.retire(old, "has seen too much")
    # Before the engine has even seen the promotion: what it is asked now is answered by files that are gone.
    late = await engine.submit(request("text 0", "late", max_tokens=100))
    assert not (tmp_path / "versions" / old).exists()
    streams = [await each.result() for each in generations]
    assert [each.token_ids for each in streams] == expected
    assert {each.version for each in streams} == {old}
    assert (await late.result()).token_ids
    while engine.loaded_versions != (new,):
        await anext(await engine.submit(request("hello", "waiting", max_tokens=2)))
    assert (await answer(engine, request())).version == new


def test_the_command_marks_the_challenger_and_tells_what_was_retired(
    registry: Registry, versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str) -> tuple[int, str, str]:
        code = main(["--registry", str(registry.root), *arguments])
        return (code, *capsys.readouterr())

    first, second, third = versions
    registry.promote(first, "first")
    assert said("challenge", second, "--reason", "has passed") == (0, f"{second}\n", "")
    assert said("list") == (0, f"* {first}\n? {second}\n  {third}\n", "")
    assert said("retire", third, "--reason", "old") == (0, f"{third}\n", "")
    assert said("list") == (0, f"* {first}\n? {second}\n", "")
    told = [line.split(maxsplit=2)[2] for line in said("history")[1].splitlines()]
    assert told == [f"promote   {first}  (first)", f"challenge {second}  (has passed)", f"retire    {third}  (old)"]
    code, out, err = said("retire", first)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {first} is the champion")
