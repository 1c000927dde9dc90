"""A reply that is shown while it is written, and stays once it is whole.

Decides what stands in the chat at each moment: typing, a draft or messages that grow, and in the end the whole
text in as many messages as it takes. Knows nothing of engines, and of a platform only what its `Caps` say.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Self

from bots.budget import Priority
from bots.buttons import STOP
from bots.companion import companion
from bots.errors import (
    BotError,
    ForbiddenError,
    MessageTooLongError,
    RateLimitedError,
    UnreachableError,
    UnsupportedError,
)
from bots.message import Button, ChatRef, MessageId
from bots.outlet import Outlet, Patience
from bots.posts import Journal, Post, Posts, Step, Wanted
from bots.split import split

logger = logging.getLogger(__name__)

REFUSED_PAUSE_S = 5.0
"""How long nothing is shown after something that may fail has failed."""

MIN_LENGTH = 100


class ReplyStream:
    """One reply to one chat; open it with `ReplyStream.open`.

    What is shown while the reply grows may be late, skipped or refused: the newest text wins, one call is
    under way at a time, and each waits for its turn in the chat's budget. The final text may not: `finish`
    posts it until it is accepted. Leaving the context without `finish` leaves what is shown.
    """

    def __init__(
        self,
        outlet: Outlet,
        chat: ChatRef,
        journal: Journal,
        *,
        question: MessageId | None = None,
        is_pointing: bool = True,
        posts: Sequence[Post] = (),
    ) -> None:
        """Prepare; nothing is shown before the context is entered.

        Args:
            outlet: The way to the platform.
            chat: Where.
            journal: Where it is noted what was posted.
            question: The message that is answered.
            is_pointing: Whether people are shown which one that is.
            posts: What an earlier run has posted of the same reply: it is edited, not sent again.
        """
        self._outlet, self._chat = outlet, chat
        self._posts = Posts(
            outlet.adapter, chat, journal, outlet.clock, question=question, is_pointing=is_pointing, posts=posts
        )
        self._caps = outlet.caps(chat)
        self._limit = self._caps.max_length
        self._has_drafts = self._caps.draft_interval_s is not None
        self._text = self._hint = self._drafted = ""
        self._is_over = False
        self._changed = asyncio.Event()
        self._showing = asyncio.Lock()
        self._show_task: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        outlet: Outlet,
        chat: ChatRef,
        journal: Journal,
        *,
        question: MessageId | None = None,
        is_pointing: bool = True,
        posts: Sequence[Post] = (),
    ) -> AsyncIterator[Self]:
        """Begin a reply; it is shown beside the body, and that stops with it. The arguments are the class's."""
        stream = cls(outlet, chat, journal, question=question, is_pointing=is_pointing, posts=posts)
        async with companion(stream._show()) as show_task:
            stream._show_task = show_task
            try:
                yield stream
            finally:
                stream.cancel()

    @property
    def text(self) -> str:
        """The reply so far, without the white space around it."""
        return self._text.strip()

    @property
    def message_ids(self) -> tuple[MessageId, ...]:
        """The messages that it stands in."""
        return self._posts.ids

    def push(self, piece: str) -> None:
        """Add `piece` to the reply."""
        self.replace(self._text + piece)

    def replace(self, text: str) -> None:
        """Let the reply be `text` from now on."""
        self._text = text
        self._changed.set()

    def hint(self, text: str) -> None:
        """Show `text` as long as the reply has none of its own; it never becomes part of the reply."""
        self._hint = text
        self._changed.set()

    def cancel(self) -> None:
        """Show nothing more, and post nothing; what stands there stays."""
        self._is_over = True

    async def finish(self, buttons: Sequence[Button] = ()) -> tuple[MessageId, ...]:
        """Post the reply whole, with `buttons` below it; of an empty one, nothing stays.

        Returns:
            The messages that hold it, in order.

        Raises:
            BotError: The platform refused it for good, or has not answered for a long time.
        """
        if self._is_over:
            return ()
        await self._stop_showing()
        self._hint = ""
        patience, has_work = Patience(self._outlet.clock, self._outlet.sleep), True
        while has_work:
            try:
                has_work = await self._step_towards(
                    lambda: Wanted(self._parts(), tuple(buttons), is_final=True), Priority.FINAL
                )
            except (RateLimitedError, UnreachableError) as exc:
                await patience.wait_after(exc, self._chat)
        return self._posts.ids

    async def _stop_showing(self) -> None:
        async with self._showing:  # a call that is under way arrives first
            self._is_over = True
        if self._show_task is not None:
            self._show_task.cancel()

    # What is shown while the reply grows.

    async def _show(self) -> None:
        started_s = self._outlet.clock()
        await self._type_until_changed()
        while not self._is_over:
            if not self._shown_text():
                self._changed.clear()
                await self._type_until_changed()
                continue
            if not self._has_drafts and not self._posts.ids:
                await self._outlet.sleep(max(0.0, started_s + self._caps.first_text_s - self._outlet.clock()))
            await self._outlet.sleep(await self._show_once())
            async with companion(self._let_draft_fade()):
                await self._changed.wait()

    async def _type_until_changed(self) -> None:
        """Show that something is coming, for as long as there is nothing to show."""
        while not self._changed.is_set():
            await self._outlet.typing(self._chat)
            if self._caps.typing_s is None:
                await self._changed.wait()
                return
            async with companion(self._keep_typing(self._caps.typing_s * 0.8)):
                await self._changed.wait()

    async def _keep_typing(self, interval_s: float) -> None:
        while True:
            await self._outlet.sleep(interval_s)
            await self._outlet.typing(self._chat)

    async def _let_draft_fade(self) -> None:
        """A draft that the platform is about to take away is shown again."""
        lifetime_s = self._caps.draft_lifetime_s
        if self._has_drafts and lifetime_s is not None:
            await self._outlet.sleep(lifetime_s)
            self._drafted = ""
            self._changed.set()

    def _shown_text(self) -> str:
        return self.text or self._hint

    async def _show_once(self) -> float:
        """Bring the chat up to date if it lets us; returns for how many seconds to leave it alone."""
        self._changed.clear()
        started_s = self._outlet.clock()
        try:
            if self._has_drafts:
                await self._show_draft()
                return max(0.0, started_s + (self._caps.draft_interval_s or 0.0) - self._outlet.clock())
            if self._caps.can_edit:
                await self._show_messages()
        except RateLimitedError as exc:
            self._changed.set()
            return exc.retry_after_s
        except UnsupportedError:
            self._has_drafts = False
            self._changed.set()
        except ForbiddenError as exc:
            logger.info("%s takes no part of a reply: %s", self._chat.key, exc)
            self._caps = replace(self._caps, can_edit=False)
        except BotError as exc:
            logger.info("a part of a reply was not shown in %s: %s", self._chat.key, exc)
            self._changed.set()
            return REFUSED_PAUSE_S
        return 0.0

    async def _show_messages(self) -> None:
        while not self._is_over:
            priority = Priority.EDIT if self._posts.ids else Priority.MESSAGE
            if not await self._step_towards(lambda: Wanted(self._parts(), (STOP,)), priority):
                return

    async def _show_draft(self) -> None:
        """Parts that are full become messages; what grows is a draft."""
        while not self._is_over:
            if not await self._step_towards(lambda: Wanted(self._parts()[:-1]), Priority.MESSAGE):
                break
        async with self._outlet.turn_to_draft(self._chat), self._showing:
            growing = self._parts()[len(self._posts) :]
            if self._is_over or len(growing) != 1 or growing[0] == self._drafted:
                return
            await self._outlet.adapter.draft(self._chat, growing[0])
            self._drafted = growing[0]

    # What people should see.

    def _parts(self) -> list[str]:
        text = self._shown_text()
        if not text:
            return []
        return split(text, self._limit, self._caps.length) if self._limit else [text]

    async def _step_towards(self, wanted: Callable[[], Wanted], priority: Priority) -> bool:
        """Wait for a turn; then do what is next by that time, as the text may have grown.

        Returns:
            Whether there was anything to do.
        """
        step = self._posts.next_step(wanted())
        if step is None:
            return False
        await self._posts.prepare(step)
        async with self._outlet.turn(self._chat, priority), self._showing:
            step = self._posts.next_step(wanted())
            if step is not None and (wanted().is_final or not self._is_over):
                await self._outlet.call(self._chat, partial(self._take, step))
        return True

    async def _take(self, step: Step) -> None:
        try:
            await self._posts.take(step)
        except MessageTooLongError as exc:
            self._shorten(exc)
        self._drafted = ""

    def _shorten(self, error: MessageTooLongError) -> None:
        """The platform counts otherwise than we do."""
        limit = int((self._limit or error.limit) * 0.75)
        if limit < MIN_LENGTH:
            raise error
        logger.warning("%s; cutting at %d from here on", error, limit)
        self._limit = limit
