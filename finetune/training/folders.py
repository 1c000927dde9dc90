"""Folders that are on disk whole or not at all, as `finetune.durable` has it for files.

Knows nothing of what is in them.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporters.errors import is_disk_full
from finetune.durable import explained
from finetune.errors import StoreError

UNFINISHED = "tmp-"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A folder to write into, which is at `path` once the block has ended without an error; what was there gives way.

    What a killed process has left of an earlier attempt is removed.

    Raises:
        StoreError: It cannot be written, for want of room perhaps.
    """
    work = path.with_name(f"{UNFINISHED}{path.name}")
    with explained(path):
        if work.exists():
            shutil.rmtree(work)
        work.mkdir(parents=True, mode=0o700)
    try:
        with _full_disk_told(path):
            yield work
        with explained(path):
            _sync(work)
            if path.exists():
                shutil.rmtree(path)
            work.rename(path)
            _sync_one(path.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # which gives a full disk some room again


@contextmanager
def _full_disk_told(path: Path) -> Iterator[None]:
    """Says that the disk is full, whichever library has found out."""
    try:
        yield
    except Exception as error:
        # torch.save's own writer keeps the reason to itself: the text names the file of its source.
        if is_disk_full(error) or "inline_container.cc" in str(error):
            raise StoreError(f"{path} cannot be written (no space left, or a quota); free some space") from error
        raise


def _sync(folder: Path) -> None:
    """Have a folder on disk, with all that is in it."""
    for path in folder.rglob("*"):
        _sync_one(path)
    _sync_one(folder)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
