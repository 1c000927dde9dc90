"""A reply that is shown while it is written, and posted once it is whole.

Decides when a draft goes out and what is retried. Knows nothing of engines, and of a platform only what
its `Caps` say.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from bots.adapter import Adapter
from bots.companion import companion
from bots.errors import BotError, RateLimitedError
from bots.message import ChatRef, MessageId

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[object]]
T = TypeVar("T")


async def until_accepted(post: Callable[[], Awaitable[T]], sleep: Sleep) -> T:
    """Call `post` until the platform takes it, waiting as long as each refusal asks for."""
    while True:
        try:
            return await post()
        except RateLimitedError as exc:
            await sleep(exc.retry_after_s)


class ReplyStream:
    """One reply to one chat; open it with `ReplyStream.open`.

    Drafts may be late, skipped or fail: the newest text wins, one is under way at a time, and none comes
    sooner after the last than `Caps.draft_interval_s`. The final text may not: `finish` sends it until it
    is accepted. Leaving the context without `finish` gives the reply up.
    """

    def __init__(
        self,
        adapter: Adapter,
        chat: ChatRef,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Times of `clock` and of `sleep` are in seconds."""
        self._adapter, self._chat, self._clock, self._sleep = adapter, chat, clock, sleep
        self._pieces: list[str] = []
        self._hint = self._drafted = ""
        self._is_over = False
        self._changed = asyncio.Event()
        self._drafting = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        adapter: Adapter,
        chat: ChatRef,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> AsyncIterator[Self]:
        """Begin a reply; its drafts are sent beside the body and stop with it."""
        stream = cls(adapter, chat, clock=clock, sleep=sleep)
        async with companion(stream._show_drafts()):
            try:
                yield stream
            finally:
                stream.cancel()

    @property
    def text(self) -> str:
        """What people get to see: the pieces so far, without the white space around them."""
        return "".join(self._pieces).strip()

    def push(self, piece: str) -> None:
        """Add `piece` to the reply."""
        self._pieces.append(piece)
        self._changed.set()

    def hint(self, text: str) -> None:
        """Show `text` as long as the reply has none of its own; it never becomes part of the reply."""
        self._hint = text
        self._changed.set()

    def cancel(self) -> None:
        """Give the reply up: no draft starts from now on, and nothing is posted."""
        self._is_over = True

    async def finish(self) -> tuple[MessageId, ...]:
        """Post the reply, once a draft that is under way has arrived; an empty one is not posted.

        Returns:
            The messages that hold it, in order.

        Raises:
            BotError: The platform refused it for good.
        """
        async with self._drafting:
            if self._is_over:
                return ()
            self._is_over = True
        text = self.text
        if not text:
            return ()
        return (await until_accepted(lambda: self._adapter.send(self._chat, text), self._sleep),)

    async def _show_drafts(self) -> None:
        interval_s = self._adapter.caps(self._chat).draft_interval_s
        if interval_s is None:
            return
        while True:
            await self._changed.wait()
            self._changed.clear()
            started_s = self._clock()
            hold_s = interval_s
            async with self._drafting:
                text = self.text or self._hint
                if self._is_over or text == self._drafted:
                    continue
                hold_s = max(hold_s, await self._draft(text))
            # Sleeping here and not before the draft lets the first words out at once, and `_changed`
            # collects what comes meanwhile.
            await self._sleep(max(0.0, started_s + hold_s - self._clock()))

    async def _draft(self, text: str) -> float:
        """Try one draft; returns for how many seconds the platform wants no other one."""
        try:
            await self._adapter.draft(self._chat, text)
        except RateLimitedError as exc:
            self._changed.set()
            return exc.retry_after_s
        except BotError as exc:
            logger.info("a draft to %s was refused: %s", self._chat.key, exc)
        else:
            self._drafted = text
        return 0.0
