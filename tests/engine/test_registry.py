"""The registry: versions, champion and history, shared by several processes."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine import Bundle, BundleError, Registry, RegistryError
from engine.bundle import GRAPH_NAME
from engine.registry import LOCK_NAME, STATE_NAME, VERSIONS_NAME

ROOT = Path(__file__).parents[2]


def damage(registry: Registry, version: str) -> None:
    """Flip a bit of the registry's graph, not of what it is linked to."""
    graph = registry.path(version) / GRAPH_NAME
    content = bytearray(graph.read_bytes())
    content[100] ^= 1
    graph.unlink()
    graph.write_bytes(content)


def start_python(code: str, *arguments: Any) -> subprocess.Popen[str]:
    """Another process with our packages, whose stdin and stdout the test holds."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line_from(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def run_command(registry: Registry, *arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", "--registry", str(registry.root), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_new_registry_has_no_champion_no_versions_and_no_history(registry: Registry) -> None:
    assert registry.champion() is None
    assert registry.versions() == []
    assert registry.history() == ()
    assert not registry.root.exists(), "looking at a registry makes nothing"


def test_an_added_bundle_is_a_version_that_opens(registry: Registry, three: list[Path]) -> None:
    version = registry.add(three[0])
    assert registry.versions() == [version]
    assert version == Bundle.open(three[0]).version == Bundle.open(registry.path(version)).version
    assert registry.champion() is None, "adding promotes nothing"


def test_adding_again_repairs_a_damaged_copy(registry: Registry, three: list[Path]) -> None:
    version = registry.add(three[0])
    damaged = registry.path(version) / "tokenizer.json"
    damaged.write_text("{}")
    with pytest.raises(BundleError):
        registry.promote(version, "damaged")
    registry.add(three[0])
    registry.promote(version, "repaired")
    assert registry.champion() == version


def test_adding_again_changes_nothing(registry: Registry, three: list[Path]) -> None:
    version = registry.add(three[0])
    before = {path: path.stat() for path in registry.path(version).iterdir()}
    assert registry.add(three[0]) == version
    assert registry.versions() == [version]
    after = {path: path.stat() for path in registry.path(version).iterdir()}
    assert {p: (s.st_ino, s.st_ctime_ns) for p, s in after.items()} == {
        p: (s.st_ino, s.st_ctime_ns) for p, s in before.items()
    }


def test_what_happens_to_the_original_later_does_not_matter(registry: Registry, three: list[Path]) -> None:
    version = registry.add(three[0])
    for path in three[0].iterdir():
        with path.open("r+b") as file:  # in place, as a failing disk or a careless program might
            file.write(b"damaged")
    assert Bundle.open(registry.path(version)).version == version
    shutil.rmtree(three[0])
    registry.promote(version, "test")
    assert registry.champion() == version


def test_a_damaged_bundle_is_not_taken_in(registry: Registry, three: list[Path]) -> None:
    (three[0] / GRAPH_NAME).write_bytes(b"damaged")
    with pytest.raises(BundleError, match=GRAPH_NAME):
        registry.add(three[0])
    assert registry.versions() == []


def test_what_an_interrupted_add_left_behind_is_no_version_and_no_hindrance(
    registry: Registry, three: list[Path]
) -> None:
    version = Bundle.open(three[0]).version
    left = registry.root / VERSIONS_NAME / f".{version}.staging"
    left.mkdir(parents=True)
    (left / GRAPH_NAME).write_bytes(b"half")
    assert registry.versions() == []
    assert registry.add(three[0]) == version
    assert Bundle.open(registry.path(version)).version == version
    assert not left.exists()


def test_a_promoted_version_is_the_champion(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "best so far")
    assert registry.champion() == versions[0]
    assert Registry(registry.root).champion() == versions[0], "it is on disk"


def test_an_unknown_version_is_named_with_the_known_ones(registry: Registry, versions: list[str]) -> None:
    for act in (registry.path, lambda version: registry.promote(version, "test")):
        with pytest.raises(RegistryError, match=r"no version 'nonesuch'") as caught:
            act("nonesuch")
        assert all(version in str(caught.value) for version in versions)
    assert registry.champion() is None


@pytest.mark.parametrize("version", ["", ".", "..", "../versions", "/etc"])
def test_a_version_is_never_a_way_out_of_the_registry(registry: Registry, versions: list[str], version: str) -> None:
    with pytest.raises(RegistryError, match="no version"):
        registry.path(version)


def test_a_damaged_version_is_not_promoted_and_the_champion_stays(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "good")
    damage(registry, versions[1])
    with pytest.raises(BundleError, match=f"{GRAPH_NAME} is damaged"):
        registry.promote(versions[1], "damaged")
    assert registry.champion() == versions[0]
    assert len(registry.history()) == 1


def test_rollback_returns_to_the_champion_before(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    registry.promote(versions[1], "second")
    assert registry.rollback("worse") == versions[0]
    assert registry.champion() == versions[0]


def test_rolling_back_twice_goes_back_twice(registry: Registry, versions: list[str]) -> None:
    for version in versions:
        registry.promote(version, "next")
    assert [registry.rollback("worse"), registry.rollback("worse still")] == [versions[1], versions[0]]
    with pytest.raises(RegistryError, match="no champion before"):
        registry.rollback("nothing left")
    assert registry.champion() == versions[0]


def test_after_a_rollback_and_a_promotion_the_rolled_back_version_is_not_returned_to(
    registry: Registry, versions: list[str]
) -> None:
    first, bad, better = versions
    registry.promote(first, "first")
    registry.promote(bad, "second")
    registry.rollback("bad")
    registry.promote(better, "third")
    assert registry.rollback("not better") == first


def test_a_version_promoted_again_after_a_rollback_can_be_rolled_back_again(
    registry: Registry, versions: list[str]
) -> None:
    registry.promote(versions[0], "first")
    for _ in range(3):
        registry.promote(versions[1], "again")
        assert registry.rollback("again") == versions[0]


def test_promoting_the_champion_once_more_does_not_make_it_its_own_predecessor(
    registry: Registry, versions: list[str]
) -> None:
    registry.promote(versions[0], "first")
    registry.promote(versions[1], "second")
    registry.promote(versions[1], "once more")
    assert registry.rollback("worse") == versions[0]


def test_without_a_predecessor_rollback_says_so(registry: Registry, versions: list[str]) -> None:
    with pytest.raises(RegistryError, match="no champion before"):
        registry.rollback("nothing yet")
    registry.promote(versions[0], "first")
    with pytest.raises(RegistryError, match="no champion before"):
        registry.rollback("only one")
    assert registry.champion() == versions[0]


def test_a_damaged_predecessor_is_not_rolled_back_to(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "first")
    registry.promote(versions[1], "second")
    damage(registry, versions[0])
    with pytest.raises(BundleError, match="damaged"):
        registry.rollback("worse")
    assert registry.champion() == versions[1]


def test_the_history_tells_what_happened_when_and_why(registry: Registry, versions: list[str]) -> None:
    before = datetime.now(UTC)
    registry.promote(versions[0], "first")
    registry.promote(versions[1], "second, ünïcödé 👍")
    registry.rollback("worse")
    history = registry.history()
    assert [(c.action, c.version, c.replaced, c.reason) for c in history] == [
        ("promote", versions[0], None, "first"),
        ("promote", versions[1], versions[0], "second, ünïcödé 👍"),
        ("rollback", versions[0], versions[1], "worse"),
    ]
    times = [change.at for change in history]
    assert before <= times[0] <= times[1] <= times[2] <= datetime.now(UTC)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 3}', '{"champion": "x", "colour": "green"}'])
def test_a_state_that_cannot_be_read_is_named(registry: Registry, content: str) -> None:
    registry.root.mkdir(parents=True)
    (registry.root / STATE_NAME).write_text(content)
    with pytest.raises(RegistryError, match=r"registry\.json cannot be read: .*restore it or remove it"):
        registry.champion()


def test_a_file_in_the_place_of_the_folder_is_named(registry: Registry, three: list[Path]) -> None:
    registry.root.parent.mkdir()
    registry.root.write_text("not a folder")
    for act in (registry.champion, registry.history, lambda: registry.add(three[0])):
        with pytest.raises(RegistryError, match=str(registry.root)):
            act()


PROMOTE_OFTEN = """
import sys
from pathlib import Path
from engine.registry import Registry
root, name, number, *versions = sys.argv[1:]
registry = Registry(Path(root))
print("ready", flush=True)
sys.stdin.readline()
for i in range(int(number)):
    registry.promote(versions[i % len(versions)], f"{name} {i}")
