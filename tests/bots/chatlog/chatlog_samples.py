"""Messages and talks for the tests of the chat log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bots.chatlog import AnswerState, ChatLog, ConsentSource, DatabaseSettings, QuestionState, TrainableTurn
from bots.message import Addressed, ChatRef, Message, MessageId, Quote, Segment, Text, User
from bots.policy import Policy, Purpose

START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
CHAT = ChatRef("telegram", "bot1", "100")
ANNA = User("telegram", "7", "Anna")
BERT = User("telegram", "8", "Bert")
DIRECT = frozenset({Addressed.DIRECT})
CONFIRMED = Policy(telegram_confirmed=True)


class Clock:
    """A clock that moves a second with every look at it."""

    def __init__(self, start: datetime = START) -> None:
        self.time = start

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


def settings(url: str, folder: Path, **values: Any) -> DatabaseSettings:
    return DatabaseSettings(url=url, key_file=folder / "secrets" / "chatlog.keys", **values)


def message(
    id: str | int,
    text: str | Sequence[Segment] = "hello",
    *,
    chat: ChatRef = CHAT,
    author: User = ANNA,
    reply_to: str | int | None = None,
    quote: Quote | None = None,
    time: datetime = START,
    is_private: bool = False,
    is_forwarded: bool = False,
) -> Message:
    segments = (Text(text),) if isinstance(text, str) else tuple(text)
    if reply_to is not None:
        quote = Quote(MessageId(str(reply_to)), None)
    return Message(
        MessageId(str(id)), chat, author, segments, time, quote, is_private=is_private, is_forwarded=is_forwarded
    )


async def ask(log: ChatLog, id: str | int, text: str = "hello", **values: Any) -> int:
    """Receive a question; returns its row id."""
    row_id = await log.receive(message(id, text, **values), QuestionState.WAITING, addressed=DIRECT)
    assert row_id is not None
    return row_id


async def answer(
    log: ChatLog,
    question_ids: Sequence[int],
    text: str = "hi",
    *,
    post: str | int | None = None,
    chat: ChatRef = CHAT,
    state: AnswerState = AnswerState.DELIVERED,
) -> int:
    """Answer questions in one post; returns the answer's id."""
    answer_id = await log.begin_answer(chat, question_ids)
    await write(log, answer_id, text)
    if post is not None:
        await log.posting(answer_id, 0, f"n{answer_id}")
        await log.posted(answer_id, 0, MessageId(str(post)))
    await log.end_answer(answer_id, state)
    return answer_id


async def write(log: ChatLog, answer_id: int, text: str = "hi") -> None:
    await log.write_answer(answer_id, (Text(text),), model_version="v1", prompt_sha256="ab" * 32, finish_reason="stop")


async def talk(log: ChatLog, number: int, chat: ChatRef = CHAT, **values: Any) -> int:
    """One whole turn: question `number` as message 10 * number, answered in 10 * number + 1; returns the turn."""
    row_id = await ask(log, 10 * number, f"question {number}", chat=chat, **values)
    await answer(log, [row_id], f"answer {number}", post=10 * number + 1, chat=chat)
    return row_id


def said(turns: Sequence[Any]) -> list[tuple[list[str], str]]:
    """Turns as texts."""
    return [([words(q.segments) for q in turn.questions], words(turn.answer)) for turn in turns]


def words(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments if isinstance(segment, Text))


async def decide(
    log: ChatLog,
    is_granted: bool = True,
    *,
    user: User = ANNA,
    chat: ChatRef = CHAT,
    purpose: Purpose = Purpose.TRAINING,
    is_private: bool = False,
    source: ConsentSource = ConsentSource.COMMAND,
) -> None:
    """Record what a person decides."""
    await log.consents.record(user, chat, purpose, is_granted=is_granted, source=source, is_private=is_private)


async def talk_now(log: ChatLog, number: int, chat: ChatRef = CHAT, **values: Any) -> int:
    """`talk`, said after all that happened so far."""
    return await talk(log, number, chat, time=log.now(), **values)


async def trainable(log: ChatLog) -> list[TrainableTurn]:
    return [turn async for turn in log.training.turns()]


def spoken(turns: Sequence[TrainableTurn]) -> list[list[tuple[str, str]]]:
    """Turns as roles and texts."""
    return [[(str(each.role), words(each.segments)) for each in turn.messages] for turn in turns]
