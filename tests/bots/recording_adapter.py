"""A chat platform in memory, with many chats and with faults on demand."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Self

from bots import (
    AdapterClosedError,
    Addressed,
    Caps,
    ChatRef,
    Message,
    MessageId,
    MessageTooLongError,
    User,
)

CHAT = ChatRef("memory", "bot", "room")
OTHER_CHAT = ChatRef("memory", "bot", "other room")


class RecordingAdapter:
    """Keeps what was shown, as (kind, chat, text); `faults` are raised one per draft or send."""

    def __init__(self, caps: Caps | None = None) -> None:
        self.shown: list[tuple[str, ChatRef, str]] = []
        self.settled_messages: list[Message] = []
        self.faults: dict[str, deque[Exception]] = {"draft": deque(), "send": deque(), "notice": deque()}
        self.draft_gate = asyncio.Event()
        self.draft_gate.set()
        self.num_drafts_under_way = 0
        self._caps = caps or Caps(draft_interval_s=0.0)
        self._incoming: asyncio.Queue[Message | None] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._is_closed = False
        self._number = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._is_closed = True
        self._incoming.put_nowait(None)

    def say(
        self,
        text: str,
        chat: ChatRef = CHAT,
        addressed: frozenset[Addressed] = frozenset({Addressed.DIRECT}),
    ) -> None:
        """Have someone write `text`."""
        self._number += 1
        author = User("memory", "1", "Ann")
        message_id = MessageId(str(self._number))
        self._incoming.put_nowait(Message(message_id, chat, author, text, datetime.now(UTC), addressed=addressed))

    def end_input(self) -> None:
        self._incoming.put_nowait(None)

    def texts(self, kind: str, chat: ChatRef | None = None) -> list[str]:
        return [text for k, c, text in self.shown if k == kind and chat in (None, c)]

    async def until_shown(self, kind: str, text: str) -> None:
        """Wait until something of that kind that holds `text` was shown."""
        async with self._changed:
            await self._changed.wait_for(lambda: any(text in shown for shown in self.texts(kind)))

    async def until_settled(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.settled_messages) >= count)

    def caps(self, chat: ChatRef) -> Caps:
        return self._caps

    async def messages(self) -> AsyncIterator[Message]:
        while (message := await self._incoming.get()) is not None:
            yield message

    async def settled(self, message: Message) -> None:
        self.settled_messages.append(message)
        async with self._changed:
            self._changed.notify_all()

    async def draft(self, chat: ChatRef, text: str) -> None:
        self.num_drafts_under_way += 1
        assert self.num_drafts_under_way == 1, "two drafts at the same time"
        try:
            await self.draft_gate.wait()
            await self._show("draft", chat, text)
        finally:
            self.num_drafts_under_way -= 1

    async def send(self, chat: ChatRef, text: str) -> MessageId:
        assert not self.num_drafts_under_way, "a send overtook a draft"
        await self._show("send", chat, text)
        return MessageId(f"sent-{len(self.shown)}")

    async def notice(self, chat: ChatRef, text: str) -> None:
        await self._show("notice", chat, text)

    async def _show(self, kind: str, chat: ChatRef, text: str) -> None:
        if self._is_closed:
            raise AdapterClosedError("closed")
        if self.faults[kind]:
            raise self.faults[kind].popleft()
        if self._caps.max_length is not None and len(text) > self._caps.max_length:
            raise MessageTooLongError(len(text), self._caps.max_length)
        assert text.strip(), f"an empty {kind}"
        self.shown.append((kind, chat, text))
        async with self._changed:
            self._changed.notify_all()
