"""One chat: what waits there, and the answer that is under way.

Messages are seen to one after the other, and what one person says in a row is one question. Knows nothing of how
an event arrives.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from bots.answering import Answering, Services
from bots.chatlog import LoggedAnswer, LoggedMessage, LoggedPost, QuestionState, Unfinished
from bots.commands import Invocation
from bots.conversation import Conversation, Question, written
from bots.message import ChatRef, Message, MessageId, Quote, Segment
from bots.orders import Orders
from bots.posts import Post

logger = logging.getLogger(__name__)

MAX_WAITING = 32
"""Messages of one chat that may wait for their turn; a person who types ahead has a few, a flood more."""

MAX_GATHER_FACTOR = 4
"""A person who never stops typing is answered after this many times the silence that is waited for."""


@dataclass(frozen=True)
class Asked:
    """A question; `arrived_s` is by the outlet's clock."""

    question: Question
    message: Message
    arrived_s: float

    @property
    def author_id(self) -> str:
        """Who asked."""
        return self.message.author.id


@dataclass(frozen=True)
class Ordered:
    """A command."""

    invocation: Invocation
    message: Message

    @property
    def author_id(self) -> str:
        """Who gave it."""
        return self.message.author.id


Job = Asked | Ordered | LoggedAnswer | Unfinished
"""What can wait: something new, an answer that is to be given anew, or what an earlier run has left undone."""


