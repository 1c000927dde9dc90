"""What people think of answers: buttons, reactions, and better answers of their own.

Where there are no buttons, `/rate` is one. A better answer is given with `/teach`, or in reply to an answer whose
button for that was pressed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from bots.bounded import remember
from bots.chatlog import ChatLog, FeedbackSource
from bots.message import MessageId, Segment, Text
from bots.plugins import ButtonPressed, ChatRef, Context, Feedback, Message, Plugin, PluginHost, Reacted, User

THANKS = "Thank you, I have noted it."
WAIT_FOR = timedelta(minutes=10)
"""How long a reply counts as the better answer that was announced; later it is a question again."""
FORGOTTEN = "I do not remember that answer any more."
WAIT_FOR_BETTER = "Reply to that answer with what I should have said, or write /teach and then the better answer."
TAUGHT = "Thank you. I have noted what I should have said."
NOTHING_TO_RATE = "I do not know which answer you mean. Reply to it with /rate good or /rate bad."
NOTHING_TO_TEACH = "I do not know which answer you mean. Reply to it with /teach and the better answer."

_SCORES = {"good": 1, "bad": -1}


@dataclass(frozen=True)
class _Awaited:
    id: MessageId
    until: datetime


class FeedbackPlugin(Plugin):
    """Ratings and corrections."""

    name = "feedback"
    summary = "telling me what was good, and what would have been better"
    version = "1"

    def __init__(self, host: PluginHost, log: ChatLog) -> None:
        self._host, self._log = host, log
        self._awaited: dict[tuple[ChatRef, str], _Awaited] = {}

    async def setup(self, ctx: Context[Any]) -> None:
        """Register buttons, reactions and the command."""
        self._ctx = ctx
        ctx.answer_button("good", "\N{THUMBS UP SIGN}", self.good, order=1)
        ctx.answer_button("bad", "\N{THUMBS DOWN SIGN}", self.bad, order=2)
        ctx.answer_button("better", "\N{PENCIL} Better", self.better, order=3)
        ctx.on_reaction(self.reacted)
        ctx.command("rate", self.rate)
        ctx.command("teach", self.teach)
        ctx.on_message(self.take_better, when=self._is_awaited)

    async def good(self, press: ButtonPressed) -> str:
        """Somebody likes an answer."""
        return await self._rate(press, 1)

    async def bad(self, press: ButtonPressed) -> str:
        """Somebody does not."""
        return await self._rate(press, -1)

    async def _rate(self, press: ButtonPressed, score: int) -> str:
        is_ours = await self._give(press.chat, press.id, press.user, score, FeedbackSource.BUTTON)
        return THANKS if is_ours else FORGOTTEN

    async def rate(self, message: Message, how: Annotated[Literal["good", "bad"], "what it was"]) -> str:
        """Tell me whether an answer was good, in reply to it or after the last one."""
        id = await self._meant(message)
        if id is None:
            return NOTHING_TO_RATE
        # As good as a button, for whoever has none; rating an answer again replaces what was said before.
        is_ours = await self._give(message.chat, id, message.author, _SCORES[how], FeedbackSource.BUTTON)
        return THANKS if is_ours else FORGOTTEN

    async def reacted(self, event: Reacted) -> None:
        """Somebody has put a reaction below an answer, or taken it away."""
        await self._give(event.chat, event.id, event.user, event.score, FeedbackSource.REACTION)

    async def _give(self, chat: ChatRef, id: MessageId, user: User, score: int, source: FeedbackSource) -> bool:
        is_ours = await self._log.give_feedback(chat, id, user.id, score, source)
        if is_ours:
            await self._tell_others(Feedback(chat, id, user, score))
        return is_ours

    async def _tell_others(self, feedback: Feedback) -> None:
        await self._ctx.hooks.on_feedback.tell(feedback, off=await self._host.off_in(feedback.chat))

    # Better answers.

    async def better(self, press: ButtonPressed) -> str:
        """Somebody knows a better answer, and is going to say it."""
        if await self._log.answer_at(press.chat, press.id) is None:
            return FORGOTTEN
        remember(self._awaited, (press.chat, press.user.id), _Awaited(press.id, self._ctx.now() + WAIT_FOR))
        return WAIT_FOR_BETTER

    def _is_awaited(self, message: Message) -> bool:
        awaited = self._announced(message)
        return awaited is not None and message.quote is not None and message.quote.id == awaited

    def _announced(self, message: Message) -> MessageId | None:
        """The answer for which the author has announced a better one, not long ago."""
        awaited = self._awaited.get((message.chat, message.author.id))
        return awaited.id if awaited is not None and self._ctx.now() < awaited.until else None

    async def take_better(self, message: Message) -> str | None:
        """The better answer that was announced."""
        del self._awaited[message.chat, message.author.id]
        assert message.quote is not None  # it is awaited
        return await self._teach(message.chat, message.quote.id, message.author, message.segments)

    async def teach(self, message: Message, better: Annotated[str, "what I should have said"]) -> str:
        """Tell me what I should have answered, in reply to an answer or after the last one."""
        id = await self._meant(message)
        if id is None:
            return NOTHING_TO_TEACH
        return await self._teach(message.chat, id, message.author, (Text(better),))

    async def _meant(self, message: Message) -> MessageId | None:
        """The message of ours that a person has in mind."""
        if message.quote is not None:
            return message.quote.id
        announced = self._announced(message)
        if announced is not None:
            del self._awaited[message.chat, message.author.id]
            return announced
        last = await self._log.last_answer(message.chat)
        posted = [post.platform_id for post in last.posts if post.platform_id is not None] if last else []
        return posted[-1] if posted else None

    async def _teach(self, chat: ChatRef, id: MessageId, user: User, segments: Sequence[Segment]) -> str:
        if not await self._log.corrections.give(chat, id, user, segments):
            return FORGOTTEN
        text = "".join(segment.text for segment in segments if isinstance(segment, Text))
        await self._tell_others(Feedback(chat, id, user, 0, correction=text))
        return TAUGHT
