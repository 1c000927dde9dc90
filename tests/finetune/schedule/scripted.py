"""A run as the scheduler starts it, without a training in it: `python scripted.py DATABASE FOLDER RUN`.

It really takes the lock, writes to the queue and follows signals; `FOLDER/how` says how it is to go, and a line of
`FOLDER/begun` is the id and the process of each run that has begun.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from finetune.flywheel.record import State
from finetune.schedule.queue import RunQueue


def begun(folder: Path) -> list[tuple[str, int]]:
    """The runs that have begun, each with its process."""
    path = folder / "begun"
    rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(id, int(pid)) for id, pid in rows]


def command(database: Path, folder: Path, how: str) -> tuple[str, ...]:
    """What the scheduler is given to start."""
    (folder / "how").write_text(how)
    return (sys.executable, str(Path(__file__)), str(database), str(folder))


def _end(*_: object) -> None:
    print("a checkpoint is written", flush=True)
    sys.exit(143)


def _wait(folder: Path) -> None:
    """Until the test says so."""
    while not (folder / "go").exists():
        time.sleep(0.02)


def _die(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _give_back(folder: Path) -> None:
    if len(begun(folder)) == 1:
        queue, (id, _) = RunQueue(Path(sys.argv[1])), begun(folder)[0]
        queue.give_back(id)
        sys.exit(143)


def _fail(folder: Path) -> None:
    (folder / "kept").write_text("a checkpoint")
    sys.exit("Traceback of something\nerror: the disk is full; make room")


def _say_so(_: Path) -> None:
    RunQueue(Path(sys.argv[1])).finish(sys.argv[3], State.FAILED, "a gate could not be measured", None, _now())
    sys.exit(1)


def _leave_a_child(folder: Path) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    (folder / "child").write_text(str(child.pid))


WAYS: dict[str, Callable[[Path], None]] = {
    "well": lambda _: None,
    "hold": _wait,
    "ignore": _wait,
    "die": _die,
    "fail": _fail,
    "say so": _say_so,
    "give back": _give_back,
    "leave a child": _leave_a_child,
}


def _now() -> datetime:
    return datetime.now(UTC)


def main(database: Path, folder: Path, id: str) -> None:
    """Carry out a run."""
    queue = RunQueue(database)
    with queue.holding(id):
        queue.start(id, os.getpid(), _now())
        signal.signal(signal.SIGTERM, _end)
        print(f"nice {os.nice(0)}", flush=True)
        way = (folder / "how").read_text()
        if way == "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with (folder / "begun").open("a") as file:
            file.write(f"{id} {os.getpid()}\n")
        WAYS[way](folder)
        queue.finish(id, State.PROMOTED, "better by 7 %", "v2", _now())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
