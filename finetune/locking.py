"""Keeps two processes from working in one folder.

Knows nothing of what they do there.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetune.errors import StoreError, TakenError

LOCK = ".lock"


@contextmanager
def alone(folder: Path, setting: str) -> Iterator[None]:
    """Be the only one to work in a folder, which is made if it is missing; the lock dies with its process.

    Args:
        setting: What names the folder, for whoever has to change it.

    Raises:
        TakenError: Another process is at it.
        StoreError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / LOCK).open("a")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written to ({error.strerror}); see {setting}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TakenError(f"another process is at work in {folder}; let it finish") from error
        yield