class ChatLine:
    """The messages of one chat, on their way through the conversation.

    Attributes:
        num_failed: Messages for the model that got no answer.
        task: Who runs `serve` at the moment.
    """

    def __init__(self, services: Services, orders: Orders, conversation: Conversation, *, gather_s: float) -> None:
        """`gather_s` is how long a person has to be silent until what that person said is answered, as one; with 0,
        every message gets an answer of its own.
        """
        self.conversation, self._services, self._gather_s = conversation, services, gather_s
        self._orders = orders
        self._waiting: deque[Job] = deque()
        self._answering: Answering | None = None
        self._asked: list[Asked] = []
        self._is_gathering = self._is_stopped = False
        self.num_failed = 0
        self.task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no more messages are taken for now."""
        return len(self._waiting) >= MAX_WAITING

    @property
    def asker_ids(self) -> frozenset[str]:
        """Who asked what is being answered."""
        return (
            frozenset(question.author.id for question in self._answering.questions) if self._answering else frozenset()
        )

    # What happens while others are served.

    def add(self, job: Job) -> None:
        """Let something wait for its turn; a question may become part of the one that is being answered."""
        if not (isinstance(job, Asked) and self._join(job)):
            self._waiting.append(job)

    def change(self, row_id: int, segments: tuple[Segment, ...]) -> None:
        """A message was edited: its answer changes with it, unless that has begun."""
        self._waiting = deque(_changed(job, row_id, segments) for job in self._waiting)
        if self._answering is not None:
            self._answering.ask([_with(question, row_id, segments) for question in self._answering.questions])

    def is_answering_in(self, message_id: MessageId) -> bool:
        """Whether the answer under way stands in that message."""
        return self._answering is not None and message_id in self._answering.message_ids

    def drop(self, row_ids: Collection[int], message_ids: Collection[MessageId]) -> list[Message]:
        """Messages were deleted: their answers do not come, or end where they are.

        Args:
            row_ids: What they were in the log.
            message_ids: What they were in the chat; may be ours.

        Returns:
            Those that were still waiting.
        """
        dropped = [job for job in self._waiting if isinstance(job, Asked) and job.question.row_id in row_ids]
        self._waiting = deque(job for job in self._waiting if job not in dropped)
        answering = self._answering
        if answering is not None and not answering.message_ids.isdisjoint(message_ids):
            answering.give_up()
        elif answering is not None and any(question.row_id in row_ids for question in answering.questions):
            if answering.is_open:
                answering.ask([question for question in answering.questions if question.row_id not in row_ids])
            else:
                answering.stop()
        return [asked.message for asked in dropped]

    def stop(self) -> bool:
        """End the answer under way as it stands, or the one that is about to begin; False if there is none."""
        if self._answering is not None:
            self._answering.stop()
        elif not self._is_gathering:
            return False
        self._is_stopped = True
        return True

    def retry_later(self, answer: LoggedAnswer) -> bool:
        """Let an answer wait to be given anew; False if it does already, or if too much waits."""
        waits = any(isinstance(job, LoggedAnswer) and job.turn == answer.turn for job in self._waiting)
        if waits or self.is_full:
            return False
        self._waiting.append(answer)
        return True

    def move(self, chat: ChatRef) -> None:
        """The chat is somewhere else now, where the ids of its messages mean others."""
        self.conversation.chat = chat
        self._waiting = deque(
            replace(job, question=replace(job.question, id=None, wants_reply=False)) if isinstance(job, Asked) else job
            for job in self._waiting
        )

    def clear(self) -> None:
        """Let nothing wait any more."""
        self._waiting.clear()

    async def retry(self) -> bool:
        """Put the last answer of the chat first in line, to be given anew; False if there is none."""
        answer = await self._services.log.last_answer(self.conversation.chat)
        if answer is None or not answer.question_ids:
            return False
        self._waiting.appendleft(answer)
        return True

    def _join(self, asked: Asked) -> bool:
        answering = self._answering
        if not self._gather_s or answering is None or not answering.is_open or self._waiting or not self._asked:
            return False
        if self._asked[-1].author_id != asked.author_id or self._services.plugins.is_listening_to(asked.message):
            return False
        self._asked.append(asked)
        answering.ask([*answering.questions, asked.question])
        return True

    # Serving them.

    async def serve(self) -> None:
        """See to all that waits. Whatever goes wrong with one message stays there."""
        while self._waiting:
            try:
                await self._serve_next()
            except Exception:
                await self._apologise()

    async def _serve_next(self) -> None:
        match self._waiting[0]:
            case Asked():
                await self._gather()
                await self._answer_asked(self._take_asked())
            case Ordered() as ordered:
                self._waiting.popleft()
                await self.obey(ordered)
            case LoggedAnswer() as answer:
                self._waiting.popleft()
                await self._answer_again(answer)
            case Unfinished() as unfinished:
                self._waiting.popleft()
                await self._finish(unfinished)

    async def obey(self, ordered: Ordered) -> None:
        """Run a command. Whatever goes wrong is told to the chat and stays in this message."""
        message, outlet = ordered.message, self._services.outlet
        try:
            said = await self._orders.carry_out(ordered.invocation, message, self.conversation, self)
            if said:
                await outlet.notice(message.chat, said, reply_to=message.id)
        except Exception:
            await self._apologise()
        finally:
            await outlet.adapter.settled(message)

    async def _gather(self) -> None:
        """Wait until the person whose turn it is has stopped typing messages."""
        outlet = self._services.outlet
        self._is_gathering, self._is_stopped = True, False
        try:
            while (mine := self._next_asked()) and not self._is_stopped:
                quiet_at_s = mine[-1].arrived_s + self._gather_s
                latest_s = mine[0].arrived_s + MAX_GATHER_FACTOR * self._gather_s
                wait_s = min(quiet_at_s, latest_s) - outlet.clock()
                if wait_s <= 0:
                    return
                await outlet.typing(self.conversation.chat)
                await outlet.sleep(wait_s)
        finally:
            self._is_gathering = False

    def _next_asked(self) -> list[Asked]:
        """All that the author of the next question has said, up to that one's next command."""
        mine: list[Asked] = []
        for job in self._waiting:
            if mine and not self._gather_s:
                break
            if isinstance(job, Asked) and (not mine or job.author_id == mine[0].author_id):
                mine.append(job)
            elif isinstance(job, Ordered) and mine and job.author_id == mine[0].author_id:
                break
        return mine

    def _take_asked(self) -> list[Asked]:
        mine = self._next_asked()
        self._waiting = deque(job for job in self._waiting if job not in mine)
        return mine

    async def _answer_asked(self, asked: list[Asked]) -> None:
        if not asked:  # deleted while we waited for more
            return
        self._asked = asked
        try:
            if self._is_stopped:
                await self._services.log.set_state([each.question.row_id for each in asked], QuestionState.CANCELLED)
            elif any(each.question.segments or each.question.quote for each in asked):
                await self._answer_or_let_plugins(asked)
            else:
                await self._ask_back(asked)
        finally:
            for each in self._asked:
                await self._services.outlet.adapter.settled(each.message)
            self._asked = []

    async def _answer_or_let_plugins(self, asked: Sequence[Asked]) -> None:
        """Let plugins answer what they want to; the model gets the rest."""
        plugins, log, outlet = self._services.plugins, self._services.log, self._services.outlet
        off = await plugins.off_in(self.conversation.chat)
        rest = []
        for each in asked:
            said = await plugins.answer(each.message, off)
            if said is None:
                rest.append(each.question)
            else:
                await log.set_state([each.question.row_id], QuestionState.COMMAND)
                await outlet.notice(each.message.chat, said, reply_to=each.message.id)
        if rest:
            await self._answer(rest)

    async def _ask_back(self, asked: Sequence[Asked]) -> None:
        """Somebody has called us and said nothing."""
        log, message = self._services.log, asked[-1].message
        await log.set_state([each.question.row_id for each in asked], QuestionState.CONTEXT)
        await self._services.outlet.notice(
            message.chat, "Yes? Tell me what you would like to know.", reply_to=message.id
        )

    async def _answer_again(self, waited: LoggedAnswer) -> None:
        """Give an answer anew, if it still stands there: another try may have taken its place, or a deletion."""
        answer = await self._services.log.answer_in(self.conversation.chat, waited.turn)
        if answer is None or answer.answer_id != waited.answer_id:
            return
        questions = self._questions(answer.questions)
        if questions:
            await self._answer(questions, self._posts(answer.posts))

    async def _finish(self, unfinished: Unfinished) -> None:
        """Give an answer that an earlier run has not given, or not whole."""
        questions = self._questions(unfinished.questions)
        posts = self._posts(unfinished.posts)
        if unfinished.answer_id is not None and unfinished.segments:
            answering = Answering(self._services, self.conversation, questions, posts=posts)
            await answering.deliver(unfinished.answer_id, written(unfinished.segments))
        else:
            await self._answer(questions, posts, unfinished.answer_id)

    async def _answer(
        self, questions: Sequence[Question], posts: Sequence[Post] = (), answer_id: int | None = None
    ) -> None:
        self._answering = Answering(self._services, self.conversation, questions, posts=posts)
        try:
            if not await self._answering.run(answer_id):
                self.num_failed += 1
        finally:
            self._answering = None

    def _questions(self, logged: Sequence[LoggedMessage]) -> list[Question]:
        quotes = {m.platform_id: Quote(m.platform_id, m.author, m.segments) for m in logged if m.platform_id}
        return [
            Question(
                message.row_id,
                message.platform_id,
                message.author,
                message.segments,
                reply_to=message.reply_to,
                quote=quotes.get(message.reply_to) if message.reply_to else None,
                wants_reply=not self.conversation.is_private,
            )
            for message in logged
            if not message.is_context
        ]

    def _posts(self, logged: Sequence[LoggedPost]) -> list[Post]:
        now_s, now = self._services.outlet.clock(), self._services.log.now()
        return [
            Post(post.platform_id, post.nonce, posted_s=now_s - (now - post.created_at).total_seconds())
            for post in sorted(logged, key=lambda post: post.part)
        ]

    async def _apologise(self) -> None:
        """Tell the chat of a bug that the log tells about in full, though not what was said."""
        self.num_failed += 1
        chat = self.conversation.chat
        logger.exception("a message of %s failed", chat.key)
        await self._services.outlet.notice(chat, "Something went wrong on my side; it was logged. Please try again.")


def _changed(job: Job, row_id: int, segments: tuple[Segment, ...]) -> Job:
    return replace(job, question=_with(job.question, row_id, segments)) if isinstance(job, Asked) else job


def _with(question: Question, row_id: int, segments: tuple[Segment, ...]) -> Question:
    return replace(question, segments=segments) if question.row_id == row_id else question
