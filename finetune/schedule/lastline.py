"""The line of a process's output that says why it has ended.

Knows nothing of processes.
"""

import re
from pathlib import Path

# Of a traceback only the last line is looked for, however long it is.
TAIL_BYTES = 16_384
MAX_CHARS = 300
_MARKS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_BAR = re.compile(r"\d+%\||\b\d+/\d+ \[")  # a progress bar, which says how far it was and not why it ended


def last_line(path: Path) -> str:
    """The last line of a file that says something; empty if there is none, or no such file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return meaningful(text)


def meaningful(text: str) -> str:
    """The last line of an output that says something, without marks of terminals; a bar only if there is nothing else.

    What overwrites its own line says what stands there last.
    """
    lines = [_MARKS.sub("", line.rstrip("\r").rpartition("\r")[2]).strip() for line in text.split("\n")]
    lines = [line for line in lines if line]
    said = [line for line in lines if not _BAR.search(line)]
    last = (said or lines or [""])[-1]
    return last.removeprefix("error: ")[:MAX_CHARS]
