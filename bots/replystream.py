"""A reply that is shown while it is written, and stays once it is whole.

Decides what stands in the chat at each moment: typing, a draft or messages that grow, and in the end the whole
text in as many messages as it takes. Knows nothing of engines, and of a platform only what its `Caps` say.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol, Self

from bots.budget import Priority
from bots.companion import companion
from bots.errors import (
    BotError,
    ForbiddenError,
    MessageGoneError,
    MessageTooLongError,
    RateLimitedError,
    UnreachableError,
    UnsupportedError,
)
from bots.message import Button, ChatRef, MessageId
from bots.outlet import Outlet, Patience
from bots.split import split

logger = logging.getLogger(__name__)

FIRST_TEXT_S = 1.0
"""How long a reply is typed before its first words are posted: a short one then is posted once and whole."""

REFUSED_PAUSE_S = 5.0
"""How long nothing is shown after something that may fail has failed."""

MIN_LENGTH = 100


@dataclass(frozen=True)
class Post:
    """One message of a reply.

    Attributes:
        id: None if the platform does not have it, or nobody knows whether it has.
        nonce: What it is sent with, so that sending it again makes no second message where that is possible.
        is_tried: Whether it may have arrived.
        text: What it says; None if that is not known.
        posted_s: When it was posted, by the stream's clock.
    """

    id: MessageId | None
    nonce: str
    is_tried: bool = True
    text: str | None = None
    buttons: tuple[Button, ...] = ()
    posted_s: float = 0.0


class Journal(Protocol):
    """Where a reply writes down what it posts, so that it can be taken up again after a crash."""

    async def posting(self, part: int, nonce: str) -> None:
        """Message `part` of the reply is about to be sent; durable on return."""
        ...

    async def posted(self, part: int, message_id: MessageId) -> None:
        """The platform has accepted it."""
        ...

    async def unposted(self, part: int) -> None:
        """It is gone."""
        ...

    async def knows(self, message_id: MessageId) -> bool:
        """Whether the message is a part of this answer or of another one."""
        ...


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
        self._outlet, self._chat, self._journal = outlet, chat, journal
        self._question, self._is_pointing, self._posts = question, is_pointing, list(posts)
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
        patience = Patience(self._outlet.clock, self._outlet.sleep)
        while self._next_step(tuple(buttons), is_final=True) is not None:
            try:
                await self._take_step(tuple(buttons), Priority.FINAL, is_final=True)
            except (RateLimitedError, UnreachableError) as exc:
                await patience.wait_after(exc, self._chat)
        return tuple(post.id for post in self._posts if post.id is not None)

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
            if not self._has_drafts and not self._is_shown:
                await self._outlet.sleep(max(0.0, started_s + FIRST_TEXT_S - self._outlet.clock()))
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

    @property
    def _is_shown(self) -> bool:
        return any(post.id is not None for post in self._posts)

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
                await self._show_messages((Button.STOP,))
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

    async def _show_messages(self, buttons: tuple[Button, ...]) -> None:
        while not self._is_over and self._next_step(buttons) is not None:
            await self._take_step(buttons, Priority.EDIT if self._is_shown else Priority.MESSAGE)

    async def _show_draft(self) -> None:
        """Parts that are full become messages; what grows is a draft."""
        full = self._parts()[:-1]
        while not self._is_over and self._next_step((), full) is not None:
            await self._take_step((), Priority.MESSAGE, full)
        async with self._outlet.turn_to_draft(self._chat), self._showing:
            growing = self._parts()[len(self._posts) :]
            if self._is_over or len(growing) != 1 or growing[0] == self._drafted:
                return
            await self._outlet.adapter.draft(self._chat, growing[0])
            self._drafted = growing[0]

    # What has to be done so that the chat shows what it should.

    def _parts(self, *, is_final: bool = False) -> list[str]:
        text = self.text if is_final else self._shown_text()
        if not text:
            return []
        return split(text, self._limit, self._caps.length) if self._limit else [text]

    def _next_step(
        self, buttons: tuple[Button, ...], parts: list[str] | None = None, *, is_final: bool = False
    ) -> "_Step | None":
        """The first place where the chat does not show yet what it should."""
        parts = self._parts(is_final=is_final) if parts is None else parts
        for number, text in enumerate(parts):
            below = buttons if number == len(parts) - 1 and self._caps.has_buttons else ()
            post = self._posts[number] if number < len(self._posts) else None
            if post is None or post.id is None:
                # As long as the reply grows, every message begins with buttons: by them it can be found again.
                return _Step(number, text, below if is_final or not self._caps.has_buttons else buttons)
            if (post.text, post.buttons) != (text, below):
                return _Step(number, text, below)
        if is_final and len(self._posts) > len(parts):
            return _Step(len(parts), None, ())
        return None

    async def _take_step(
        self,
        buttons: tuple[Button, ...],
        priority: Priority,
        parts: list[str] | None = None,
        *,
        is_final: bool = False,
    ) -> None:
        """Wait for a turn; then do what is next by that time: the text may have grown."""
        step = self._next_step(buttons, parts, is_final=is_final)
        if step is not None and step.number == len(self._posts):
            # Before the turn, which would be over by the time that the journal is written.
            post = Post(None, secrets.token_hex(10), is_tried=False)
            await self._journal.posting(step.number, post.nonce)
            self._posts.append(post)
        async with self._outlet.turn(self._chat, priority), self._showing:
            if self._is_over and not is_final:
                return
            step = self._next_step(buttons, parts, is_final=is_final)
            if step is None:
                return
            try:
                await self._outlet.call(self._chat, lambda: self._do(step))
            except MessageTooLongError as exc:
                self._shorten(exc)

    async def _do(self, step: "_Step") -> None:
        post = self._posts[step.number]
        if step.text is None or self._is_too_old(post):
            await self._take_back_from(step.number)
        elif post.id is None:
            await self._send(step, post)
        else:
            await self._edit(step, post.id)

    async def _send(self, step: "_Step", post: Post) -> None:
        self._posts[step.number] = replace(post, is_tried=True)
        message_id = await self._found(step, post) or await self._outlet.adapter.send(
            self._chat,
            step.text or "",
            reply_to=self._question if step.number == 0 and self._is_pointing else None,
            buttons=step.buttons,
            nonce=post.nonce,
        )
        # Where the first try did arrive, the platform keeps that text: an edit has to follow.
        text = None if post.is_tried and self._caps.can_edit else step.text
        self._posts[step.number] = Post(message_id, post.nonce, True, text, step.buttons, self._outlet.clock())
        self._drafted = ""
        await self._journal.posted(step.number, message_id)

    async def _found(self, step: "_Step", post: Post) -> MessageId | None:
        """Look for a message that may have arrived so long ago that its nonce does not tell any more."""
        lifetime_s = self._caps.nonce_lifetime_s
        after = self._posts[step.number - 1].id if step.number else self._question
        if not (lifetime_s and post.is_tried and after) or self._outlet.clock() - post.posted_s <= lifetime_s:
            return None
        for message_id in await self._outlet.adapter.answers_after(self._chat, after, step.text or ""):
            if not await self._journal.knows(message_id):
                return message_id
        return None

    async def _edit(self, step: "_Step", message_id: MessageId) -> None:
        try:
            await self._outlet.adapter.edit(self._chat, message_id, step.text or "", buttons=step.buttons)
        except MessageGoneError:
            await self._take_back_from(step.number)
        else:
            self._posts[step.number] = replace(self._posts[step.number], text=step.text, buttons=step.buttons)

    async def _take_back_from(self, number: int) -> None:
        """Delete message `number` and those after it: what they said is then sent anew, in order."""
        while len(self._posts) > number:
            message_id = self._posts[-1].id
            if message_id is not None:
                await self._outlet.adapter.delete(self._chat, message_id)
            self._posts.pop()
            await self._journal.unposted(len(self._posts))

    def _is_too_old(self, post: Post) -> bool:
        lifetime_s = self._caps.edit_lifetime_s
        return lifetime_s is not None and post.is_tried and self._outlet.clock() - post.posted_s > lifetime_s

    def _shorten(self, error: MessageTooLongError) -> None:
        """The platform counts otherwise than we do."""
        limit = int((self._limit or error.limit) * 0.75)
        if limit < MIN_LENGTH:
            raise error
        logger.warning("%s; cutting at %d from here on", error, limit)
        self._limit = limit


@dataclass(frozen=True)
class _Step:
    """Make message `number` say `text`; None takes it back, and those after it."""

    number: int
    text: str | None
    buttons: tuple[Button, ...]
