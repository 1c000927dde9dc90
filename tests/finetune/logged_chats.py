"""Chats with the bot in a real chat log, by people who have agreed to training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bots.chatlog import AnswerState, ChatLog, FeedbackSource, QuestionState
from bots.conversation import Conversation as ServedConversation
from bots.conversation import Question
from bots.message import MessageId, Segment, Text, User
from engine.generation import ChatMessage
from finetune import logged
from finetune.conversation import Conversation
from finetune.gathering import in_order
from finetune.message import SourceMessage
from finetune.threads.divided import divided
from tests.bots.chatlog.chatlog_samples import ANNA, BERT, CHAT, DIRECT, decide, message

PERSONA = "Be kind."
CARL = User("telegram", "9", "Carl")
PEOPLE = (ANNA, BERT, CARL)


@dataclass
class Chat:
    """A chat whose turns go through log and memory as the dispatcher has them go."""

    log: ChatLog
    is_private: bool = False
    served: list[tuple[ChatMessage, ...]] = field(default_factory=list)
    _number: int = 0

    async def agree(self, *people: User) -> None:
        for user in people or PEOPLE:
            await decide(self.log, user=user, is_private=self.is_private)

    async def ask(self, author: User, *said: str | Segment, time: datetime | None = None) -> Question:
        self._number += 1
        segments = tuple(Text(each) if isinstance(each, str) else each for each in said)
        sent = message(self._number, segments, author=author, time=time or self.log.now(), is_private=self.is_private)
        row_id = await self.log.receive(sent, QuestionState.WAITING, addressed=DIRECT)
        assert row_id is not None
        return Question(row_id, sent.id, author, segments)

    async def answer(self, questions: Sequence[Question], text: str) -> MessageId:
        """Answer as the model would; what it was shown stands in `served` then."""
        memory = ServedConversation(CHAT, self.log, is_private=self.is_private, persona=PERSONA)
        prompt = await memory.prompt(questions)
        self.served.append(prompt.request.messages)
        answer_id = await self.log.begin_answer(CHAT, [question.row_id for question in questions])
        await self.log.write_answer(
            answer_id, prompt.segments(text), model_version="v1", prompt_sha256="ab" * 32, finish_reason="stop"
        )
        post = MessageId(f"answer {answer_id}")
        await self.log.posting(answer_id, 0, f"n{answer_id}")
        await self.log.posted(answer_id, 0, post)
        await self.log.end_answer(answer_id, AnswerState.DELIVERED)
        return post

    async def turn(self, author: User, said: str, answer: str) -> MessageId:
        return await self.answer([await self.ask(author, said)], answer)

    async def rate(self, post: MessageId, score: int = 1, user: User = ANNA) -> None:
        assert await self.log.give_feedback(CHAT, post, user.id, score, FeedbackSource.BUTTON)


async def logged_messages(log: ChatLog) -> list[SourceMessage]:
    return [each async for each in logged.messages(log)]


async def conversations(log: ChatLog) -> list[Conversation]:
    """What the log holds, as the stages make it of its messages."""
    return divided(in_order(await logged_messages(log)))
