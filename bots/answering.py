"""One answer, from the question in the chat log to the last message that people see of it.

Every step is in the log before the next one begins, so that an answer that a crash cut off is taken up again.
Decides what people are told when it fails. Knows nothing of which question comes next.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bots.attachments import read_attachments
from bots.buttons import RETRY
from bots.chatlog import AnswerState, ChatLog
from bots.companion import companion
from bots.conversation import Conversation, Prompt, Question
from bots.durably import durably
from bots.errors import AdapterClosedError, BotError, DatabaseError, UnreachableError
from bots.message import Button, ChatRef, MessageId, Segment, Text
from bots.outlet import Outlet
from bots.plugins.hooks import Answer, Turn, Veto
from bots.plugins.host import PluginHost
from bots.posts import Post
from bots.replystream import ReplyStream
from engine.errors import EngineClosedError, EngineError, PromptTooLongError, QueueFullError
from engine.generation import Completion, FinishReason, Generation, TextEngine

logger = logging.getLogger(__name__)

T = TypeVar("T")

QUEUE_POLL_S = 1.0
"""How often a waiting person's place in the queue is looked up; people read it, so faster is no better."""

WITHHELD = "(I would rather not say that.)"
"""What stands in place of an answer that a plugin has vetoed without a word."""

CUT_SHORT = {
    FinishReason.LENGTH: "(I stopped there: that is as much as I write at once.)",
    FinishReason.DEADLINE: "(I stopped there: my time for one answer is up.)",
}
"""What people are told when an answer ends in the middle."""


@dataclass(frozen=True)
class Services:
    """What every answer needs."""

    engine: TextEngine
    log: ChatLog
    outlet: Outlet
    plugins: PluginHost


class _Entry:
    """The answer's row in the log, as the journal of its messages."""

    def __init__(self, services: Services, chat: ChatRef, answer_id: int) -> None:
        self._log, self._sleep, self._chat, self._answer_id = services.log, services.outlet.sleep, chat, answer_id

    async def posting(self, part: int, nonce: str) -> None:
        await durably(lambda: self._log.posting(self._answer_id, part, nonce), self._sleep)

    async def posted(self, part: int, message_id: MessageId) -> None:
        await durably(lambda: self._log.posted(self._answer_id, part, message_id), self._sleep)

    async def unposted(self, part: int) -> None:
        await durably(lambda: self._log.unposted(self._answer_id, part), self._sleep)

    async def knows(self, message_id: MessageId) -> bool:
        return await self._log.answer_at(self._chat, message_id) is not None


