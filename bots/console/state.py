"""Files that the console keeps for its user: what was typed before, and what went wrong.

Both may hold private talk, so their owner alone can read them.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
