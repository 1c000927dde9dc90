"""Runs what plugins brought, so that whatever goes wrong with it goes wrong with it alone.

A handler that raises or takes too long is skipped, and reported; after repeated faults its plugin is switched off.
Knows nothing of what handlers do.
"""

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from bots.budget import Clock
from bots.errors import BotError
from bots.plugins.scope import Scope
from bots.plugins.watchdog import BlockedLoopError, Watchdog
from engine.errors import EngineError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class HandlerFailedError(Exception):
    """A handler raised, took too long, or its plugin is gone; it was reported already."""


@dataclass(frozen=True)
class Fault:
    """Something of a plugin that went wrong.

    Attributes:
        what: What failed, for instance `/roll`.
        reason: How, in words.
        error: What it raised; None if it only took too long.
    """

    plugin: str
    what: str
    reason: str
    error: BaseException | None = None


@dataclass(frozen=True)
class FaultLimit:
    """After how many faults within how many seconds a plugin is switched off."""

    number: int = 5
    within_s: float = 600.0


class Guard:
    """Watches over all plugins.

    Attributes:
        num_running: Handlers that are at work.
        on_fault: Is told of everything of a plugin that goes wrong; by default nobody is.
    """

    def __init__(
        self, limit: FaultLimit, clock: Clock, watchdog: Watchdog, give_up: Callable[[Scope, str], None]
    ) -> None:
        """`give_up` is told of a plugin that has failed too often, with the last reason."""
        self._limit, self._clock, self._watchdog, self._give_up = limit, clock, watchdog, give_up
        self._faults: dict[Scope, deque[float]] = {}
        self.num_running = 0
        self.on_fault: Callable[[Fault], None] = lambda _: None

    async def run(self, scope: Scope, what: str, handler: Callable[[], Awaitable[T]], within_s: float) -> T:
        """Run a handler, in a task of its own: one that does not listen when it is cancelled holds up nobody.

        Raises:
            HandlerFailedError: It has failed.
        """
        if scope.is_closed:
            raise HandlerFailedError(f"{scope.plugin} is not loaded any more")
        task = scope.call(self._watchdog.watched(f"{what} of the plugin {scope.plugin}", _awaited(handler)), what)
        self.num_running += 1
        try:
            is_done = await is_done_within(task, within_s)
        finally:
            self.num_running -= 1
        if not is_done:
            raise self._fault(scope, what, f"took longer than {within_s:g} s")
        if task.cancelled():
            if scope.is_closed:
                raise HandlerFailedError(f"{scope.plugin} was unloaded meanwhile")
            raise self._fault(scope, what, "was cancelled from within")
        if (error := task.exception()) is not None:
            raise self._failure(scope, what, error)
        return task.result()

    def forget(self, scope: Scope) -> None:
        """Its plugin is loaded no more."""
        self._faults.pop(scope, None)

    def test(self, scope: Scope, what: str, question: Callable[[], object]) -> bool:
        """The answer to a quick question that awaits nothing; False if it fails."""
        try:
            with self._watchdog.watching(f"{what} of the plugin {scope.plugin}"):
                return bool(question())
        except (Exception, BlockedLoopError, SystemExit) as error:
            self._failure(scope, what, error)
            return False

    def spawn(self, scope: Scope, work: Coroutine[Any, Any, object], what: str) -> asyncio.Task[object]:
        """Run something in the background for as long as the plugin is loaded; its failure is a fault."""

        def look(task: asyncio.Task[object]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._failure(scope, what, error)

        task = scope.spawn(self._watchdog.watched(f"{what} of the plugin {scope.plugin}", work), what)
        task.add_done_callback(look)
        return task

    def _failure(self, scope: Scope, what: str, error: BaseException) -> HandlerFailedError:
        if isinstance(error, BotError | EngineError):  # of ours, or of the platform's: no fault of the plugin's
            logger.warning("%s of the plugin %s came to nothing: %s", what, scope.plugin, error)
            return HandlerFailedError(str(error))
        reason = in_words(error)
        logger.error("%s of the plugin %s failed: %s\n%s", what, scope.plugin, reason, traceback_of(error))
        return self._fault(scope, what, f"failed with {reason}", error)

    def _fault(self, scope: Scope, what: str, reason: str, error: BaseException | None = None) -> HandlerFailedError:
        faults = self._faults.setdefault(scope, deque(maxlen=self._limit.number))
        now_s = self._clock()
        faults.append(now_s)
        logger.warning("the plugin %s: %s %s", scope.plugin, what, reason)
        self.on_fault(Fault(scope.plugin, what, reason, error))
        if len(faults) == self._limit.number and now_s - faults[0] <= self._limit.within_s:
            faults.clear()
            self._give_up(scope, f"{what} {reason}")
        return HandlerFailedError(f"{what} {reason}")


def in_words(error: BaseException) -> str:
    """Kind and message of an error, whatever that is."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error of a plugin's own, which cannot even say what it is
        text = "which cannot be shown"
    return f"{type(error).__name__}: {text}"


def traceback_of(error: BaseException) -> str:
    """The traceback, without the messages of errors: logging those may fail, as they are a plugin's."""
    return "".join(traceback.format_tb(error.__traceback__)).rstrip()


async def is_done_within(task: asyncio.Task[Any], within_s: float) -> bool:
    """Wait for a task. One that is late is cancelled and left behind, as it may not listen even then."""
    try:
        await asyncio.wait({task}, timeout=within_s)
        return task.done()
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_look_at)


async def _awaited(handler: Callable[[], Awaitable[T]]) -> T:
    return await handler()


def _look_at(task: asyncio.Task[Any]) -> None:
    """Asyncio complains about an error that nobody has looked at."""
    if not task.cancelled():
        task.exception()
