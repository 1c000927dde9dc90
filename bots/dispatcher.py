"""The way of an event: from an adapter into the chat log, and from there to the line of its chat.

Decides what is logged and who is answered. Knows nothing of any one platform, and of the engine only its
protocol.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from bots.adapter import Adapter
from bots.answering import Services
from bots.budget import Clock, Sleep
from bots.buttons import RETRY, STOP
from bots.chatline import MAX_WAITING, Asked, ChatLine, Job, Ordered
from bots.chatlog import ChatLog, ChatSettings, QuestionState, Unfinished
from bots.commands import Invocation, parse
from bots.companion import companion
from bots.conversation import AnswerOptions, Conversation, Question
from bots.durably import durably
from bots.errors import BotError
from bots.message import (
    Addressed,
    ButtonPressed,
    ChatMoved,
    ChatRef,
    Event,
    Message,
    MessageEdited,
    MessagesDeleted,
    Reacted,
    Segment,
    Text,
    plain_text,
)
from bots.orders import Orders
from bots.outlet import Outlet
from bots.plugins.hooks import Veto
from bots.plugins.host import PluginHost
from bots.switchboard import Switchboard
from bots.triggers import addressed
from engine.generation import TextEngine

logger = logging.getLogger(__name__)

NOT_YOURS = "Only those who asked, and those who look after this chat, can do that."
GATHER_CHANGES_S = 2.0
"""Plugins that come and go together change the menu once."""
MAX_TASKS_TO_OVERHEAR = 1000
"""With so much going on, plugins do not get to see what was not said to the bot."""

NO_SUCH_BUTTON = "That button does nothing any more."
FORGOTTEN = "I do not remember that answer any more."


@dataclass(frozen=True)
class ServingRules:
    """How the dispatcher deals with time.

    Attributes:
        gather_s: How long a person has to be silent until what that person said is answered, as one; with 0,
            every message gets an answer of its own.
        drain_s: How long answers under way may go on once the bot is to end.
        resume_within: How old a question may be that is still answered after a restart; None leaves all of
            them unanswered.
    """

    gather_s: float = 0.0
    drain_s: float = 0.0
    resume_within: timedelta | None = None


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
        log: ChatLog,
        plugins: PluginHost,
        switchboard: Switchboard,
        *,
        persona: str,
        options: AnswerOptions | None = None,
        rules: ServingRules | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`persona` is who the bot is where nobody has chosen; times of `clock` and `sleep` are in seconds."""
        self._adapter, self._log = adapter, log
        self._outlet = Outlet(adapter, clock=clock, sleep=sleep)
        self._services = Services(engine, log, self._outlet, plugins)
        self._plugins, self._switchboard = plugins, switchboard
        self._orders = Orders(plugins, switchboard.operators, engine, self._outlet)
        self._persona, self._options = persona, options or AnswerOptions()
        self._rules = rules or ServingRules()
        self._lines: dict[ChatRef, ChatLine] = {}
        self._group: asyncio.TaskGroup = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing: set[ChatRef] = set()
        self._closing = asyncio.Event()
        self._is_taking = False
        self.num_failed_replies = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do about what the adapter has yielded."""
        return not self._is_taking and not self._tasks

    def close(self) -> None:
        """Take no more events, and let `run` end once answers under way have had their time."""
        self._closing.set()

    async def run(self) -> None:
        """Answer until the adapter has no more events, or until `close`.

        Then answers under way may go on for a while; what is not done by then is done after the next start.
        Where nothing is taken up after a start, they are ended as `/stop` would.

        Raises:
            UnreachableError: The adapter has lost its platform.
            AccountError: The platform does not want the account any more.
        """
        async with asyncio.TaskGroup() as group, companion(self._show_commands()):
            self._group = group
            # Not in the group: an adapter that fails takes nothing from the answers under way.
            intake = asyncio.ensure_future(self._take_all())
            closing = asyncio.ensure_future(self._closing.wait())
            with self._switchboard.connected(self._outlet):
                try:
                    await asyncio.wait([intake, closing], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    closing.cancel()
                    intake.cancel()
                    await asyncio.wait([intake, closing])
                await self._wind_up()
        if not intake.cancelled():
            intake.result()

    async def _show_commands(self) -> None:
        """Keep the platform's menu up to date as plugins come and go; at first it is."""
        seen = self._plugins.num_changes
        while True:
            await self._plugins.until_changed(seen)
            await self._outlet.sleep(GATHER_CHANGES_S)
            seen = self._plugins.num_changes
            await self._adapter.show_commands(tuple(self._plugins.commands.values()))

    async def _wind_up(self) -> None:
        """Let answers under way end: soon, if they can be taken up again."""
        for line in self._lines.values():
            line.clear()
        if self._rules.resume_within is None:
            for line in self._lines.values():
                line.stop()
        elif self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._rules.drain_s)
            for task in late:
                task.cancel()

    def _spawn(self, work: Coroutine[object, object, None], what: str) -> asyncio.Task[None]:
        """Do something beside the rest. Whatever goes wrong with it goes wrong with it alone."""
        task = self._group.create_task(self._guarded(work, what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[object, object, None], what: str) -> None:
        try:
            await work
        except Exception:
            logger.exception("%s failed", what)

    async def _take_all(self) -> None:
        for unfinished in await self._log.unfinished(self._adapter.platform, self._adapter.account):
            await self._resume(unfinished)
        async for event in self._adapter.events():
            self._is_taking = True
            await self._take_or_skip(event)
            self._is_taking = False

    async def _take_or_skip(self, event: Event) -> None:
        """Take an event; one that cannot be taken is skipped, so that those after it get through."""
        try:
            await durably(partial(self._take, event), self._outlet.sleep)
        except BotError:
            raise
        except Exception:
            logger.exception("an event of %s is skipped", self._adapter.platform)
            if isinstance(event, Message):
                await self._adapter.settled(event)

    async def _take(self, event: Event) -> None:
        """Log an event and hand it on; waits for the log alone, so that `/stop` always gets through."""
        match event:
            case Message():
                await self._take_message(event)
            case MessageEdited():
                meant = replace(event, segments=self._as_meant(event.segments))
                row_id = await self._log.edit(meant)
                if row_id is not None and (line := self._lines.get(event.chat)):
                    line.change(row_id, meant.segments)
            case MessagesDeleted():
                await self._take_deletion(event)
            case ButtonPressed():
                self._spawn(self._press(event), "a press")
            case Reacted():
                self._spawn(self._react(event), "a reaction")
            case ChatMoved(old, new):
                await self._log.move_chat(old, new)
                self._move_lines(old, new)

    def _move_lines(self, old: ChatRef, new: ChatRef) -> None:
        for chat in [chat for chat in self._lines if chat.parent == old.parent]:
            place = replace(new, thread=chat.thread)
            if place not in self._lines:
                self._lines[place] = self._lines.pop(chat)
                self._lines[place].move(place)

    # Messages.

    async def _take_message(self, message: Message) -> None:
        settings = await self._log.chat_settings(message.chat)
        off = await self._plugins.off_in(message.chat, settings)
        message = replace(message, addressed=await self._why_addressed(message, settings))
        asked = parse(message.text, self._plugins.commands)
        if not message.addressed:
            self._overhear(message, off)
            await self._adapter.settled(message)
        elif _is_for_another_bot(asked, message):
            await self._adapter.settled(message)
        elif not isinstance(seen := await self._as_plugins_want(message, asked, off), Veto):
            await self._log_and_line_up(seen)
        elif seen.say:
            self._spawn(self._say_veto(message, seen), "a veto")
        else:
            await self._adapter.settled(message)

    async def _log_and_line_up(self, message: Message) -> None:
        asked = parse(message.text, self._plugins.commands)
        row_id = await self._log_message(message, message.addressed, is_command=isinstance(asked, Invocation))
        if row_id is None:  # here already, or not to be kept
            await self._adapter.settled(message)
        elif isinstance(asked, Invocation):
            self._order(Ordered(asked, message))
        else:
            await self._ask(self._question(row_id, message), message)

    async def _as_plugins_want(self, message: Message, asked: Invocation | str, off: Collection[str]) -> Message | Veto:
        """What was said to the bot, as plugins have it, unless one of them wants it ignored."""
        if isinstance(asked, Invocation) and asked.command is not None and asked.command.is_unconditional:
            return message
        return await self._plugins.hooks.before_log.fold(message, lambda message: (message,), off)

    async def _say_veto(self, message: Message, veto: Veto) -> None:
        """Tell why something is ignored; only then is nothing more to come, which an adapter may act on."""
        await self._outlet.notice(message.chat, veto.say, reply_to=message.id)
        await self._adapter.settled(message)

    def _overhear(self, message: Message, off: Collection[str]) -> None:
        if self._plugins.is_listening_to(message) and len(self._tasks) < MAX_TASKS_TO_OVERHEAR:
            self._spawn(self._plugins.overhear(message, off), "overhearing")

    async def _log_message(self, message: Message, why: frozenset[Addressed], *, is_command: bool) -> int | None:
        """Its row; None if it came before. The last thing done is what tells that it came."""
        meant = replace(message, segments=self._as_meant(message.segments))
        if is_command:
            return await self._log.receive(meant, QuestionState.COMMAND, addressed=why)
        await self._log.note_quote(meant)
        return await self._log.receive(meant, QuestionState.WAITING, addressed=why)

    async def _why_addressed(self, message: Message, settings: ChatSettings) -> frozenset[Addressed]:
        might_be_called = message.chat.thread is not None and not message.addressed
        was_called = might_be_called and await self._log.has_spoken_in(message.chat)
        return addressed(message, settings, was_called_into_thread=was_called)

    def _order(self, ordered: Ordered) -> None:
        command, message = ordered.invocation.command, ordered.message
        if command is not None and command.is_immediate:
            line = self._lines.get(message.chat) or self._new_line(message.chat, is_private=message.is_private)
            self._spawn(line.obey(ordered), "a command")
        elif (line := self._line(message.chat, is_private=message.is_private)).is_full:
            self._spawn(self._refuse(message), "a refusal")
        else:
            self._add(ordered, line)

    async def _ask(self, question: Question, message: Message) -> None:
        line = self._line(message.chat, is_private=message.is_private)
        if line.is_full:
            await self._log.set_state([question.row_id], QuestionState.FAILED)
            self._spawn(self._refuse(message), "a refusal")
        else:
            self._add(Asked(question, message, self._outlet.clock()), line)

    async def _refuse(self, message: Message) -> None:
        """Say so once: whoever floods a chat is not to fill it with our excuses as well."""
        self.num_failed_replies += 1
        if message.chat not in self._refusing:
            self._refusing.add(message.chat)
            await self._outlet.notice(
                message.chat,
                f"{MAX_WAITING} messages are waiting here already, and this one was not taken. Please send it again "
                "when I have caught up.",
                reply_to=message.id,
            )
        await self._adapter.settled(message)

    async def _take_deletion(self, event: MessagesDeleted) -> None:
        row_ids = await self._log.delete(event)
        line = self._lines.get(event.chat)
        for message in line.drop(row_ids, event.ids) if line else ():
            await self._adapter.settled(message)

    def _question(self, row_id: int, message: Message) -> Question:
        return Question(
            row_id,
            message.id,
            message.author,
            self._as_meant(message.segments),
            reply_to=message.quote.id if message.quote else None,
            quote=message.quote,
            wants_reply=not message.is_private or Addressed.COMMAND in message.addressed,
        )

    def _as_meant(self, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """What was said without what only led it to the model: a second slash, or `/ask`."""
        text = plain_text(segments)
        asked, first = parse(text, self._plugins.commands), segments[0] if segments else None
        if isinstance(asked, Invocation) or asked == text or not isinstance(first, Text):
            return segments
        prefix = text[: text.rindex(asked)]
        return (Text(first.text.removeprefix(prefix)), *segments[1:])

    # Buttons.

    async def _press(self, event: ButtonPressed) -> None:
        await self._adapter.tell(event, await self._do_as_pressed(event))

    async def _do_as_pressed(self, event: ButtonPressed) -> str:
        """Returns what to tell the person, if that is not to be seen anyway."""
        off = await self._plugins.off_in(event.chat)
        if isinstance(veto := await self._plugins.hooks.before_press.fold(event, lambda event: (event,), off), Veto):
            return veto.say
        match event.button:
            case STOP.name:
                line = self._lines.get(event.chat)
                if line is None or not line.is_answering_in(event.id):
                    return "There is nothing to stop any more."
                if not await self._may_direct(event, line.asker_ids):
                    return NOT_YOURS
                line.stop()
            case RETRY.name:
                answer = await self._log.answer_at(event.chat, event.id)
                if answer is None or not answer.question_ids:
                    return FORGOTTEN
                if not await self._may_direct(event, {question.author.id for question in answer.questions}):
                    return NOT_YOURS
                line = self._line(event.chat, is_private=answer.is_private)
                if answer.is_under_way or not line.retry_later(answer):
                    return "I am at it already."
                self._run(line)
            case _:
                said = await self._plugins.press(event, off)
                return NO_SUCH_BUTTON if said is None else said
        return ""

    async def _react(self, event: Reacted) -> None:
        off = await self._plugins.off_in(event.chat)
        hooks = self._plugins.hooks
        if not isinstance(await hooks.before_press.fold(event, lambda event: (event,), off), Veto):
            await hooks.on_reaction.tell(event, off=off)

    async def _may_direct(self, event: ButtonPressed, asker_ids: Collection[str]) -> bool:
        return event.user.id in asker_ids or await self._adapter.is_moderator(event.chat, event.user)

    # Lines.

    def _line(self, chat: ChatRef, *, is_private: bool) -> ChatLine:
        if chat not in self._lines:
            self._lines[chat] = self._new_line(chat, is_private=is_private)
        return self._lines[chat]

    def _new_line(self, chat: ChatRef, *, is_private: bool) -> ChatLine:
        conversation = Conversation(
            chat, self._log, is_private=is_private, persona=self._persona, options=self._options
        )
        return ChatLine(self._services, self._orders, conversation, gather_s=self._rules.gather_s)

    def _add(self, job: Job, line: ChatLine) -> None:
        line.add(job)
        self._run(line)

    def _run(self, line: ChatLine) -> None:
        if line.task is None:
            line.task = self._spawn(self._serve(line), "a chat")

    async def _serve(self, line: ChatLine) -> None:
        try:
            await line.serve()
        finally:
            line.task = None
            self.num_failed_replies += line.num_failed
            self._lines.pop(line.conversation.chat, None)
            self._refusing.discard(line.conversation.chat)

    async def _resume(self, unfinished: Unfinished) -> None:
        """Take up what an earlier run has left undone. What people see half of is always finished."""
        within, questions = self._rules.resume_within, unfinished.questions
        if within is None or not unfinished.question_ids:
            await self._log.expire(unfinished)
        elif unfinished.posts or self._log.now() - questions[-1].sent_at <= within:
            self._add(unfinished, self._line(unfinished.chat, is_private=unfinished.is_private))
        else:
            await self._log.expire(unfinished)


def _is_for_another_bot(asked: Invocation | str, message: Message) -> bool:
    """In a group, a command that nobody here knows was meant for someone else."""
    return isinstance(asked, Invocation) and asked.command is None and not message.is_private
