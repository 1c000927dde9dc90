"""What a plugin owns while it is loaded: registrations and tasks. Closing the scope leaves nothing of them behind.

Knows nothing of what is registered.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

FINISH_WITHIN_S = 2.0
"""How long a call under way may take to come to its end."""
END_WITHIN_S = 5.0
"""How long a cancelled task may take to clean up."""


class Handle:
    """One registration."""

    def __init__(self, scope: "Scope", undo: Callable[[], object]) -> None:
        self._scope, self._undo = scope, undo

    def remove(self) -> None:
        """Take it back before the plugin ends; a second time does nothing."""
        if self._scope.disown(self):
            self._undo()


class Scope:
    """Everything of one loaded plugin.

    Attributes:
        plugin: Its name.
        is_closed: Whether it owns nothing any more, and never will.
    """

    def __init__(self, plugin: str) -> None:
        self.plugin, self.is_closed = plugin, False
        self._handles: dict[Handle, None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._calls: set[asyncio.Task[Any]] = set()

    @property
    def num_registrations(self) -> int:
        """How much is registered."""
        return len(self._handles)

    @property
    def num_tasks(self) -> int:
        """How many tasks are running."""
        return len(self._tasks | self._calls)

    def own(self, undo: Callable[[], object]) -> Handle:
        """Take note of a registration, which `undo` takes back.

        Raises:
            RuntimeError: The plugin was unloaded; nothing can be registered for it any more.
        """
        if self.is_closed:
            undo()
            raise RuntimeError(f"the plugin {self.plugin} was unloaded; register in setup")
        handle = Handle(self, undo)
        self._handles[handle] = None
        return handle

    def disown(self, handle: Handle) -> bool:
        """Let go of a registration without taking it back; False if it is not owned."""
        return self._handles.pop(handle, self) is None

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run something in the background, until it ends or the plugin is unloaded.

        Raises:
            RuntimeError: The plugin was unloaded.
        """
        return self._start(work, name, self._tasks)

    def call(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run something that ends soon, and that may come to its end when the plugin is unloaded.

        Raises:
            RuntimeError: The plugin was unloaded.
        """
        return self._start(work, name, self._calls)

    def _start(self, work: Coroutine[Any, Any, T], name: str, tasks: set[asyncio.Task[Any]]) -> asyncio.Task[T]:
        if self.is_closed:
            work.close()
            raise RuntimeError(f"the plugin {self.plugin} was unloaded")
        # No TaskGroup: a task that does not end when it is cancelled would hold up everybody else's end.
        task = asyncio.get_running_loop().create_task(work, name=f"{self.plugin}: {name}")
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def close(self) -> None:
        """Take back all registrations, newest first; end all tasks but the one that asks for it."""
        self.is_closed = True
        while self._handles:
            next(reversed(self._handles)).remove()
        ourselves = asyncio.current_task()
        await _ended(self._calls - {ourselves}, FINISH_WITHIN_S)
        tasks = (self._tasks | self._calls) - {ourselves}
        for task in tasks:
            task.cancel()
        for task in await _ended(tasks, END_WITHIN_S):
            logger.error("a task of a plugin does not end though it was cancelled: %s", task.get_name())


async def _ended(tasks: Collection[asyncio.Task[Any]], within_s: float) -> Collection[asyncio.Task[Any]]:
    """Wait for tasks; returns those that are late."""
    return (await asyncio.wait(tasks, timeout=within_s))[1] if tasks else ()
