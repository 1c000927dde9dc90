"""A folder that appears whole or not at all, and never in place of what is not a bundle."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from engine.bundle import MANIFEST_NAME, Bundle
from engine.errors import BundleError
from exporters.errors import OutputError


@contextlib.contextmanager
def staging_dir(out: Path) -> Iterator[Path]:
    """A folder beside `out` to work in, removed at the end whatever happens.

    What a killed run left behind is removed by the next one; two runs for one `out` don't mix.

    Raises:
        OutputError: The place can't be written to, or another run is using it.
    """
    staging = out.parent / f".{out.name}.staging"
    try:
        staging.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write beside {out}: {error.strerror}; choose another OUT") from error
    lock = _lock(staging, out)
    try:
        _empty(staging)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


def require_replaceable(out: Path, source: str, *, force: bool) -> None:
    """Refuse an OUT that may not give way, before anything is fetched.

    Even `force` replaces a bundle only, intact or damaged: what else stands there is not ours to delete.

    Raises:
        OutputError: Says what stands there.
    """
    if not out.name or out.is_symlink() or (out.exists() and not out.is_dir()):
        raise OutputError(f"{out} is no folder that a bundle could stand in; choose another OUT")
    if is_vacant(out):
        return
    if Path(source).resolve().is_relative_to(out.resolve()):
        raise OutputError(f"{out} holds the source itself; choose another OUT")
    if not (out / MANIFEST_NAME).exists():
        raise OutputError(f"{out} exists and is no bundle; remove it, or choose another OUT")
    if not force:
        try:
            Bundle.open(out)
        except BundleError as error:
            raise OutputError(f"{out} exists and is no intact bundle; remove it, or use --force") from error


def is_vacant(out: Path) -> bool:
    """Whether nothing stands at `out`; an empty folder is nothing."""
    return not out.exists() or not any(out.iterdir())


def publish(folder: Path, out: Path) -> None:
    """Move a finished folder to `out`; a folder that is there gives way only once the new one is ready."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    try:
        folder.rename(out)
    except OSError as error:
        if old.exists():
            old.rename(out)
        raise OutputError(f"cannot write {out}: {error.strerror}; choose another OUT") from error
    shutil.rmtree(old, ignore_errors=True)


def _lock(staging: Path, out: Path) -> int:
    """A descriptor that holds the lock on the staging folder."""
    lock = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.fstat(lock).st_ino == staging.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        is_ours = False  # held by another run, or just removed by it
    if not is_ours:
        os.close(lock)
        raise OutputError(f"another export is writing {out}; wait for it, then try again")
    return lock


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
