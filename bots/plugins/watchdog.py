"""Ends code that holds up the event loop, as a handler does that computes for ever or sleeps without `await`.

Cancelling cannot help there: nothing else runs until the handler lets go. So a thread looks how long the current step
takes, and sends this process a signal when that is too long; Python runs the signal's handler inside the very code that
is stuck, where it raises. That works for Python code and `time.sleep`, and not for C code that never looks at signals,
such as a regular expression that backtracks. Knows nothing of plugins.
"""

import logging
import signal
import threading
import time
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

BLOCKED_FOR_S = 5.0
"""Nobody gets an answer in that time; a step of healthy code takes milliseconds."""
LOOK_EVERY_S = 0.25


class BlockedLoopError(BaseException):
    """Raised inside code that holds up the event loop. Not an Exception, so that `except Exception` lets it pass."""


@dataclass(frozen=True)
class _Step:
    what: str
    since_s: float


class Watchdog:
    """Watches steps, as a context. Without effect where there are no such signals, and outside the main thread."""

    def __init__(self, limit_s: float | None = None) -> None:
        """`limit_s` is how long a step may take, in seconds."""
        self._limit_s = BLOCKED_FOR_S if limit_s is None else limit_s
        self._step: _Step | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._before: Any = None

    def __enter__(self) -> Self:
        if hasattr(signal, "pthread_kill") and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGVTALRM, self._interrupt)
            self._thread = threading.Thread(target=self._watch, name="plugin watchdog", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            signal.signal(signal.SIGVTALRM, self._before)

    @contextmanager
    def watching(self, what: str) -> Iterator[None]:
        """Watch the body, which awaits nothing; what was being watched goes on after it."""
        before, self._step = self._step, _Step(what, time.monotonic())
        try:
            yield
        finally:
            self._step = before and _Step(before.what, time.monotonic())

    def watched(self, what: str, work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """The same coroutine, with each of its steps watched."""
        return Watched(self, what, work)

    def _watch(self) -> None:
        main = threading.main_thread().ident
        assert main is not None  # it runs
        while not self._ended.wait(min(LOOK_EVERY_S, self._limit_s / 2)):
            if self._is_overdue(self._step):
                signal.pthread_kill(main, signal.SIGVTALRM)

    def _is_overdue(self, step: _Step | None) -> bool:
        return step is not None and time.monotonic() - step.since_s > self._limit_s

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        step = self._step  # the step that was overdue may have ended while the signal was on its way
        if step is not None and self._is_overdue(step):
            raise BlockedLoopError(f"{step.what} held up everything for more than {self._limit_s:g} s")


class Watched(Coroutine[Any, Any, T]):
    """A coroutine whose steps are watched."""

    def __init__(self, watchdog: Watchdog, what: str, work: Coroutine[Any, Any, T]) -> None:
        self._watchdog, self._what, self._work = watchdog, what, work

    def send(self, value: Any) -> Any:
        """Go on with its next step."""
        with self._watchdog.watching(self._what), self._staying():
            return self._work.send(value)

    @contextmanager
    def _staying(self) -> Iterator[None]:
        try:
            yield
        except SystemExit as exc:  # which asyncio would let end the process
            raise RuntimeError(f"{self._what} wanted to end the process ({exc})") from exc

    def throw(self, *error: Any) -> Any:
        """Raise inside it, and go on."""
        with self._watchdog.watching(self._what), self._staying():
            return self._work.throw(*error)

    def close(self) -> None:
        """End it."""
        with self._watchdog.watching(self._what):
            self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        raise TypeError("a watched coroutine is for a task of its own")
