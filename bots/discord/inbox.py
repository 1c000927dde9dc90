"""Events on their way from discord.py to the one who takes them.

Knows nothing of what they hold.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from bots.errors import BotError
from bots.message import Event

logger = logging.getLogger(__name__)

LIMIT = 10_000
"""Events that may wait. Whoever takes them waits for the database alone; more than this is a flood."""


class Inbox:
    """Takes events at any time; what comes while it is full is dropped, and counted.

    Attributes:
        num_dropped: Since the start.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        # Beyond the limit there is a place for the end, which always gets in.
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(limit + 1)
        self._limit = limit
        self._error: BotError | None = None
        self._is_ended = False
        self.num_dropped = 0

    def put(self, event: Event) -> None:
        """Add an event."""
        if self._is_ended:
            return
        if self._queue.qsize() < self._limit:
            self._queue.put_nowait(event)
            return
        self.num_dropped += 1
        if self.num_dropped & (self.num_dropped - 1) == 0:  # 1, 2, 4, 8, ...: a flood must not flood the log
            logger.error("%d events were dropped: they come faster than they are taken", self.num_dropped)

    def end(self, error: BotError | None) -> None:
        """Let `events` end after what is waiting, with `error` if there is one."""
        if not self._is_ended:
            self._is_ended, self._error = True, error
            self._queue.put_nowait(None)

    async def events(self) -> AsyncIterator[Event]:
        """What came in, in order."""
        while (event := await self._queue.get()) is not None:
            yield event
        if self._error is not None:
            raise self._error
