"""The way out to one account: every call in its turn, under the account's and the chat's limits.

Decides when a call is made and whether it is tried again. What is said and where it is cut belongs to
`bots.replystream`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

from bots.adapter import Adapter, Caps
from bots.budget import Budget, Clock, Priority, Sleep
from bots.errors import BotError, RateLimitedError, UnreachableError
from bots.message import ChatRef, MessageId
from bots.split import split

logger = logging.getLogger(__name__)

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
GIVE_UP_AFTER_S = 86400.0
"""For how long the platform may stay silent until a message that must arrive is left to the next start."""

T = TypeVar("T")


class Outlet:
    """Calls to one adapter, paced."""

    def __init__(self, adapter: Adapter, *, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep) -> None:
        """Times of `clock` and `sleep` are in seconds."""
        self.adapter, self.clock, self.sleep = adapter, clock, sleep
        self._budget = Budget(adapter.pace, clock=clock, sleep=sleep)

    def caps(self, chat: ChatRef) -> Caps:
        """What the chat can do."""
        return self.adapter.caps(chat)

    def turn(self, chat: ChatRef, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Wait until a call may be made; the body makes one, by `call`."""
        caps = self.caps(chat)
        return self._budget.turn(_key(chat, caps), caps.pace, priority)

    async def call(self, chat: ChatRef, post: Callable[[], Awaitable[T]]) -> T:
        """Make one call whose turn has come; what the platform says about its limits is kept in mind."""
        caps = self.caps(chat)
        key, started_s = _key(chat, caps), self.clock()
        try:
            result = await post()
        except RateLimitedError as exc:
            self._budget.hold(key, caps.pace, exc.retry_after_s, is_account_wide=exc.is_account_wide)
            raise
        self._budget.observe(key, caps.pace, self.clock() - started_s)
        return result

    async def until_accepted(self, chat: ChatRef, post: Callable[[], Awaitable[T]], priority: Priority) -> T:
        """Make a call again and again until the platform takes it or refuses it for good.

        Raises:
            UnreachableError: The platform has not answered for `GIVE_UP_AFTER_S`.
            BotError: It was refused for good.
        """
        patience = Patience(self.clock, self.sleep)
        while True:
            try:
                async with self.turn(chat, priority):
                    return await self.call(chat, post)
            except (RateLimitedError, UnreachableError) as exc:
                await patience.wait_after(exc, chat)

    def in_parts(self, chat: ChatRef, text: str) -> list[str]:
        """A text as the messages that it takes to say it there."""
        caps = self.caps(chat)
        return split(text, caps.max_length, caps.length) if caps.max_length else [text]

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:
        """Say something that is no part of a conversation; it is only logged if nobody can be told."""
        try:
            for part in self.in_parts(chat, text):
                post = partial(self.adapter.notice, chat, part, reply_to=reply_to)
                await self.until_accepted(chat, post, Priority.MESSAGE)
        except BotError as exc:
            logger.warning("a notice did not reach %s: %s", chat.key, exc)

    async def hand_over(self, chat: ChatRef, name: str, data: bytes, *, reply_to: MessageId) -> None:
        """Give a file to the person who wrote `reply_to`.

        Raises:
            UnsupportedError: Others would see it, or there are no files here.
            BotError: It was refused for good, or the platform has not answered for a long time.
        """
        post = partial(self.adapter.hand_over, chat, name, data, reply_to=reply_to)
        await self.until_accepted(chat, post, Priority.MESSAGE)

    async def typing(self, chat: ChatRef) -> None:
        """Show that an answer is coming, if that takes nothing from what is more important."""
        caps = self.caps(chat)
        if caps.typing_s is None:
            return
        with self._budget.try_turn(_key(chat, caps), caps.pace, Priority.TYPING) as may_call:
            try:
                if may_call:
                    await self.call(chat, lambda: self.adapter.typing(chat))
            except BotError as exc:
                logger.debug("typing was refused in %s: %s", chat.key, exc)

    def turn_to_draft(self, chat: ChatRef) -> AbstractAsyncContextManager[None]:
        """Wait until a draft may be shown. Drafts keep to the account's limit; a chat's own is for what stays."""
        return self._budget.turn(chat, None, Priority.EDIT)


class Patience:
    """How often, and for how long, something that must arrive is tried again."""

    def __init__(self, clock: Clock, sleep: Sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._silent_since_s: float | None = None
        self._pause_s = FIRST_RETRY_S

    async def wait_after(self, error: RateLimitedError | UnreachableError, chat: ChatRef) -> None:
        """Wait before the next try.

        Raises:
            UnreachableError: It is `error`, and there has been nothing else for `GIVE_UP_AFTER_S`.
        """
        if isinstance(error, RateLimitedError):
            self._silent_since_s = None  # it answers
            await self._sleep(error.retry_after_s)
            return
        self._silent_since_s = self._clock() if self._silent_since_s is None else self._silent_since_s
        if self._clock() - self._silent_since_s > GIVE_UP_AFTER_S:
            raise error
        logger.info("%s: %s", chat.key, error)
        await self._sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LAST_RETRY_S)


def _key(chat: ChatRef, caps: Caps) -> ChatRef:
    """What shares a limit: on some platforms all threads of a chat."""
    return chat.parent if caps.threads_share_pace else chat
