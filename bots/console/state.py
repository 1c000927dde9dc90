"""Files that the console keeps for its user: what was typed before, what went wrong, and what was asked for.

They may hold private talk, so their owner alone can read them.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory


def state_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Where this user's programs keep such files (XDG Base Directory Specification 0.8)."""
    named = Path(environ.get("XDG_STATE_HOME", ""))
    # The specification says to ignore a relative path.
    return (named if named.is_absolute() else home / ".local" / "state") / "mynah"


def open_history(folder: Path) -> History:
    """Open the history for the up-arrow key; where it cannot be written, it lasts as long as the program."""
    file = folder / "console_history"
    return FileHistory(file) if _is_private_file(file) else InMemoryHistory()


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Send warnings and errors to a file: on the screen they would run into the prompt."""
    file = folder / "console.log"
    handler = logging.FileHandler(file, encoding="utf-8") if _is_private_file(file) else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def save_new(folder: Path, name: str, data: bytes) -> Path:
    """Write a file that was not there before; returns where, which is under another name if that one is taken.

    Raises:
        OSError: It cannot be written. Nothing is left of it.
    """
    wanted = Path(re.sub(r"[\x00-\x1f\x7f/\\]", "_", name).lstrip(".") or "file")
    for number in count(1):
        file = folder / (wanted if number == 1 else f"{wanted.stem}-{number}{wanted.suffix}")
        try:
            file.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            continue
        try:
            file.write_bytes(data)
        except OSError:
            file.unlink()
            raise
        return file
    raise AssertionError("there is always another number")


def _is_private_file(file: Path) -> bool:
    """Whether `file` is there, or could be made, for its owner alone to read and write."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.chmod(0o600)
        with file.open("ab"):
            return True
    except OSError:
        return False
