"""A chat platform in memory, with many chats and with faults on demand."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Self

from bots import (
    AdapterClosedError,
    Addressed,
    Attachment,
    Button,
    ButtonPressed,
    Caps,
    ChatRef,
    Event,
    Message,
    MessageEdited,
    MessageGoneError,
    MessageId,
    MessagesDeleted,
    MessageTooLongError,
    Pace,
    Text,
    User,
)

CHAT = ChatRef("memory", "bot", "room")
OTHER_CHAT = ChatRef("memory", "bot", "other room")
ANN, BOB = User("memory", "1", "Ann"), User("memory", "2", "Bob")
DIRECT = frozenset({Addressed.DIRECT})

_NUMBERS = count(1)  # a platform that outlives its adapters


@dataclass
class Posted:
    id: MessageId
    chat: ChatRef
    text: str
    buttons: tuple[Button, ...]
    reply_to: MessageId | None
    nonce: str
    is_deleted: bool = False


class RecordingAdapter:
    """Keeps what was shown, as (kind, chat, text); `faults` are raised one per call of their kind."""

    platform, account = "memory", "bot"
    pace: Pace | None = None

    def __init__(self, caps: Caps | None = None, *, knows_nonces: bool = True) -> None:
        self.knows_nonces = knows_nonces
        self.shown: list[tuple[str, ChatRef, str]] = []
        self.posted: list[Posted] = []
        self.settled_messages: list[Message] = []
        self.told: list[tuple[User, str]] = []
        # "lost": the message is posted, and the answer of the platform does not arrive.
        kinds = ("typing", "draft", "send", "lost", "edit", "delete", "notice")
        self.faults: dict[str, deque[Exception]] = {kind: deque() for kind in kinds}
        self.num_readers = 0
        self.draft_gate = asyncio.Event()
        self.draft_gate.set()
        self.num_drafts_under_way = 0
        self.files: dict[str, bytes] = {}
        self.moderators: set[User] = set()
        self._caps = caps or Caps(draft_interval_s=0.0)
        self._incoming: asyncio.Queue[Event | None] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._is_closed = True
        self._incoming.put_nowait(None)

    # What people do.

    def say(
        self,
        text: str,
        chat: ChatRef = CHAT,
        addressed: frozenset[Addressed] = DIRECT,
        author: User = ANN,
        **fields: object,
    ) -> Message:
        """Have someone write `text`; in private if that is why it is addressed."""
        message = Message(
            MessageId(str(next(_NUMBERS))),
            chat,
            author,
            fields.pop("segments", (Text(text),)),
            datetime.now(UTC),
            addressed=addressed,
            is_private=Addressed.DIRECT in addressed,
            **fields,
        )
        self._incoming.put_nowait(message)
        return message

    def edit_message(self, message: Message, text: str) -> None:
        self._incoming.put_nowait(MessageEdited(message.chat, message.id, (Text(text),), datetime.now(UTC)))

    def delete_message(self, message: Message) -> None:
        self._incoming.put_nowait(MessagesDeleted(message.chat, (message.id,), datetime.now(UTC)))

    def press(self, post: Posted, button: Button, user: User = ANN) -> None:
        self._incoming.put_nowait(ButtonPressed(post.chat, post.id, button, user, datetime.now(UTC)))

    def happen(self, event: Event) -> None:
        self._incoming.put_nowait(event)

    def end_input(self) -> None:
        self._incoming.put_nowait(None)

    # What a test asks.

    def texts(self, kind: str, chat: ChatRef | None = None) -> list[str]:
        return [text for k, c, text in self.shown if k == kind and chat in (None, c)]

    def standing(self, chat: ChatRef = CHAT) -> list[Posted]:
        """The messages that people see in the end."""
        return [post for post in self.posted if post.chat == chat and not post.is_deleted]

    async def until(self, condition) -> None:
        """Wait until something that was shown or settled makes `condition` true."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    async def until_shown(self, kind: str, text: str) -> None:
        """Wait until something of that kind that holds `text` was shown."""
        await self.until(lambda: any(text in shown for shown in self.texts(kind)))

    async def until_settled(self, count: int) -> None:
        await self.until(lambda: len(self.settled_messages) >= count)

    # The adapter.

    def caps(self, chat: ChatRef) -> Caps:
        return self._caps

    async def events(self) -> AsyncIterator[Event]:
        self.num_readers += 1
        while (event := await self._incoming.get()) is not None:
            yield event

    async def settled(self, message: Message) -> None:
        self.settled_messages.append(message)
        await self._notify()

    async def read(self, attachment: Attachment, limit_bytes: int) -> bytes:
        return self.files[attachment.locator][:limit_bytes]

    async def is_moderator(self, chat: ChatRef, user: User) -> bool:
        return user in self.moderators

    async def tell(self, press: ButtonPressed, text: str) -> None:
        self.told.append((press.user, text))
        await self._notify()

    async def typing(self, chat: ChatRef) -> None:
        await self._show("typing", chat, "...")

    async def draft(self, chat: ChatRef, text: str) -> None:
        self.num_drafts_under_way += 1
        assert self.num_drafts_under_way == 1, "two drafts at the same time"
        try:
            await self.draft_gate.wait()
            await self._show("draft", chat, text)
        finally:
            self.num_drafts_under_way -= 1

    async def send(
        self,
        chat: ChatRef,
        text: str,
        *,
        reply_to: MessageId | None = None,
        buttons: Sequence[Button] = (),
        nonce: str = "",
    ) -> MessageId:
        assert not self.num_drafts_under_way, "a send overtook a draft"
        for post in self.posted:
            if self.knows_nonces and nonce and post.nonce == nonce:
                return post.id
        post = Posted(MessageId(str(next(_NUMBERS))), chat, text, tuple(buttons), reply_to, nonce)
        await self._show("send", chat, text)
        self.posted.append(post)
        if self.faults["lost"]:
            raise self.faults["lost"].popleft()
        return post.id

    async def answers_after(self, chat: ChatRef, after: MessageId, text: str) -> list[MessageId]:
        ours = [post for post in self.standing(chat) if int(post.id) > int(after)]
        return [post.id for post in ours if post.buttons or post.text == text]

    async def edit(self, chat: ChatRef, id: MessageId, text: str, *, buttons: Sequence[Button] = ()) -> None:
        (post,) = (post for post in self.posted if post.id == id)
        assert post.chat == chat
        if post.is_deleted:
            raise MessageGoneError("gone")
        await self._show("edit", chat, text)
        post.text, post.buttons = text, tuple(buttons)

    async def delete(self, chat: ChatRef, id: MessageId) -> None:
        (post,) = (post for post in self.posted if post.id == id)
        await self._show("delete", chat, post.text)
        post.is_deleted = True

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:
        await self._show("notice", chat, text)

    async def _show(self, kind: str, chat: ChatRef, text: str) -> None:
        if self._is_closed:
            raise AdapterClosedError("closed")
        if self.faults[kind]:
            raise self.faults[kind].popleft()
        if self._caps.max_length is not None and self._caps.length(text) > self._caps.max_length:
            raise MessageTooLongError(len(text), self._caps.max_length)
        assert text.strip(), f"an empty {kind}"
        self.shown.append((kind, chat, text))
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
