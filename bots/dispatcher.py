"""The way of a message: from an adapter to a command or a conversation, and the answer back.

Decides who is answered, in which order, and what people are told when something goes wrong. Knows nothing
of any one platform, and of the engine only its protocol.
"""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field

from bots.adapter import Adapter
from bots.commands import Invocation, parse, run_command
from bots.companion import companion
from bots.conversation import AnswerOptions, Conversation
from bots.errors import AdapterClosedError, BotError, MessageTooLongError
from bots.message import ChatRef, Message
from bots.replystream import Clock, ReplyStream, Sleep, until_accepted
from engine.errors import EngineClosedError, EngineError, PromptTooLongError, QueueFullError
from engine.generation import FinishReason, Generation, TextEngine

logger = logging.getLogger(__name__)

MAX_WAITING_PER_CHAT = 32
"""Messages of one chat that may wait for their turn; a person who types ahead has a few, a flood more."""

QUEUE_POLL_S = 1.0
"""How often a waiting person's place in the queue is looked up; people read it, so faster is no better."""

CUT_SHORT = {
    FinishReason.LENGTH: "(I stopped there: that is as much as I write at once.)",
    FinishReason.DEADLINE: "(I stopped there: my time for one answer is up.)",
}
"""What people are told when an answer ends in the middle."""


@dataclass
class _ChatLine:
    """One chat's conversation, and its messages that wait for their turn."""

    conversation: Conversation
    waiting: deque[Message] = field(default_factory=deque)
    is_served: bool = False


class Dispatcher:
    """Serves one adapter with one engine.

    Messages of a chat are answered one after the other, different chats at the same time; commands marked
    as immediate overtake.

    Attributes:
        num_failed_replies: Messages for the model that got no answer.
    """

    def __init__(
        self,
        adapter: Adapter,
        engine: TextEngine,
        *,
        persona: str,
        options: AnswerOptions | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`persona` is what conversations begin with; times of `clock` and `sleep` are in seconds."""
        self._adapter, self._engine = adapter, engine
        self._persona, self._options = persona, options or AnswerOptions()
        self._clock, self._sleep = clock, sleep
        self._lines: dict[ChatRef, _ChatLine] = {}
        self.num_failed_replies = 0

    async def run(self) -> None:
        """Answer until the adapter has no more messages; then end what is under way as `/stop` would."""
        async with asyncio.TaskGroup() as group:
            async for message in self._adapter.messages():
                self._route(message, group)
            for line in self._lines.values():
                line.waiting.clear()
                line.conversation.stop()

    def _route(self, message: Message, group: asyncio.TaskGroup) -> None:
        """Hand the message to whoever takes care of it; never waits, so that `/stop` always gets through."""
        if not message.addressed:
            group.create_task(self._adapter.settled(message))
            return
        line = self._line(message.chat)
        asked = parse(message.text)
        if isinstance(asked, Invocation) and asked.command is not None and asked.command.is_immediate:
            group.create_task(self._handle(message, line.conversation))
        elif len(line.waiting) >= MAX_WAITING_PER_CHAT:
            group.create_task(self._refuse(message))
        else:
            line.waiting.append(message)
            if not line.is_served:
                line.is_served = True
                group.create_task(self._serve(line))

    def _line(self, chat: ChatRef) -> _ChatLine:
        if chat not in self._lines:
            conversation = Conversation(chat, self._engine, persona=self._persona, options=self._options)
            self._lines[chat] = _ChatLine(conversation)
        return self._lines[chat]

    async def _serve(self, line: _ChatLine) -> None:
        while line.waiting:
            await self._handle(line.waiting.popleft(), line.conversation)
        line.is_served = False

    async def _refuse(self, message: Message) -> None:
        self.num_failed_replies += 1
        await self._say(
            message.chat,
            f"{MAX_WAITING_PER_CHAT} of your messages are waiting already, and this one was not taken. "
            "Please send it again when I have caught up.",
        )
        await self._adapter.settled(message)

    async def _handle(self, message: Message, conversation: Conversation) -> None:
        """See one message through. Whatever goes wrong is told to the chat and stays in this message."""
        asked = parse(message.text)
        try:
            if isinstance(asked, Invocation):
                await self._say(message.chat, run_command(asked, conversation, self._engine))
            elif (trouble := await self._answer(asked, conversation)) is not None:
                self.num_failed_replies += 1
                await self._say(message.chat, trouble)
        except Exception:
            # The outermost loop of a message: one that fails must not take the others with it.
            self.num_failed_replies += 1
            logger.exception("message %s of %s failed", message.id, message.chat.key)
            await self._say(message.chat, "Something went wrong on my side; it was logged. Please try again.")
        finally:
            await self._adapter.settled(message)

    async def _answer(self, text: str, conversation: Conversation) -> str | None:
        """Have `text` answered; returns what to tell the person if that failed."""
        chat = conversation.chat
        try:
            async with (
                ReplyStream.open(self._adapter, chat, clock=self._clock, sleep=self._sleep) as reply,
                conversation.ask(text) as generation,
                companion(self._show_queue(chat, generation, reply)),
            ):
                async for piece in generation:
                    reply.push(piece)
                posted = await reply.finish()
                completion = await generation.result()
        except (EngineError, MessageTooLongError) as exc:
            logger.info("no answer in %s: %s", chat.key, exc)
            return explain(exc)
        except AdapterClosedError:
            logger.info("%s was closed before its answer arrived", chat.key)
            return None
        if not posted and completion.finish_reason is not FinishReason.CANCELLED:
            return "I have no answer to that. Please put it in other words."
        if completion.finish_reason in CUT_SHORT:
            await self._say(chat, CUT_SHORT[completion.finish_reason])
        return None

    async def _show_queue(self, chat: ChatRef, generation: Generation, reply: ReplyStream) -> None:
        """Tell the place in the queue, if the chat has a place to tell it, until the answer begins."""
        if not self._adapter.caps(chat).can_show_queue:
            return
        while (position := generation.position) > 0:
            reply.hint(f"Waiting for my turn: number {position} in the queue.")
            await self._sleep(QUEUE_POLL_S)

    async def _say(self, chat: ChatRef, text: str) -> None:
        """Tell the chat something that is no reply; gives up only if nobody is there any more."""
        try:
            await until_accepted(lambda: self._adapter.notice(chat, text), self._sleep)
        except BotError as exc:
            logger.info("a notice did not reach %s: %s", chat.key, exc)


def explain(error: EngineError | BotError) -> str:
    """Say in one line what happened to a question and what the person can do."""
    match error:
        case PromptTooLongError():
            return (
                f"That is too long for me: {error.num_tokens} tokens with my persona, and I can take "
                f"{error.limit_tokens}. Please shorten it."
            )
        case QueueFullError():
            return f"I am too busy: {error.num_waiting} others are waiting. Please try again in a minute."
        case EngineClosedError():
            return "I am shutting down and cannot answer. Please try again once I am back."
        case MessageTooLongError():
            return "My answer does not fit into one message. Please ask for a shorter one."
        case _:
            reason = " ".join(str(error).split())
            return f"I could not answer ({reason}). Please try again; /reset helps if it stays like this."
