"""Locks that die with the process that holds them, whatever ends it: who is at work is never a matter of ids.

Knows nothing of runs.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from finetune.errors import StoreError


@contextmanager
def held(path: Path, taken: str) -> Iterator[None]:
    """Hold the lock of a file, which is made for it and removed after it.

    Args:
        taken: What to say if another process holds it.

    Raises:
        StoreError: Another process holds it, or the file cannot be made.
    """
    try:
        lock = path.open("a")
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror}); see SCHEDULE_DATABASE") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(taken) from error
        if not _is_at(path, lock):  # whoever held it has removed it since we opened it
            raise StoreError(f"{taken} (it has just ended; try again)")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a process that is alive holds the lock of a file."""
    try:
        lock = path.open()
    except FileNotFoundError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _is_at(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
