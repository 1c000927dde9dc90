"""The scripted console as a process of its own."""

import codecs
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

from vt_screen import Screen

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-X", "dev", str(HERE / "scripted_console.py")]


def environment(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(HERE.parents[1]),
        "PROMPT_TOOLKIT_NO_CPR": "1",
        "TERM": "xterm",
        "PYTHONWARNINGS": "error",
        **more,
    }


def start(*arguments: str, stdin=subprocess.PIPE, stdout=subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *arguments], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=environment()
    )


def run(given: bytes, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and error output of a console that reads `given` from a pipe."""
    with start(*arguments) as process:
        output, errors = process.communicate(given, timeout=30)
    return process.returncode, output.decode(), errors.decode()


class Terminal:
    """A person in front of a console in a real pseudo-terminal of 80 columns."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self._master = process, master
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.screen = Screen(80)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, text: str, *, gone: bool = False) -> str:
        """Look at the screen until `text` is there, or gone; returns all of it."""
        while (text in self.screen.text) is gone:
            assert self._look(), f"the console ended without {text!r}:\n{self.screen.text}"
        return self.screen.text

    def wait(self) -> int:
        """Look until the console ends; returns its exit code."""
        while self._look():
            pass
        return self.process.wait(timeout=30)

    def _look(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 15)
        assert ready, f"nothing happens any more:\n{self.screen.text}"
        try:
            data = os.read(self._master, 4096)
        except OSError:  # what Linux says when the other end is closed
            return False
        self.screen.feed(self._decoder.decode(data))
        return bool(data)


@contextlib.contextmanager
def terminal(state: Path, *arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(
            XDG_STATE_HOME=str(state),
            DATABASE_URL=f"sqlite:///{state}/chat.db",
            DATABASE_KEY_FILE=str(state / "chat.keys"),
        ),
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
