"""Encrypted rows: they come back as they were, or with an error that names the file; never otherwise."""

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bots.chatlog import ChatLog, DatabaseSettings, FileCipher
from finetune.errors import StoreError
from finetune.sealed import FRAME_BYTES, HEADER, Digest, Rows, write_rows

OTHER_KEY = FileCipher(bytes(reversed(range(64))))
ROWS: list[dict[str, Any]] = [
    {"id": "1", "text": "the lantern by the river"},
    {"id": "2", "text": "Zo\u00eb \u2028 \U0001f426\nnext line", "deep": [{"a": None}, 1.5, True]},
    {},
]


def write(path: Path, cipher: FileCipher, rows: Iterable[dict[str, Any]] = ROWS) -> Digest:
    with write_rows(path, cipher) as written:
        for row in rows:
            written.writer.write(row)
    assert written.digest is not None
    return written.digest


def read(path: Path, cipher: FileCipher) -> list[Any]:
    return list(Rows(path, cipher, lambda row: row))


def frames(data: bytes) -> list[bytes]:
    """The frames of a file, each with its length in front."""
    found, place = [], len(HEADER)
    while place < len(data):
        end = place + 4 + struct.unpack(">I", data[place : place + 4])[0]
        found.append(data[place:end])
        place = end
    return found


def long_rows(number: int, word: str = "x") -> list[dict[str, Any]]:
    """So many rows that each is a frame of its own."""
    return [{"n": n, "text": word * FRAME_BYTES} for n in range(number)]


def test_rows_come_back_as_they_were_and_as_often_as_one_likes(tmp_path: Path, cipher: FileCipher) -> None:
    digest = write(tmp_path / "a.rows", cipher)
    rows = Rows(tmp_path / "a.rows", cipher, lambda row: row)
    assert list(rows) == list(rows) == ROWS
    assert digest.rows == 3


def test_a_file_without_rows_is_one(tmp_path: Path, cipher: FileCipher) -> None:
    assert write(tmp_path / "a.rows", cipher, []).rows == 0
    assert read(tmp_path / "a.rows", cipher) == []


def test_rows_longer_than_a_frame_and_more_than_fit_into_one_come_back(tmp_path: Path, cipher: FileCipher) -> None:
    rows = [{"n": 0, "text": "x" * (3 * FRAME_BYTES)}, *({"n": n, "text": "y" * 500} for n in range(1, 2000))]
    write(tmp_path / "a.rows", cipher, rows)
    assert len(frames((tmp_path / "a.rows").read_bytes())) > 3
    assert read(tmp_path / "a.rows", cipher) == rows


def test_half_a_character_is_no_reason_to_fail(tmp_path: Path, cipher: FileCipher) -> None:
    write(tmp_path / "a.rows", cipher, [{"text": "a\ud83dz"}])
    assert read(tmp_path / "a.rows", cipher) == [{"text": "a?z"}]


def test_nothing_that_rows_say_is_in_the_file(tmp_path: Path, cipher: FileCipher) -> None:
    write(tmp_path / "a.rows", cipher)
    data = (tmp_path / "a.rows").read_bytes()
    for word in ("lantern", "river", "Zo\u00eb", "text", "sha256", 'rows":'):
        assert word.encode() not in data.removeprefix(HEADER), word


def test_the_same_rows_are_the_same_bytes_and_under_another_key_known_by_the_same(
    tmp_path: Path, cipher: FileCipher
) -> None:
    one, two = write(tmp_path / "1.rows", cipher), write(tmp_path / "2.rows", cipher)
    reordered = write(tmp_path / "3.rows", cipher, [dict(reversed(row.items())) for row in ROWS])
    other = write(tmp_path / "4.rows", OTHER_KEY)
    assert one == two == reordered == other
    data = [(tmp_path / f"{n}.rows").read_bytes() for n in range(1, 5)]
    assert data[0] == data[1] == data[2] != data[3]
    assert write(tmp_path / "5.rows", cipher, ROWS[:2]) != one


def test_the_rows_of_another_key_do_not_open(tmp_path: Path, cipher: FileCipher) -> None:
    write(tmp_path / "a.rows", OTHER_KEY)
    with pytest.raises(StoreError, match=r"a\.rows cannot be opened.*remove it"):
        read(tmp_path / "a.rows", cipher)


def test_only_the_owner_can_read_a_file(tmp_path: Path, cipher: FileCipher) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "new" / "a.rows", cipher)
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a.rows").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def assert_refused(path: Path, cipher: FileCipher, rows: list[Any], data: bytes) -> None:
    """Whatever is read before the error is a beginning of the true rows."""
    path.write_bytes(data)
    found = []
    with pytest.raises(StoreError, match=path.name):
        for row in Rows(path, cipher, lambda row: row):
            found.append(row)
    assert found == rows[: len(found)]


