"""Ending a program that keeps running when it is told to."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from typing import Protocol


class Closable(Protocol):
    """What can be asked to come to its end."""

    @property
    def is_closing(self) -> bool:
        """Whether it has been asked to."""
        ...

    def close(self) -> None:
        """Ask it to."""
        ...


@contextlib.asynccontextmanager
async def closed_by_signals(service: Closable) -> AsyncIterator[None]:
    """Close the service on SIGTERM and on Ctrl-C; a second one cancels the task that waits for it."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # a coroutine runs in a task

    def close() -> None:
        if service.is_closing:
            task.cancel()
        service.close()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, close)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
