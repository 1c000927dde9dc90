"""A small process that stands between a run and its training, and sees that no part of the training outlives either.

    python -m finetune.training.keeper NICE GRACE_S COMMAND...

runs the command, further back in the queue for the cores, and ends as it ends. Its standard input is a pipe from the
run: at the end of that, whether the run closed it or was killed, the command is asked to end, and killed if it does
not. Whatever the command has started goes with it, also what has made itself a group of its own, as torchrun's workers
do: on Linux the keeper inherits all orphans below it. Asking the kernel for a signal at a parent's death instead would
not reach those, and comes when the *thread* ends that started the process. Knows nothing of training.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

NOT_STARTED = 127
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit status, or 128 and the number of the signal that ended it."""
    nice, grace_s, *command = arguments
    # What ends a run is passed on by the pipe. Handlers that do nothing, as a command would inherit that they are none.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    os.nice(int(nice))
    _adopt_orphans()
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command
            command, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started ({error.strerror})\n")
        return NOT_STARTED
    Thread(target=_end_with_run, args=(process, float(grace_s)), daemon=True).start()
    status = process.wait()
    _kill_orphans()
    return status if status >= 0 else 128 - status


def _end_with_run(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Wait for the end of the run; then end the command."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _adopt_orphans() -> None:
    """Be the parent of those whose own dies, instead of process 1; elsewhere than on Linux a process group must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _kill_orphans() -> None:
    """Kill what the command has left behind, and what that leaves behind in turn."""
    while orphans := [*_children()]:
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> Iterator[int]:
    """The processes whose parent this one is, where the system lists them."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            # The name before it stands in brackets, and may hold anything.
            _, parent, *_ = path.read_text().rpartition(")")[2].split()
            if int(parent) == os.getpid():
                yield int(path.parent.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
