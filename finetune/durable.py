"""Files that are on disk whole or not at all, whatever interrupts their writing; and what the disk says, in words.

Knows nothing of what is in them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from finetune.errors import StoreError

UNFINISHED = ".unfinished"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, for its owner's eyes only, which is at `path` once the block has ended without an error.

    Raises:
        StoreError: It cannot be written; the file that was there before stays.
    """
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        out = open(unfinished, "wb", opener=_private)  # noqa: SIM115 - closed below, whatever happens
    try:
        yield out
        with explained(path):
            out.flush()
            os.fsync(out.fileno())
            out.close()
            unfinished.replace(path)
            _sync_folder(path.parent)
    finally:
        # Closing writes what is left; on a full disk that fails once more, and must not stand in for the first error.
        with suppress(OSError):
            out.close()
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Put a text into a file, all of it or nothing.

    Raises:
        StoreError: It cannot be written; the file that was there before stays.
    """
    with replacing(path) as out, explained(path):
        out.write(text.encode("utf-8"))


def appending(path: Path) -> TextIO:
    """A text file to add lines to, for its owner's eyes only; to be closed by the caller.

    Raises:
        OSError: It cannot be written.
    """
    return open(path, "a", encoding="utf-8", opener=_private)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Says of an error in writing which file it is about, and what to do.

    Raises:
        StoreError: In place of an `OSError` in the block.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror}); free some space or check the folder") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
