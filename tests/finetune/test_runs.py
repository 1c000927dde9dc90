"""The folder of runs: only the newest keeps what people said."""

from pathlib import Path

import pytest

from bots.chatlog import FileCipher
from finetune.errors import NoDataError, StoreError
from finetune.runs import Dataset, Runs
from finetune.sealed import Digest
from finetune.stages import Done


@pytest.fixture
def runs(tmp_path: Path, cipher: FileCipher) -> Runs:
    return Runs(tmp_path / "runs", cipher)


def made(runs: Runs, name: str, text: str = "hello") -> Dataset:
    """A run with one stage that is as if it had made two artefacts."""
    folder = runs.root / name / "make"
    folder.mkdir(parents=True)
    for each in ("a.rows", "fates.rows", ".b.rows.unfinished", "manifest.json"):
        (folder / each).write_text(text)
    outputs = {"a": Digest(1, "ab" * 32)}
    done = Done("make", 1, "messages", "cd" * 32, {}, outputs, 3, 2, {"odd": 1}, {"seen": 2}, {"notes": [1]})
    return Dataset(name, "ef" * 32, {"sources": {"log": "0"}}, (done,))


def texts(runs: Runs) -> list[str]:
    """Files that hold what people said."""
    paths = [*runs.root.rglob("*.rows"), *runs.root.rglob(".*.unfinished")]
    return sorted(str(path.relative_to(runs.root)) for path in paths)


def test_what_is_published_is_the_newest(runs: Runs) -> None:
    for name in ("one", "two"):
        dataset = made(runs, name)
        runs.publish(dataset)
        assert runs.newest() == dataset
    assert dataset.stage("make").dropped == {"odd": 1}
    assert dataset.artefact("a") == ("make", Digest(1, "ab" * 32))


def test_runs_that_are_not_the_newest_keep_nothing_that_people_said(runs: Runs) -> None:
    runs.publish(made(runs, "one"))
    made(runs, "broken off")
    with runs.replacing("frozen") as written:
        written.writer.write({"key": "1"})
    runs.publish(made(runs, "two"))
    assert texts(runs) == ["frozen.rows", "two/make/.b.rows.unfinished", "two/make/a.rows", "two/make/fates.rows"]
    assert (runs.root / "one" / "dataset.json").exists()
    assert (runs.root / "one" / "make" / "manifest.json").exists()


def test_once_nothing_may_be_trained_on_no_run_keeps_anything(runs: Runs) -> None:
    runs.publish(made(runs, "one"))
    made(runs, "broken off")
    runs.withdraw()
    assert texts(runs) == []
    with pytest.raises(NoDataError, match="make one with: python -m finetune prepare"):
        runs.newest()
    runs.withdraw()


def test_without_any_run_there_is_no_newest(runs: Runs) -> None:
    with pytest.raises(NoDataError, match="there is no dataset yet"):
        runs.newest()


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', '{"format": 2}', "\x00"])
def test_a_damaged_manifest_gives_one_line(runs: Runs, text: str) -> None:
    runs.publish(made(runs, "one"))
    (runs.root / "one" / "dataset.json").write_text(text)
    with pytest.raises(StoreError, match="prepare it again") as caught:
        runs.newest()
    assert "\n" not in str(caught.value)


def test_what_was_never_written_beside_the_runs_is_empty(runs: Runs) -> None:
    assert list(runs.beside("replay", lambda row: row)) == []
    with runs.alone(), runs.replacing("replay") as written:
        written.writer.write({"a": 1})
    assert list(runs.beside("replay", lambda row: row)) == [{"a": 1}]