"""


def test_processes_that_promote_at_once_lose_no_entry(registry: Registry, versions: list[str]) -> None:
    names, each = ("a", "b", "c", "d"), 15
    processes = [start_python(PROMOTE_OFTEN, registry.root, name, each, *versions) for name in names]
    for process in processes:
        assert line_from(process) == "ready"
    for process in processes:
        tell(process, "go")
    for process in processes:
        process.communicate()
    assert [p.returncode for p in processes] == [0] * len(names)
    history = registry.history()
    assert sorted(c.reason for c in history) == sorted(f"{name} {i}" for name in names for i in range(each))
    # Each change replaced what the one before it had made the champion.
    assert [c.replaced for c in history] == [None, *(c.version for c in history[:-1])]
    assert registry.champion() == history[-1].version


def test_readers_always_read_a_whole_state_while_another_process_writes(
    registry: Registry, versions: list[str]
) -> None:
    with start_python(PROMOTE_OFTEN, registry.root, "writer", 150, *versions) as writer:
        assert line_from(writer) == "ready"
        tell(writer, "go")
        lengths = []
        while writer.poll() is None:
            history = registry.history()  # raises if it reads half a file
            assert [c.reason for c in history] == [f"writer {i}" for i in range(len(history))]
            lengths.append(len(history))
    assert writer.returncode == 0
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 20, "the reader hardly read while the writer wrote"
    assert len(registry.history()) == 150


HOLD_THE_LOCK = """
import sys
from pathlib import Path
from engine.registry import Registry
registry = Registry(Path(sys.argv[1]))
with registry._locked():
    (registry.root / "registry.tmp").write_text("half a sta")
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_process_killed_while_it_holds_the_lock_leaves_no_lock(registry: Registry, versions: list[str]) -> None:
    registry.promote(versions[0], "before")
    with start_python(HOLD_THE_LOCK, registry.root) as holder:
        assert line_from(holder) == "held"
        with (registry.root / LOCK_NAME).open("a") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
    assert holder.returncode == -signal.SIGKILL
    registry.promote(versions[1], "after")
    assert [c.reason for c in registry.history()] == ["before", "after"]


