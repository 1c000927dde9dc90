"""Stages: each is run once, again if what it goes by has changed, and taken up where an interrupted run has ended."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bots.chatlog import FileCipher
from exporters.progress import Progress
from finetune.errors import StoreError
from finetune.fate import changed, dropped
from finetune.message import SourceMessage
from finetune.stages import Done, Run, Stage, Work


def message(number: int, text: str = "hello") -> SourceMessage:
    return SourceMessage(f"test:chat:{number}", "test", "chat", "ann", (text,))


class Line:
    """Three stages: `make` some messages, `drop` those with an odd number, and `count` what is left."""

    def __init__(self, folder: Path, cipher: FileCipher) -> None:
        self.run = Run(folder, cipher)
        self.ran: list[str] = []
        self.texts = ["one", "two", "three", "four"]
        self.versions = {"make": 1, "drop": 1, "count": 1}
        self.settings: dict[str, Any] = {"what": "odd"}
        self.fail_in = ""

    def stages(self) -> list[Stage]:
        make, drop, count = self.versions.values()
        return [
            Stage("make", make, (), ("made",), "messages", self._make, {"texts": self.texts}),
            Stage("drop", drop, ("made",), ("even",), "messages", self._drop, self.settings),
            Stage("count", count, ("even",), ("counted", "more"), "messages", self._count),
        ]

    def carry_out(self, stages: Sequence[Stage] | None = None) -> list[Done]:
        self.ran = []
        return self.run.carry_out(stages or self.stages(), Progress(3, io.StringIO()))

    def _begin(self, name: str, work: Work) -> None:
        self.ran.append(name)
        if name == self.fail_in:
            work.write("fates", {"id": "half done"})
            raise KeyboardInterrupt

    def _make(self, work: Work) -> None:
        self._begin("make", work)
        for each in work.counted(message(n, text) for n, text in enumerate(self.texts)):
            work.keep(each)

    def _drop(self, work: Work) -> None:
        self._begin("drop", work)
        for n, each in enumerate(work.read("made", SourceMessage.from_json)):
            if n % 2:
                work.decide(None, (changed(each.id, "looked at"), dropped(each.id, "odd", f"it is {n}")))
            else:
                work.decide(each, ())

    def _count(self, work: Work) -> None:
        self._begin("count", work)
        for each in work.read("even", SourceMessage.from_json):
            work.keep(each)
            work.write("more", {"length": len(each.text)})
        work.notes |= {"longest": max(map(len, self.texts))}


@pytest.fixture
def line(tmp_path: Path, cipher: FileCipher) -> Line:
    return Line(tmp_path / "run", cipher)


def test_a_manifest_says_what_went_in_what_came_out_and_why_the_rest_did_not(line: Line) -> None:
    _, drop, count = line.carry_out()
    assert (drop.went_in, drop.came_out, drop.dropped, drop.changed) == (4, 2, {"odd": 2}, {"looked at": 2})
    assert (count.notes, count.outputs["more"].rows) == ({"longest": 5}, 2)
    assert line.run.done("drop") == drop
    assert [row["text" if "text" in row else "pieces"] for row in line.run.rows("drop", "even")] == [["one"], ["three"]]
    told = [(row["id"], row["outcome"], row["reason"], row["detail"]) for row in line.run.rows("drop", "fates")]
    assert told[1] == ("test:chat:1", "dropped", "odd", "it is 1")


def test_a_stage_that_is_done_is_not_run_again(line: Line) -> None:
    before = line.carry_out()
    assert line.ran == ["make", "drop", "count"]
    assert line.carry_out() == before
    assert line.ran == []


@pytest.mark.parametrize(
    ("stage", "again"),
    # What comes out of the stage is as before, so that those after it stand.
    [("make", ["make"]), ("drop", ["drop"]), ("count", ["count"])],
)
def test_a_new_version_of_a_stage_runs_it_alone_while_the_same_comes_out(
    line: Line, stage: str, again: list[str]
) -> None:
    line.carry_out()
    line.versions[stage] = 2
    line.carry_out()
    assert line.ran == again


def test_a_changed_setting_runs_the_stage_that_goes_by_it(line: Line) -> None:
    line.carry_out()
    line.settings = {"what": "uneven"}
    line.carry_out()
    assert line.ran == ["drop"]


def test_another_input_runs_all_that_depends_on_it_and_nothing_else(line: Line) -> None:
    line.carry_out()
    line.texts[1] = "dropped all the same"
    line.carry_out()
    assert line.ran == ["make", "drop"]
    line.texts[0] = "kept"
    done = line.carry_out()
    assert line.ran == ["make", "drop", "count"]
    assert done[2].notes == {"longest": 20}


@pytest.mark.parametrize("stage", ["make", "drop", "count"])
def test_a_stage_that_is_broken_off_leaves_no_part_of_it_and_the_next_run_goes_on_there(
    line: Line, stage: str, tmp_path: Path, cipher: FileCipher
) -> None:
    whole = Line(tmp_path / "other", cipher).carry_out()
    line.fail_in = stage
    with pytest.raises(KeyboardInterrupt):
        line.carry_out()
    assert line.run.done(stage) is None
    assert list(line.run.folder.glob(f"{stage}/*")) == []
    ran, line.fail_in = line.ran[:-1], ""
    assert line.carry_out() == whole
    assert ran + line.ran == ["make", "drop", "count"]


def test_what_a_killed_stage_left_behind_is_not_taken_for_its_work(line: Line) -> None:
    line.carry_out()
    folder = line.run.folder / "drop"
    (folder / "manifest.json").unlink()  # as when killed after the rows were written
    (folder / "older.rows").write_bytes(b"of another version")
    line.carry_out()
    assert line.ran == ["drop"]
    assert sorted(path.name for path in folder.iterdir()) == ["even.rows", "fates.rows", "manifest.json"]


@pytest.mark.parametrize("name", ["counted", "more", "fates"])
def test_a_missing_artefact_is_made_again(line: Line, name: str) -> None:
    before = line.carry_out()
    (line.run.folder / "count" / f"{name}.rows").unlink()
    assert line.carry_out() == before
    assert line.ran == ["count"]
    assert list(line.run.rows("count", name)) is not None


def test_a_damaged_artefact_stops_who_reads_it_and_is_made_again_once_removed(line: Line) -> None:
    before = line.carry_out()
    path = line.run.folder / "make" / "made.rows"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    line.versions["drop"] = 2
    with pytest.raises(StoreError, match=r"make/made\.rows .*remove it"):
        line.carry_out()
    path.unlink()
    assert line.carry_out()[2] == before[2]
    assert line.ran == ["make", "drop"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "outputs": {"a": {}}}'])
def test_a_damaged_manifest_is_named(line: Line, text: str) -> None:
    line.carry_out()
    (line.run.folder / "drop" / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match=r"drop/manifest\.json is damaged .*; remove .*drop and run again"):
        line.carry_out()


def test_a_manifest_of_another_format_is_no_manifest(line: Line) -> None:
    line.carry_out()
    path = line.run.folder / "drop" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    line.carry_out()
    assert line.ran == ["drop"]