def test_a_bit_changed_anywhere_is_noticed(tmp_path: Path, cipher: FileCipher) -> None:
    path = tmp_path / "a.rows"
    write(path, cipher)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (1, 128):
            changed = bytearray(whole)
            changed[place] ^= bit
            assert_refused(path, cipher, ROWS, bytes(changed))


def test_a_file_cut_off_anywhere_is_noticed(tmp_path: Path, cipher: FileCipher) -> None:
    path = tmp_path / "a.rows"
    write(path, cipher)
    whole = path.read_bytes()
    for length in range(len(whole)):
        assert_refused(path, cipher, ROWS, whole[:length])


@pytest.mark.parametrize("change", ["last missing", "end missing", "swapped", "twice", "header only", "more behind"])
def test_frames_left_out_moved_or_added_are_noticed(tmp_path: Path, cipher: FileCipher, change: str) -> None:
    path, rows = tmp_path / "a.rows", long_rows(3)
    write(path, cipher, rows)
    a, b, c, end = frames(path.read_bytes())
    changed = {
        "last missing": [a, b, end],
        "end missing": [a, b, c],
        "swapped": [b, a, c, end],
        "twice": [a, a, b, c, end],
        "header only": [],
        "more behind": [a, b, c, end, b"\0\0\0\0"],
    }[change]
    assert_refused(path, cipher, rows, HEADER + b"".join(changed))


def test_a_frame_of_another_file_is_noticed(tmp_path: Path, cipher: FileCipher) -> None:
    path = tmp_path / "a.rows"
    write(path, cipher, long_rows(2))
    mine = frames(path.read_bytes())
    write(path, cipher, long_rows(2, "y"))
    others = frames(path.read_bytes())
    path.write_bytes(HEADER + mine[0] + others[1] + mine[2])
    with pytest.raises(StoreError, match=r"a\.rows holds rows of another file"):
        read(path, cipher)


def test_a_length_beyond_all_measure_takes_no_memory(tmp_path: Path, cipher: FileCipher) -> None:
    assert_refused(tmp_path / "a.rows", cipher, [], HEADER + b"\xff\xff\xff\xff" + b"x" * 100)


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path, cipher: FileCipher) -> None:
    with pytest.raises(StoreError, match=r"a\.rows cannot be read \(No such file.*run the same command again"):
        read(tmp_path / "a.rows", cipher)


def test_a_writer_that_fails_leaves_no_file_and_the_one_before_as_it_was(tmp_path: Path, cipher: FileCipher) -> None:
    def fail() -> None:
        with write_rows(tmp_path / "a.rows", cipher) as written:
            for row in long_rows(2):
                written.writer.write(row)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "a.rows", cipher)
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.rows"]
    assert read(tmp_path / "a.rows", cipher) == ROWS


def test_what_a_killed_writer_has_left_is_in_nobody_s_way(tmp_path: Path, cipher: FileCipher) -> None:
    (tmp_path / ".a.rows.unfinished").write_bytes(b"x" * 10_000)
    write(tmp_path / "a.rows", cipher)
    assert read(tmp_path / "a.rows", cipher) == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["a.rows"]


def test_a_folder_that_is_none_gives_one_line(tmp_path: Path, cipher: FileCipher) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"a\.rows cannot be written \("):
        write(tmp_path / "file" / "a.rows", cipher)


def database(folder: Path) -> DatabaseSettings:
    return DatabaseSettings(url=f"sqlite:///{folder}/mynah.db", key_file=folder / "chatlog.keys")


async def test_files_outlive_a_rotation_of_the_database_s_key(tmp_path: Path) -> None:
    async with ChatLog.open(database(tmp_path)) as log:
        write(tmp_path / "a.rows", await log.file_cipher())
        for _ in range(3):  # the first key is kept for one more rotation
            await log.rotate_key()
    async with ChatLog.open(database(tmp_path)) as log:
        assert read(tmp_path / "a.rows", await log.file_cipher()) == ROWS


async def test_another_database_does_not_open_them(tmp_path: Path) -> None:
    async with ChatLog.open(database(tmp_path / "one")) as log:
        write(tmp_path / "a.rows", await log.file_cipher())
    async with ChatLog.open(database(tmp_path / "two")) as log:
        with pytest.raises(StoreError, match="belongs to another database"):
            read(tmp_path / "a.rows", await log.file_cipher())
