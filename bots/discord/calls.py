"""Calls to Discord: each within its time, and what goes wrong in our words.

Knows nothing of what is called.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bots.discord.errors import FOREIGN, translated
from bots.errors import AdapterClosedError, BotError

TIMEOUT_S = 15.0
"""For one call. discord.py also waits within it until a bucket of Discord's has room, which is 5 s at most for
messages."""
UPLOAD_TIMEOUT_S = 90.0
"""For one that brings a file: the largest one at 1 Mbit/s."""

T = TypeVar("T")


class Calls:
    """What can be called as long as the connection is open.

    Attributes:
        is_over: Whether it was closed; set by whoever closes it.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self.is_over = False

    async def make(self, work: Callable[[], Awaitable[T]], *, timeout_s: float | None = None) -> T:
        """The result of `work`, which has its usual time or `timeout_s`.

        Raises:
            BotError: Instead of whatever discord.py raises.
        """
        if self.is_over:
            raise AdapterClosedError("the connection to Discord was closed")
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                return await work()
        except (*FOREIGN, BotError, RuntimeError) as exc:  # aiohttp raises RuntimeError once its session is closed
            if self.is_over:
                raise AdapterClosedError("the connection to Discord was closed") from exc
            if isinstance(exc, BotError) or (error := translated(exc)) is None:
                raise
            raise error from exc
