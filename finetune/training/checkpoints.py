"""Checkpoints of a training: folders `step-000120` that are whole, unchanged, and of the job that asks for them.

Each holds a list of its files with their SHA-256, written last. The libraries would take the newest folder whatever
is in it, and stop at an empty or truncated one. Knows nothing of what is in the files.
"""

import json
import logging
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporters.checkpoint import sha256_file
from finetune.durable import explained, write_text
from finetune.training.folders import UNFINISHED, whole

COMPLETE = "complete.json"
_NAME = re.compile(r"step-(\d{6,})")

log = logging.getLogger(__name__)


@contextmanager
def staged(folder: Path, step: int, digest: str) -> Iterator[Path]:
    """A folder to write a checkpoint into, which is there once the block has ended without an error.

    Args:
        folder: Where a stage's checkpoints are.
        digest: Of the job that it belongs to.

    Raises:
        StoreError: It cannot be written, for want of room perhaps; nothing of it is left, and the others are.
    """
    with whole(folder / f"step-{step:06d}") as work:
        yield work
        text = json.dumps({"job": digest, "step": step, "files": _files(work)}, indent=2, sort_keys=True)
        write_text(work / COMPLETE, f"{text}\n")


def newest(folder: Path, digest: str) -> Path | None:
    """The newest checkpoint of a job that is as it was written; None if there is none.

    What is damaged, unfinished or another job's is passed over, with a line in the log.
    """
    for path in reversed(_found(folder)):
        if (wrong := _fault(path, digest)) is None:
            return path
        log.warning("passed over the checkpoint %s: %s", path, wrong)
    return None


def step_of(checkpoint: Path) -> int:
    """After which step a checkpoint was written."""
    match = _NAME.fullmatch(checkpoint.name)
    assert match, f"{checkpoint} is no checkpoint"
    return int(match[1])


def prune(folder: Path, keep: Collection[int]) -> None:
    """Remove all checkpoints but those of some steps, and what a killed process has left unfinished.

    Raises:
        StoreError: They cannot be removed.
    """
    removed = [path for path in _found(folder) if step_of(path) not in keep]
    with explained(folder):
        for path in (*removed, *folder.glob(f"{UNFINISHED}*")):
            shutil.rmtree(path)


def _found(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the oldest first."""
    return sorted((path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)), key=step_of)


def _fault(checkpoint: Path, digest: str) -> str | None:
    """What is wrong with a checkpoint."""
    try:
        listed = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))
        if listed["job"] != digest:
            return "it is another job's"
        if changed := [name for name, known in listed["files"].items() if _known(checkpoint / name) != known]:
            return f"{changed[0]} is not as it was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"it is incomplete ({error})"
    return None


def _files(folder: Path) -> dict[str, dict[str, int | str]]:
    """What each file in a folder is known by."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _known(path) for path in sorted(paths)}


def _known(path: Path) -> dict[str, int | str]:
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
