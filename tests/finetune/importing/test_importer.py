"""Importing a file: under a right that does for where it comes from, once, and all of it or nothing."""

import io
import os
from pathlib import Path
from typing import Any

import pytest

from bots.chatlog import FileCipher
from exporters.progress import Progress
from finetune.errors import FinetuneError, RightError, SourceFileError, StoreError
from finetune.importing import ImportOptions
from finetune.importing.importer import Imported, import_file
from finetune.importing.store import ImportStore
from finetune.rights import Right
from tests.finetune.importing.samples import (
    discord,
    discord_message,
    telegram,
    telegram_message,
    write,
)

TALK = [{"id": "1", "turns": [{"speaker": "a", "text": "one"}, {"speaker": "b", "text": "two"}]}]
PERMISSION = "platform-permission:case 7"


@pytest.fixture
def store(tmp_path: Path, cipher: FileCipher) -> ImportStore:
    return ImportStore(tmp_path / "imports", cipher)


def run(
    store: ImportStore,
    path: Path,
    format: str = "dialogues",
    right: str = "own",
    name: str | None = None,
    replaces: bool = False,
    **more: Any,
) -> Imported:
    if format == "dialogues":
        more.setdefault("mapping", {"turns": "turns"})
    progress = Progress(1, io.StringIO())
    options = ImportOptions(**more)
    return import_file(store, path, format, Right.parse(right), options, progress, name=name, replaces=replaces)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize("right", ["own", "consent:forms", "licence:CC0-1.0"])
def test_a_discord_export_is_refused_without_discord_s_permission_before_anything_is_written(
    store: ImportStore, tmp_path: Path, right: str
) -> None:
    path = write(tmp_path, "roses.json", discord(discord_message(1, "hello")))
    with pytest.raises(RightError, match="which only Discord may permit"):
        run(store, path, "discord", right)
    assert not (tmp_path / "imports").exists()
    assert run(store, path, "discord", PERMISSION).done.origin.platform == "discord"


@pytest.mark.parametrize("platform", ["discord", "Discord", " discord"])
def test_dialogues_that_were_said_on_discord_are_held_to_the_same(
    store: ImportStore, tmp_path: Path, platform: str
) -> None:
    path = write(tmp_path, "talk.jsonl", TALK)
    with pytest.raises(RightError):
        run(store, path, platform=platform)
    assert not (tmp_path / "imports").exists()


def test_nobody_can_say_that_an_export_comes_from_elsewhere(store: ImportStore, tmp_path: Path) -> None:
    path = write(tmp_path, "roses.json", discord(discord_message(1, "hello")))
    with pytest.raises(FinetuneError, match="leave out --platform"):
        run(store, path, "discord", "own", platform="forum")
    assert not (tmp_path / "imports").exists()


def test_the_same_file_is_imported_once(store: ImportStore, tmp_path: Path) -> None:
    path = write(tmp_path, "talk.jsonl", TALK)
    first = run(store, path)
    before = contents(tmp_path)
    again = run(store, path)
    assert (again.done, again.problems) == (first.done, None)
    assert contents(tmp_path) == before


def test_another_file_does_not_take_the_place_of_an_import_by_chance(store: ImportStore, tmp_path: Path) -> None:
    run(store, write(tmp_path, "talk.jsonl", TALK))
    before = contents(tmp_path / "imports")
    (tmp_path / "elsewhere").mkdir()
    other = write(tmp_path / "elsewhere", "talk.jsonl", [*TALK, TALK[0] | {"id": "2"}])  # as every `result.json`
    with pytest.raises(StoreError, match=r"another file was imported as talk \(talk\.jsonl, .*--name.*--replace"):
        run(store, other)
    assert contents(tmp_path / "imports") == before
    run(store, other, name="other")
    assert [each.name for each in store.all()] == ["other", "talk"]


@pytest.mark.parametrize("change", ["options", "right", "content"])
def test_an_import_is_replaced_when_the_same_file_comes_otherwise_or_another_one_is_to(
    store: ImportStore, tmp_path: Path, change: str
) -> None:
    path = write(tmp_path, "talk.jsonl", TALK)
    first = run(store, path)
    if change == "content":
        write(tmp_path, "talk.jsonl", [*TALK, TALK[0] | {"id": "2"}])
    then = run(
        store,
        path,
        right="licence:MIT" if change == "right" else "own",
        replaces=change == "content",
        **({"assistant": "b"} if change == "options" else {}),
    )
    assert then.before == first.done
    assert store.all() == [then.done]
    assert then.done != first.done
    assert then.problems is not None


def test_a_name_that_is_none_is_refused_before_the_file_is_read(store: ImportStore, tmp_path: Path) -> None:
    path = write(tmp_path, "talk.jsonl", TALK)
    with pytest.raises(StoreError, match="is no name"):
        run(store, path, name="../talk")
    assert not (tmp_path / "imports").exists()


def test_messages_that_were_lost_are_read_again_from_the_same_file(store: ImportStore, tmp_path: Path) -> None:
    path = write(tmp_path, "talk.jsonl", TALK)
    first = run(store, path)
    for rows in (tmp_path / "imports").rglob("*.rows"):
        rows.unlink()
    assert run(store, path).problems is not None
    assert store.all() == [first.done]
    assert len(list(store.messages("talk"))) == 2


def test_bad_rows_are_counted_and_good_ones_kept(store: ImportStore, tmp_path: Path) -> None:
    path = write(tmp_path, "result.json", telegram(telegram_message(1, "hello"), telegram_message(2, 7), "what"))
    imported = run(store, path, "telegram", "consent:forms")
    assert imported.problems is not None
    assert (imported.done.messages.rows, imported.done.problems) == (1, imported.problems.count)
    assert imported.problems.count == len(imported.problems.first) == 2


@pytest.mark.parametrize("what", ["missing", "folder", "pipe", "empty", "other format"])
def test_a_file_that_is_none_of_its_format_leaves_no_import(store: ImportStore, tmp_path: Path, what: str) -> None:
    path = tmp_path / "talk.jsonl"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what != "missing":
        path.write_text("" if what == "empty" else "just words\n")
    with pytest.raises(SourceFileError, match=r"talk\.jsonl"):
        run(store, path)
    assert store.all() == []
    assert [each for each in (tmp_path / "imports").rglob("*") if each.is_file() and each.name != ".lock"] == []


def test_two_imports_at_once_do_not_mix(store: ImportStore, tmp_path: Path) -> None:
    path = write(tmp_path, "talk.jsonl", TALK)
    with store.alone(), pytest.raises(StoreError, match="another process is at work"):
        run(store, path)
    run(store, path)
