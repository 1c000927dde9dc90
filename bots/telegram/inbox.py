"""Updates on their way from wherever they come in to the one who takes them.

Knows when an update counts as taken, and nothing of what it holds.
"""

import asyncio
from collections.abc import AsyncIterator

from telegram import Update

from bots.bounded import remember
from bots.message import ChatMoved


class Parcel:
    """Something to take, and whether it was."""

    def __init__(self, content: Update | ChatMoved) -> None:
        self.content = content
        self.is_taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(self, *, is_taken: bool) -> None:
        """Tell those who wait; what was told once stays."""
        if not self.is_taken.done():
            self.is_taken.set_result(is_taken)


class Inbox:
    """Takes every update once, whatever brings it twice.

    Who brings one waits until it is taken, so that there are never more than senders are open: one for a
    poll, and as many as Telegram makes connections for a webhook.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Parcel | None] = asyncio.Queue()
        self._waiting: dict[int, Parcel] = {}
        self._taken: dict[int, None] = {}
        self._is_closed = False

    async def deliver(self, update: Update) -> bool:
        """Wait until `update` is taken; False if the inbox was closed first, and it has to come again."""
        number = update.update_id
        if number in self._taken:
            return True
        if self._is_closed:
            return False
        if number not in self._waiting:
            self._waiting[number] = Parcel(update)
            self._queue.put_nowait(self._waiting[number])
        # Of two who bring the same, one may be cancelled.
        return await asyncio.shield(self._waiting[number].is_taken)

    def announce(self, event: ChatMoved) -> None:
        """Add what we have learned in another way than from an update."""
        self._queue.put_nowait(Parcel(event))

    def close(self) -> None:
        """Let `contents` end; what was not taken was not delivered."""
        self._is_closed = True
        for parcel in self._waiting.values():
            parcel.settle(is_taken=False)
        self._queue.put_nowait(None)

    async def contents(self) -> AsyncIterator[Update | ChatMoved]:
        """What came in, in order. Each counts as taken when the next is asked for."""
        while (parcel := await self._queue.get()) is not None and not self._is_closed:
            yield parcel.content
            if isinstance(parcel.content, Update):
                number = parcel.content.update_id
                self._waiting.pop(number, None)
                remember(self._taken, number, None)
            parcel.settle(is_taken=True)
