"""Rows on disk that hold people's words: JSON objects in an encrypted file, written whole or not at all.

A file is a header and then frames of up to some hundred kilobytes of JSON lines, each encrypted for its place in
its file; the last frame says how many rows there are and the SHA-256 of their plain bytes, which is what a file is
known by: encrypted with another key it differs, and holds the same. Knows nothing of what the rows mean.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from bots.chatlog import DatabaseError, FileCipher
from finetune.durable import explained, replacing
from finetune.errors import StoreError

HEADER = b"mynah sealed rows 1\n"
FRAME_BYTES = 1 << 18
# Far more than a frame grows to, so that a damaged length does not ask for all of the memory.
MAX_FRAME_BYTES = 1 << 30
AGAIN = "remove it and run the same command again"
_LENGTH = struct.Struct(">I")

Row = Mapping[str, Any]
AnyItem = TypeVar("AnyItem")


@dataclass(frozen=True)
class Digest:
    """What a file of rows holds, whatever it is encrypted with."""

    rows: int
    sha256: str


def to_line(row: Row) -> bytes:
    """A row as a line of JSON, always the same for the same row."""
    text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


class RowWriter:
    """Takes rows; `write_rows` makes one."""

    def __init__(self, path: Path, out: BinaryIO, cipher: FileCipher) -> None:
        self._path, self._out, self._cipher = path, out, cipher
        with explained(path):
            out.write(HEADER)
        self._lines: list[bytes] = []
        self._bytes = self._frames = self._rows = 0
        self._hash = hashlib.sha256()

    def write(self, row: Row) -> None:
        """Add a row."""
        line = to_line(row)
        self._hash.update(line)
        self._lines.append(line)
        self._rows += 1
        self._bytes += len(line)
        if self._bytes >= FRAME_BYTES:
            self._flush()

    @property
    def num_rows(self) -> int:
        """How many were added."""
        return self._rows

    def end(self) -> Digest:
        """Write what is left, and the end."""
        self._flush()
        digest = Digest(self._rows, self._hash.hexdigest())
        self._frame(to_line({"rows": digest.rows, "sha256": digest.sha256}), "end")
        return digest

    def _flush(self) -> None:
        if self._lines:
            self._frame(b"".join(self._lines), "rows")
            self._lines, self._bytes = [], 0

    def _frame(self, data: bytes, kind: str) -> None:
        blob = self._cipher.seal(_place(self._frames, kind), data)
        with explained(self._path):
            self._out.write(_LENGTH.pack(len(blob)) + blob)
        self._frames += 1


@dataclass
class Written:
    """What `write_rows` has written, known once its block has ended."""

    writer: RowWriter
    digest: Digest | None = None


@contextmanager
def write_rows(path: Path, cipher: FileCipher) -> Iterator[Written]:
    """A file of rows that is at `path` once the block has ended, or not at all.

    Raises:
        StoreError: It cannot be written.
    """
    with replacing(path) as out:
        written = Written(RowWriter(path, out, cipher))
        yield written
        written.digest = written.writer.end()


class Rows(Generic[AnyItem]):
    """The rows of a file, as what they stand for; read anew each time that it is iterated over."""

    def __init__(self, path: Path, cipher: FileCipher, parse: Callable[[Row], AnyItem], again: str = AGAIN) -> None:
        """`again` says how to come by the file once more, if it is damaged."""
        self.path = path
        self._cipher, self._parse, self._again = cipher, parse, again

    def __iter__(self) -> Iterator[AnyItem]:
        """All rows, in order; that the file as a whole is what was written is known after the last one.

        Raises:
            StoreError: The file is missing or damaged.
        """
        try:
            with self.path.open("rb") as file:
                for row in _rows(file, self._cipher):
                    yield self._parse(row)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read ({error.strerror}); {self._again}") from error
        except _DamagedError as error:
            raise StoreError(f"{self.path} {error}; {self._again}") from error


class _DamagedError(Exception):
    """A file is not as it was written; says what is wrong with it."""


def _rows(file: BinaryIO, cipher: FileCipher) -> Iterator[Row]:
    if file.read(len(HEADER)) != HEADER:
        raise _DamagedError("is none of our files, or of another version")
    rows, hash_ = 0, hashlib.sha256()
    for number, (blob, is_last) in enumerate(_frames(file)):
        data = _opened(cipher, _place(number, "end" if is_last else "rows"), blob)
        if is_last:
            if json.loads(data) != {"rows": rows, "sha256": hash_.hexdigest()}:
                raise _DamagedError("holds rows of another file")
            return
        hash_.update(data)
        for line in data.split(b"\n")[:-1]:
            rows += 1
            yield json.loads(line)


def _frames(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Each frame, and whether it is the last; there is at least one."""
    blob = _frame(file)
    if blob is None:
        raise _DamagedError("breaks off behind its header")
    while blob is not None:
        following = _frame(file)
        yield blob, following is None
        blob = following


def _frame(file: BinaryIO) -> bytes | None:
    """The next frame; None at the end of the file."""
    head = file.read(_LENGTH.size)
    if not head:
        return None
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    blob = file.read(length) if length <= MAX_FRAME_BYTES else b""
    if not blob or len(blob) != length:
        raise _DamagedError("breaks off or is damaged")
    return blob


def _opened(cipher: FileCipher, place: str, blob: bytes) -> bytes:
    try:
        return cipher.open(place, blob)
    except DatabaseError as error:
        raise _DamagedError(f"cannot be opened: {error}") from error


def _place(frame: int, kind: str) -> str:
    return f"{kind}|{frame}"