def test_the_command_adds_lists_promotes_and_rolls_back(registry: Registry, three: list[Path]) -> None:
    first, second = (Bundle.open(bundle).version for bundle in three[:2])

    empty = run_command(registry, "list")
    assert (empty.returncode, empty.stderr) == (0, "")
    assert "no versions yet" in empty.stdout

    added = run_command(registry, "add", three[0], "--promote", "--reason", "the first")
    assert (added.returncode, added.stdout, added.stderr) == (0, f"{first}\n", "")
    assert registry.champion() == first

    again = run_command(registry, "add", three[0], "--promote")
    assert (again.returncode, again.stdout) == (0, f"{first}\n")
    assert len(registry.history()) == 1, "it was the champion already"

    assert run_command(registry, "add", three[1]).stdout == f"{second}\n"
    assert registry.champion() == first
    assert run_command(registry, "list").stdout == f"* {first}\n  {second}\n"

    promoted = run_command(registry, "promote", second)
    assert (promoted.returncode, promoted.stdout) == (0, f"{second}\n")
    assert registry.champion() == second

    back = run_command(registry, "rollback", "--reason", "worse")
    assert (back.returncode, back.stdout) == (0, f"{first}\n")
    assert registry.champion() == first

    history = run_command(registry, "history")
    assert history.returncode == 0
    lines = [line.split(maxsplit=2)[2] for line in history.stdout.splitlines()]
    assert lines == [
        f"promote   {first}  (the first)",
        f"promote   {second}  (by hand)",
        f"rollback  {first}  (worse)",
    ]


def test_a_command_that_fails_says_why_in_one_line(registry: Registry, versions: list[str], tmp_path: Path) -> None:
    damage(registry, versions[2])
    (tmp_path / "file").write_text("not a folder")
    broken = Registry(tmp_path / "file")
    for failed, reason in (
        (run_command(registry, "add", tmp_path / "nothing"), "is not a bundle"),
        (run_command(registry, "promote", "nonesuch"), "no version 'nonesuch'"),
        (run_command(registry, "promote", versions[2]), "is damaged"),
        (run_command(registry, "rollback"), "no champion before"),
        (run_command(broken, "list"), "file"),
        (run_command(broken, "add", registry.path(versions[0])), "file"),
    ):
        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr.startswith("error: ")
        assert failed.stderr.count("\n") == 1
        assert reason in failed.stderr


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("promote",), ("add",)])
def test_a_command_that_is_misspelt_shows_its_usage(registry: Registry, arguments: tuple[str, ...]) -> None:
    failed = run_command(registry, *arguments)
    assert failed.returncode == 2
    assert failed.stderr.startswith("usage: python -m engine")


def test_the_command_takes_the_registry_from_the_settings(
    registry: Registry, versions: list[str], tmp_path: Path
) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ENGINE_")}
    path = {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "engine", "list"]

    def run(**ours: str) -> subprocess.CompletedProcess[str]:
        environment = clean | path | ours
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    assert run(ENGINE_REGISTRY=str(registry.root)).stdout.split() == sorted(versions)
    misspelt = run(ENGINE_REGISTRI=str(registry.root))
    assert misspelt.returncode == 1
    assert misspelt.stderr.startswith("error: ENGINE_REGISTRI ")
    assert "ENGINE_REGISTRY" in misspelt.stderr
