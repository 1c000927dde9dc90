"""Reading and writing a file descriptor without a thread and without holding up the event loop.

A thread that sits in `read` can be neither cancelled nor left behind cleanly; readiness can. POSIX only.
"""

import asyncio
import os
from collections.abc import Callable

from bots.errors import AdapterClosedError

# A pipe that is ready takes this many bytes without blocking (PIPE_BUF on Linux; POSIX promises 512).
_WRITE_BYTES = 4096 if os.uname().sysname == "Linux" else 512
_READ_BYTES = 65536


class Descriptor:
    """A pipe, terminal or file that someone else opened and will close."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is_closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._turn_taking = asyncio.Lock()

    def close(self) -> None:
        """Refuse further use, and end a wait that is under way; the descriptor itself stays open."""
        self._is_closed = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(AdapterClosedError("closed while waiting"))

    async def read(self) -> bytes:
        """Return what is there, at least one byte; nothing at the end of the input."""
        loop = asyncio.get_running_loop()
        async with self._turn_taking:
            await self._ready(loop.add_reader, loop.remove_reader)
            return os.read(self._fd, _READ_BYTES)

    async def write(self, data: bytes) -> None:
        """Write all of `data`, one caller after the other.

        Raises:
            AdapterClosedError: Nobody reads any more.
        """
        loop = asyncio.get_running_loop()
        async with self._turn_taking:
            while data:
                await self._ready(loop.add_writer, loop.remove_writer)
                try:
                    data = data[os.write(self._fd, data[:_WRITE_BYTES]) :]
                except BrokenPipeError as exc:
                    raise AdapterClosedError("nobody reads the output any more") from exc

    async def _ready(self, add: Callable[[int, Callable[[], None]], object], remove: Callable[[int], object]) -> None:
        if self._is_closed:
            raise AdapterClosedError("the console was closed")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            add(self._fd, lambda: None if waiter.done() else waiter.set_result(None))
        except PermissionError:
            return  # a regular file or /dev/null: epoll refuses it, as it is ready at any time
        self._waiter = waiter
        try:
            await waiter
        finally:
            self._waiter = None
            remove(self._fd)
