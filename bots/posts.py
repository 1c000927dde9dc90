"""The messages that a reply stands in: which of them differ from what it says now, and making them say it.

One step is one call to the platform. When to take it, and what to do if it is refused, belongs to
`bots.replystream`.
"""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bots.adapter import Adapter, Caps
from bots.budget import Clock
from bots.errors import ForbiddenError, MessageGoneError
from bots.message import Button, ChatRef, MessageId

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Post:
    """One message of a reply.

    Attributes:
        id: None if the platform does not have it, or nobody knows whether it has.
        nonce: What it is sent with, so that sending it again makes no second message where that is possible.
        is_tried: Whether it may have arrived.
        text: What it says; None if that is not known.
        posted_s: When it was first sent, by the stream's clock.
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


@dataclass(frozen=True)
class Wanted:
    """What people should see of a reply.

    Attributes:
        parts: Its text, cut into messages.
        buttons: What stands below the last one.
        is_final: Whether that is all; a reply that still grows leaves messages standing that it does not need.
    """

    parts: Sequence[str]
    buttons: tuple[Button, ...] = ()
    is_final: bool = False


@dataclass(frozen=True)
class Step:
    """Make message `number` say `text`; None takes it back, and those after it."""

    number: int
    text: str | None
    buttons: tuple[Button, ...] = ()


class Posts:
    """The messages of one reply, in order."""

    def __init__(
        self,
        adapter: Adapter,
        chat: ChatRef,
        journal: Journal,
        clock: Clock,
        *,
        question: MessageId | None,
        is_pointing: bool,
        posts: Sequence[Post],
    ) -> None:
        """`posts` are what an earlier run has posted; the rest is as `bots.replystream.ReplyStream` has it."""
        self._adapter, self._chat, self._journal, self._clock = adapter, chat, journal, clock
        self._question, self._is_pointing, self._posts = question, is_pointing, list(posts)

    def __len__(self) -> int:
        return len(self._posts)

    @property
    def ids(self) -> tuple[MessageId, ...]:
        """Those that the platform is known to have."""
        return tuple(post.id for post in self._posts if post.id is not None)

    def next_step(self, wanted: Wanted) -> Step | None:
        """The first place where the chat does not show what it should."""
        has_buttons = self._caps.has_buttons
        for number, text in enumerate(wanted.parts):
            below = wanted.buttons if number == len(wanted.parts) - 1 and has_buttons else ()
            post = self._posts[number] if number < len(self._posts) else None
            if post is None or post.id is None:
                # As long as the reply grows, every message begins with buttons: by them it can be found again.
                return Step(number, text, below if wanted.is_final or not has_buttons else wanted.buttons)
            if (post.text, post.buttons) != (text, below):
                return Step(number, text, below)
        if wanted.is_final and len(self._posts) > len(wanted.parts):
            return Step(len(wanted.parts), None)
        return None

    async def prepare(self, step: Step) -> None:
        """Note what is about to be sent; before its turn comes, which would be over once that is written."""
        if step.number == len(self._posts):
            post = Post(None, secrets.token_hex(10), is_tried=False)
            await self._journal.posting(step.number, post.nonce)
            self._posts.append(post)

    async def take(self, step: Step) -> None:
        """Make the call of a step that was prepared.

        Raises:
            BotError: As `bots.adapter` has it.
        """
        post = self._posts[step.number]
        if step.text is None or self._is_too_old(post):
            await self._take_back_from(step.number)
        elif post.id is None:
            await self._send(step.number, step.text, step.buttons)
        else:
            await self._edit(step.number, post.id, step.text, step.buttons)

    @property
    def _caps(self) -> Caps:
        return self._adapter.caps(self._chat)

    async def _send(self, number: int, text: str, buttons: tuple[Button, ...]) -> None:
        tried = self._posts[number]
        if not tried.is_tried:
            self._posts[number] = replace(tried, is_tried=True, posted_s=self._clock())
        message_id = await self._found(number, tried, text) or await self._adapter.send(
            self._chat,
            text,
            reply_to=self._question if number == 0 and self._is_pointing else None,
            buttons=buttons,
            nonce=tried.nonce,
        )
        # Where the first try did arrive, the platform keeps that text: an edit has to follow.
        known = None if tried.is_tried and self._caps.can_edit else text
        self._posts[number] = Post(message_id, tried.nonce, True, known, buttons, self._clock())
        await self._journal.posted(number, message_id)

    async def _found(self, number: int, tried: Post, text: str) -> MessageId | None:
        """Look for a message that may have arrived so long ago that its nonce does not tell any more."""
        lifetime_s = self._caps.nonce_lifetime_s
        after = self._posts[number - 1].id if number else self._question
        if not (lifetime_s and tried.is_tried and after) or self._clock() - tried.posted_s <= lifetime_s:
            return None
        for message_id in await self._adapter.answers_after(self._chat, after, text):
            if not await self._journal.knows(message_id):
                return message_id
        return None

    async def _edit(self, number: int, message_id: MessageId, text: str, buttons: tuple[Button, ...]) -> None:
        try:
            await self._adapter.edit(self._chat, message_id, text, buttons=buttons)
        except MessageGoneError:
            await self._take_back_from(number)
        else:
            self._posts[number] = replace(self._posts[number], text=text, buttons=buttons)

    async def _take_back_from(self, number: int) -> None:
        """Delete message `number` and those after it: what they said is then sent anew, in order."""
        while len(self._posts) > number:
            message_id = self._posts[-1].id
            try:
                if message_id is not None:
                    await self._adapter.delete(self._chat, message_id)
            except ForbiddenError as exc:  # it is too old, and stays
                logger.info("a message stays in %s: %s", self._chat.key, exc)
            self._posts.pop()
            await self._journal.unposted(len(self._posts))

    def _is_too_old(self, post: Post) -> bool:
        """Whether a message that the platform has can be edited no more."""
        lifetime_s = self._caps.edit_lifetime_s
        return lifetime_s is not None and post.id is not None and self._clock() - post.posted_s > lifetime_s