class Answering:
    """The answer that a chat is waiting for."""

    def __init__(
        self,
        services: Services,
        conversation: Conversation,
        questions: Sequence[Question],
        *,
        posts: Sequence[Post] = (),
    ) -> None:
        """`posts` are messages of an earlier try, which are edited instead of sending new ones."""
        self._services = services
        self._engine, self._log, self._outlet = services.engine, services.log, services.outlet
        self._conversation, self._chat = conversation, conversation.chat
        self._posts = posts
        self._is_stopped = self._is_stale = self._is_given_up = False
        self._generation: Generation | None = None
        self._reply: ReplyStream | None = None
        self._last = questions[-1]
        self._questions = list(questions)
        self._is_open = True
        self._plugins, self._off = services.plugins, frozenset[str]()
        self._veto: Veto | None = None

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is answered, as one."""
        return tuple(self._questions)

    @property
    def is_open(self) -> bool:
        """Whether the answer has not begun yet, so that what is asked may still change."""
        return self._is_open

    def stop(self) -> None:
        """End the answer as it stands."""
        self._is_stopped = True
        if self._generation is not None:
            self._generation.cancel()

    def give_up(self) -> None:
        """End the answer, and let nothing more of it be seen or kept: somebody has deleted what there was."""
        self._is_given_up = True
        self.stop()
        if self._reply is not None:
            self._reply.cancel()

    @property
    def message_ids(self) -> frozenset[MessageId]:
        """The messages that it stands in so far."""
        return frozenset(self._reply.message_ids if self._reply is not None else ())

    def ask(self, questions: Sequence[Question]) -> None:
        """Answer these instead, while `is_open`; without any, there will be no answer."""
        if self._is_open and tuple(questions) != self.questions:
            self._questions = list(questions)
            self._is_stale = True
            if self._generation is not None:
                self._generation.cancel()

    async def run(self, answer_id: int | None = None) -> bool:
        """See the answer through; `answer_id` is its row in the log if an earlier run has begun it.

        Returns:
            Whether people got what they asked for, or took it back, or went away.
        """
        if answer_id is None:
            try:
                answer_id = await self._write_down(lambda: self._log.begin_answer(self._chat, self._row_ids))
            except ValueError:
                logger.info("a question in %s is gone: somebody was forgotten", self._chat.key)
                return True
        return await self._see_through(answer_id, self._answer)

    async def deliver(self, answer_id: int, text: str) -> bool:
        """Post an answer that an earlier run has written; returns whether people got it."""

        async def post(answer_id: int, reply: ReplyStream) -> bool:
            await self._look_up_plugins()
            sent = await self._as_sent(text)
            reply.replace((sent.say or WITHHELD) if isinstance(sent, Veto) else sent)
            await reply.finish(self._buttons)
            await self._settle(answer_id, AnswerState.DELIVERED)
            return True

        return await self._see_through(answer_id, post)

    async def _see_through(self, answer_id: int, work: Callable[[int, ReplyStream], Awaitable[bool]]) -> bool:
        """Do what shows the answer, and tell what went wrong to the chat and the log."""
        journal = _Entry(self._services, self._chat, answer_id)
        try:
            async with ReplyStream.open(
                self._outlet,
                self._chat,
                journal,
                question=self._last.id,
                is_pointing=self._last.wants_reply,
                posts=self._posts,
            ) as reply:
                self._reply = reply
                return await work(answer_id, reply)
        except AdapterClosedError:
            logger.info("%s was closed before its answer arrived", self._chat.key)
            return True
        except UnreachableError as exc:
            logger.error("an answer did not reach %s, and is sent after the next start: %s", self._chat.key, exc)  # noqa: TRY400
        except DatabaseError:
            raise
        except BotError as exc:
            logger.error("an answer was refused by %s: %s", self._chat.key, exc)  # noqa: TRY400
            await self._settle(answer_id, AnswerState.UNDELIVERED)
            await self._say(f"My answer was refused here ({exc}).")
        except Exception:  # a bug, of ours or of a plugin's; the chat apologises for it
            await self._settle(answer_id, AnswerState.FAILED)
            raise
        return False

    async def _answer(self, answer_id: int, reply: ReplyStream) -> bool:
        try:
            written = await self._write(answer_id, reply)
        except EngineError as exc:
            logger.info("no answer in %s: %s", self._chat.key, exc)
            await self._end_short(answer_id, reply, AnswerState.FAILED)
            await self._say(explain(exc))
            return False
        if written is None:
            await self._end_short(answer_id, reply, AnswerState.STOPPED)
            if self._veto is not None and self._veto.say:
                await self._say(self._veto.say)
            return True
        prompt, completion = written
        return await self._end(answer_id, reply, prompt, completion)

    @property
    def _row_ids(self) -> list[int]:
        return [question.row_id for question in self._questions]

    async def _write(self, answer_id: int, reply: ReplyStream) -> tuple[Prompt, Completion] | None:
        """Have the engine write, anew as long as the question changes; None if there is nothing to answer."""
        try:
            await self._look_up_plugins()
            while self._questions and not self._is_stopped and self._veto is None:
                if self._is_stale:
                    await self._log.join_answer(answer_id, self._row_ids)
                self._is_stale = False
                prompt = await self._prompt()
                if prompt is None or self._is_stale or self._is_stopped:
                    continue
                self._generation = generation = await self._engine.submit(prompt.request)
                try:
                    await self._read(generation, prompt, reply)
                    if not self._is_stale:
                        return prompt, await generation.result()
                finally:
                    generation.cancel()  # does nothing to an answer that has ended
            return None
        finally:
            self._is_open = False

    async def _prompt(self) -> Prompt | None:
        """What to ask the engine, plugins willing."""
        prompt = await self._conversation.prompt(await self._with_attachments())
        hook, chat, is_private = self._plugins.hooks.before_generate, self._chat, self._conversation.is_private
        request = await hook.fold(
            prompt.request, lambda request: (Turn(chat, self._last.author, is_private, request),), self._off
        )
        if isinstance(request, Veto):
            self._veto = request
            return None
        if not request.messages:
            logger.error("a plugin has left nothing to ask in %s; what it did is not done", chat.key)
            return prompt
        return replace(prompt, request=request)

    async def _look_up_plugins(self) -> None:
        self._off = await self._plugins.off_in(self._chat)

    @property
    def _buttons(self) -> tuple[Button, ...]:
        """Those below an answer that is whole; below one that grows, there is a button to stop it."""
        return (RETRY, *self._plugins.below_answers(self._off))

    async def _as_sent(self, text: str) -> str | Veto:
        """An answer as plugins want it to be seen."""
        return await self._plugins.hooks.before_send.fold(text, lambda text: (self._chat, text), self._off)

    async def _with_attachments(self) -> list[Question]:
        """The questions, with what the files among them say; what was read is kept."""
        questions = []
        for question in self.questions:
            segments = await read_attachments(self._outlet.adapter, question.segments)
            if segments != question.segments:
                await self._log.set_content(question.row_id, segments)
            questions.append(replace(question, segments=segments))
        return questions

    async def _read(self, generation: Generation, prompt: Prompt, reply: ReplyStream) -> None:
        if self._is_stopped or self._is_stale:  # while the engine took the question
            generation.cancel()
        answer = ""
        async with companion(self._show_queue(generation, reply)):
            async for piece in generation:
                if self._is_stale:
                    return
                self._is_open = False
                answer += piece
                reply.replace(await self._as_seen(prompt.shown(answer, is_whole=False)))

    async def _as_seen(self, growing: str) -> str:
        """An answer that grows, as plugins want it to be seen."""
        hook = self._plugins.hooks.on_chunk
        seen = await hook.fold(growing, lambda text: (self._chat, text), self._off) if hook else growing
        return WITHHELD if isinstance(seen, Veto) else seen

    async def _end(self, answer_id: int, reply: ReplyStream, prompt: Prompt, completion: Completion) -> bool:
        """Post what was written, once it stands in the log."""
        if self._is_given_up:
            await self._settle(answer_id, AnswerState.FAILED)
            return True
        is_stopped = completion.finish_reason is FinishReason.CANCELLED
        text, segments = await self._as_kept(prompt, completion)
        if segments is None:
            return await self._withhold(answer_id, reply, text)
        sent = await self._as_sent(text)
        if isinstance(sent, Veto):
            return await self._withhold(answer_id, reply, sent.say or WITHHELD)
        if not text.strip():
            reply.replace("")
            await self._end_short(answer_id, reply, AnswerState.STOPPED if is_stopped else AnswerState.FAILED)
            if not is_stopped:
                await self._say("I have no answer to that. Please put it in other words.")
            return is_stopped
        await self._write_down(
            lambda: self._log.write_answer(
                answer_id,
                segments,
                model_version=completion.version,
                prompt_sha256=completion.prompt_sha256,
                finish_reason=completion.finish_reason,
            )
        )
        reply.replace(sent)
        # A message can carry a remark of its own; what a console prints is the answer and nothing else.
        remark = CUT_SHORT.get(completion.finish_reason)
        if remark and self._outlet.caps(self._chat).can_edit:
            reply.push(f"\n\n*{remark}*")
            remark = None
        await reply.finish(self._buttons)
        await self._settle(answer_id, AnswerState.STOPPED if is_stopped else AnswerState.DELIVERED)
        await self._conversation.remember_no_more_than(prompt, completion)
        if remark:
            await self._say(remark)
        return True

    async def _as_kept(self, prompt: Prompt, completion: Completion) -> tuple[str, tuple[Segment, ...] | None]:
        """An answer as plugins want it, and what the log is to keep of it; nothing if one has vetoed it."""
        shown = prompt.shown(completion.text)
        hook, chat = self._plugins.hooks.after_generate, self._chat
        text = await hook.fold(shown, lambda text: (Answer(chat, text, completion.version),), self._off)
        if isinstance(text, Veto):
            return text.say or WITHHELD, None
        return text, prompt.segments(completion.text) if text == shown else (Text(text),)

    async def _withhold(self, answer_id: int, reply: ReplyStream, instead: str) -> bool:
        """Let something else stand where the answer was going to, and remember neither."""
        reply.replace(instead)
        await reply.finish()
        await self._settle(answer_id, AnswerState.FAILED)
        return True

    async def _end_short(self, answer_id: int, reply: ReplyStream, state: AnswerState) -> None:
        """Leave what there is of an answer that was not finished; an earlier one that it was to replace stays."""
        if not reply.text and self._posts:
            reply.cancel()
            state = AnswerState.FAILED  # which lets the log go back to the earlier one
        await reply.finish()
        await self._settle(answer_id, state)

    async def _show_queue(self, generation: Generation, reply: ReplyStream) -> None:
        """Tell the place in the queue, if the chat has a place to tell it, until the answer begins."""
        if not self._outlet.caps(self._chat).can_show_queue or self._posts:  # an earlier answer stands there
            return
        while (position := generation.position) > 0:
            reply.hint(f"Waiting for my turn: number {position} in the queue.")
            await self._outlet.sleep(QUEUE_POLL_S)

    async def _settle(self, answer_id: int, state: AnswerState) -> None:
        await self._write_down(lambda: self._log.end_answer(answer_id, state))

    async def _write_down(self, write: Callable[[], Awaitable[T]]) -> T:
        return await durably(write, self._outlet.sleep)

    async def _say(self, text: str) -> None:
        await self._outlet.notice(self._chat, text, reply_to=self._last.id if self._last.wants_reply else None)


def explain(error: EngineError) -> str:
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
        case _:
            reason = " ".join(str(error).split())
            return f"I could not answer ({reason}). Please try again; /reset helps if it stays like this."
