"""Text out of files, in small pieces: compressed or not, in the encodings that exports come in.

Memory does not grow with the file. Bytes that are no text become lone surrogates (Python's `surrogateescape`), which
`finetune.importing.formats` reports and replaces in the messages that have them. Knows nothing of formats.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from finetune.errors import SourceFileError
from finetune.importing.problems import Problems

Consumed = Callable[[int], None]

# Of text, read at once.
CHUNK_BYTES = 1 << 18
# A line, or one message of a JSON document, that is longer is a damaged file or not a chat.
MAX_CHARACTERS = 1 << 24

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
# The longer mark first: that of UTF-32 begins with that of UTF-16.
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32", "replace"),
    (codecs.BOM_UTF32_BE, "utf-32", "replace"),
    (codecs.BOM_UTF16_LE, "utf-16", "replace"),
    (codecs.BOM_UTF16_BE, "utf-16", "replace"),
    (b"", "utf-8-sig", "surrogateescape"),
)
_LONGEST_MARK = 4
_HEAD_CHARACTERS = 1 << 16


def chunks(path: Path, problems: Problems, consumed: Consumed) -> Iterator[str]:
    """The text of a file, piece by piece; `.gz` is unpacked, whatever the file is called.

    Args:
        path: A regular file, or a pipe.
        problems: Gets what is wrong with the file as a whole, such as an end that is missing.
        consumed: Gets the number of bytes read of the file, as it is on disk, since the last call.

    Raises:
        SourceFileError: it cannot be read at all.
    """
    try:
        with path.open("rb", buffering=0) as raw:
            yield from _decoded(_unpacked(path, _Counted(raw, consumed)), problems)
    except IsADirectoryError as exc:
        raise SourceFileError(f"{path} is a folder; name a file in it") from exc
    except FileNotFoundError as exc:
        raise SourceFileError(f"{path} is not there; name a file that is") from exc
    except OSError as exc:
        raise SourceFileError(f"{path} cannot be read ({exc.strerror or exc}); look at its permissions") from exc


def lines(text: Iterable[str], problems: Problems) -> Iterator[tuple[int, str]]:
    """The lines of a text and their numbers, from 1; one that is far too long is a problem and left out."""
    number, rest, is_too_long = 1, "", False
    for chunk in text:
        *whole, rest = (rest + chunk).split("\n")
        for line in whole:
            if not is_too_long:
                yield number, line.removesuffix("\r")
            number, is_too_long = number + 1, False
        if len(rest) > MAX_CHARACTERS or is_too_long:
            if not is_too_long:
                problems.note(f"line {number}", f"at most {MAX_CHARACTERS} characters", "a longer line")
            rest, is_too_long = "", True
    if rest:
        yield number, rest.removesuffix("\r")


def head(path: Path) -> str:
    """The beginning of a regular file, to see what it may be; empty if it cannot be read."""
    if not path.is_file():
        return ""
    text = ""
    try:
        for chunk in chunks(path, Problems(), lambda _: None):
            text += chunk
            if len(text) >= _HEAD_CHARACTERS:
                break
    except SourceFileError:
        return ""
    return text


class _Counted(io.RawIOBase):
    """A file that tells how much was read of it; a pipe cannot say so itself."""

    def __init__(self, raw: io.FileIO, consumed: Consumed) -> None:
        self._raw, self._consumed = raw, consumed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # all that io gives it
        count = self._raw.readinto(buffer) or 0
        self._consumed(count)
        return count


def _unpacked(path: Path, raw: io.RawIOBase) -> io.BufferedIOBase:
    plain = io.BufferedReader(raw, max(CHUNK_BYTES, _LONGEST_MARK))
    magic = plain.peek(4)
    if magic.startswith(_ZIP):
        raise SourceFileError(f"{path} is a zip archive; unpack it and name the file that has the messages")
    return gzip.GzipFile(fileobj=plain) if magic.startswith(_GZIP) else plain


def _decoded(file: io.BufferedIOBase, problems: Problems) -> Iterator[str]:
    decoder: codecs.IncrementalDecoder | None = None
    for data in _blocks(file, problems):
        decoder = decoder or _decoder(data)
        if text := decoder.decode(data):
            yield text
    if decoder and (text := decoder.decode(b"", final=True)):
        yield text


def _blocks(file: io.BufferedIOBase, problems: Problems) -> Iterator[bytes]:
    """What the file holds, as it comes: at first enough to know its encoding."""
    num_bytes = 0
    try:
        data = file.read(_LONGEST_MARK)
        while data:
            num_bytes += len(data)
            yield data
            # At a damaged place `read` would lose what comes before it.
            data = file.read1(CHUNK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        problems.note(f"byte {num_bytes} unpacked", "more of the compressed file; the rest is lost", str(exc))


def _decoder(data: bytes) -> codecs.IncrementalDecoder:
    encoding, errors = next((name, errors) for mark, name, errors in _ENCODINGS if data.startswith(mark))
    return codecs.getincrementaldecoder(encoding)(errors)
