"""Runs a training in processes of its own: one, several on this machine, or what an operator's command starts.

A training that crashes, or is killed for want of memory, takes nothing else with it; one whose run is killed dies too
(`finetune.training.keeper`). Knows nothing of what is trained.
"""

import codecs
import errno
import fcntl
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from finetune.durable import appending, explained
from finetune.errors import StoreError
from finetune.training import keeper
from finetune.training.errors import TrainingError

INLINE, TORCHRUN, PLACE = "inline", "torchrun:", "{command}"
LOCK = ".training.lock"
# From asking a training to end until it is killed. torchrun gives its workers 30 s.
GRACE_S = 45.0
# Tensors come and go with each layer. glibc would give large ones back to the system, which clears pages for the next
# one: a tenth of the time on a CPU.
_MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}
# Characters of what was said last, in which the reason of a failure is looked for; torchrun's report has 3,000.
_TAIL = 20_000
_WORKER_FAILED = re.compile(r"^[A-Z]\d{4} .*torch/distributed/elastic/multiprocessing/api\.py.*$", re.MULTILINE)
_EXIT_CODE = re.compile(r"failed \(exitcode: (-?\d+)\)")
# Where a reason may stand, the best place first: our own message, an exception's, any line with a letter in it.
_REASONS = (
    re.compile(r"\berror: (.+)$", re.MULTILINE),
    re.compile(r"^([\w.]+(?:Error|Exception)\b.*)$", re.MULTILINE),
    re.compile(r"^(.*[^\W\d_].*)$", re.MULTILINE),
)


def command(folder: Path, launcher: str) -> list[str]:
    """What starts the training of a folder.

    Args:
        launcher: As `finetune.settings.TrainSettings` describes it.

    Raises:
        TrainingError: It is none of these.
    """
    module = ["-m", "finetune.training", str(folder.absolute())]
    if launcher == INLINE:
        return [sys.executable, *module]
    if launcher.startswith(TORCHRUN):
        return [*_torchrun(launcher.removeprefix(TORCHRUN)), *module]
    if PLACE in launcher:
        return [part for each in _split(launcher) for part in _filled(each, module)]
    raise TrainingError(
        f"TRAIN_LAUNCHER is {launcher!r}; set it to inline, torchrun:2 (or another number), or a command with "
        f"{PLACE} in it"
    )


def _torchrun(number: str) -> list[str]:
    if not number.isdecimal() or not int(number):
        raise TrainingError(f"TRAIN_LAUNCHER is {TORCHRUN}{number}; set a number of processes, as in torchrun:2")
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={int(number)}"]


def _split(template: str) -> list[str]:
    try:
        return shlex.split(template)
    except ValueError as error:
        raise TrainingError(f"TRAIN_LAUNCHER cannot be read ({error}); close its quotation marks") from error


def _filled(part: str, module: list[str]) -> list[str]:
    """A part of a template with ours in its place: as arguments of its own, or quoted inside of one for a shell."""
    return module if part == PLACE else [part.replace(PLACE, shlex.join(module))]


def launch(folder: Path, launcher: str, *, nice: int, log: Path, grace_s: float = GRACE_S) -> None:
    """Train what a folder asks for, and wait for the end; what the training says goes to stderr, and by lines to a log.

    If this is interrupted by an exception, Ctrl-C's among them, the training ends before the exception goes on.

    Args:
        nice: How far the training stands back behind other processes, 0 to 19.
        log: File that the lines are added to.
        grace_s: How long a training has to end once it is asked to.

    Raises:
        TrainingError: The training has failed; holds the last of what it said.
        StoreError: The log cannot be written, or another process trains in the folder.
    """
    arguments = [str(nice), str(grace_s), *command(folder, launcher)]
    with _alone(folder, grace_s) as lock, explained(log), appending(log) as lines:
        said = _Said(lines)
        status = _run([sys.executable, "-m", keeper.__name__, *arguments], said, lock)
    if status:
        raise TrainingError(f"the training {_ending(status, said.tail)}: {reason(said.tail)}; see {log}")


@contextmanager
def _alone(folder: Path, grace_s: float) -> Iterator[int]:
    """A lock on the folder, which the keeper holds too: a run that was killed may have a training that is still ending.

    Raises:
        StoreError: There is another training, and it does not end.
    """
    deadline = time.monotonic() + grace_s + 1
    with (folder / LOCK).open("a") as lock:
        while not _is_locked(lock):
            if time.monotonic() > deadline:
                raise StoreError(f"another process is training in {folder}; let it finish")
            time.sleep(0.1)
        yield lock.fileno()


def _is_locked(lock: TextIO) -> bool:
    """Lock a file, unless somebody else has."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Said:
    """What a training says: shown as it comes, kept in a log by lines, its end remembered.

    Of a run that the scheduler began, all that is shown goes into that log already.
    """

    def __init__(self, lines: TextIO) -> None:
        self._lines, self._rest, self.tail = lines, "", ""
        self._is_shown = not _are_one_file(sys.stderr, lines)

    def listen(self, source: int) -> None:
        """Take what comes from a descriptor until nobody holds its other end."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := _read(source):
            self._add(decoder.decode(data))
        if self._rest:
            self._add("\n")

    def _add(self, text: str) -> None:
        if self._is_shown:
            with suppress(OSError):  # a training goes on where nobody looks on any more
                sys.stderr.write(text)
                sys.stderr.flush()
        *lines, rest = (self._rest + text).split("\n")
        for line in map(_last_drawn, lines):
            self._lines.write(f"{line}\n")
            self.tail = f"{self.tail}{line}\n"[-_TAIL:]
        self._lines.flush()
        self._rest = rest[max(0, rest.rfind("\r", 0, -1)) :]


def _are_one_file(a: TextIO, b: TextIO) -> bool:
    """Whether two streams write to the same file; a stream that is none of the system's is another one."""
    try:
        return os.path.sameopenfile(a.fileno(), b.fileno())
    except OSError:
        return False


def _last_drawn(line: str) -> str:
    """What is left to see of a line that a progress bar has drawn over again and again."""
    return line.rstrip("\r").rpartition("\r")[2]


def _read(source: int) -> bytes:
    try:
        return os.read(source, 1 << 16)
    except OSError as error:
        if error.errno == errno.EIO:  # how a terminal says that nobody writes to it any more
            return b""
        raise


def _run(arguments: list[str], said: _Said, lock: int) -> int:
    """Run a keeper to its end; returns its exit status."""
    source, sink = _terminal() if sys.stderr.isatty() else os.pipe()
    try:
        # The keeper holds the end that is read, too: a training whose run was killed still ends in good order, instead
        # of by its first word into a broken pipe.
        process = subprocess.Popen(  # noqa: S603 - the keeper, with the command of the operator
            arguments,
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            env=_MALLOC | os.environ,
            pass_fds=(lock, source),
            start_new_session=True,
        )
        os.close(sink)
        with process:
            try:
                said.listen(source)
            except BaseException:
                assert process.stdin is not None
                process.stdin.close()  # upon which the keeper ends the training
                said.listen(source)
                raise
    finally:
        os.close(source)
    return process.returncode


def _terminal() -> tuple[int, int]:
    """Both ends of a terminal as wide as ours, so that a progress bar is drawn as it would be without us."""
    source, sink = pty.openpty()
    size = fcntl.ioctl(sys.stderr, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(sink, termios.TIOCSWINSZ, size)
    return source, sink


def _ending(status: int, tail: str) -> str:
    """How a training has ended, in words; torchrun's own status says nothing of its workers'."""
    if found := _EXIT_CODE.search(tail):
        status = int(found[1])
    number = -status if status < 0 else status - 128
    if number == signal.SIGKILL:
        return "was killed, for want of memory perhaps"
    return f"was ended by signal {number}" if number > 0 else f"has failed with status {status}"


def reason(said: str) -> str:
    """The line that says best why a training has failed, of the last that it said."""
    said = _WORKER_FAILED.split(said, maxsplit=1)[0]
    found = (pattern.findall(said) for pattern in _REASONS)
    return next((lines[-1].strip() for lines in found if lines), "it said nothing")
