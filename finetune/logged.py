"""What people have said to the bot and agreed to be trained on, as messages like those of any other source.

The policy gate stands in `bots.chatlog`: what it does not let pass never gets here. Knows nothing of what becomes of
it.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace

from bots.chatlog import ChatLog, TrainableMessage, TrainableTurn, TrainingRole
from finetune.message import LOG, Kind, Rating, Role, SourceMessage

# What is said after a longer silence is a conversation of its own.
SESSION_MS = 2 * 3600 * 1000


@dataclass
class _Chat:
    """How far a chat has come."""

    conversation: str = ""
    last_id: str | None = None
    last_ms: int = 0


async def messages(log: ChatLog) -> AsyncIterator[SourceMessage]:
    """All messages that may be trained on today, in the order in which the turns came about."""
    chats: dict[str, _Chat] = {}
    async for turn in log.training.turns():
        for message in _of_turn(turn, chats.setdefault(turn.chat_uuid, _Chat())):
            yield message


def message_number(id: str) -> int | None:
    """What `ChatLog.training` knows a message by; None for one of another source."""
    return int(id.rpartition(":")[2].partition("+")[0]) if id.startswith(f"{LOG}:") else None


def _of_turn(turn: TrainableTurn, chat: _Chat) -> Iterator[SourceMessage]:
    said = {role: [m for m in turn.messages if m.role is role] for role in TrainingRole}
    asked, answered = said[TrainingRole.USER], said[TrainingRole.BOT]
    if not chat.conversation or _ms(asked[0]) - chat.last_ms > SESSION_MS:
        chat.conversation, chat.last_id = f"{LOG}:{turn.chat_uuid}:{turn.turn}", None
    # Without corrections, which may be given days later.
    chat.last_ms = max(map(_ms, (*asked, *answered)))
    yield from _chained(turn, chat, asked)
    question = chat.last_id
    for answers, kind in (
        (answered, Kind.MESSAGE),
        (said[TrainingRole.CORRECTION], Kind.CORRECTION),
        (said[TrainingRole.REJECTED], Kind.REJECTED),
    ):
        for number, answer in enumerate(answers):
            message = replace(_message(turn, chat, answer, kind, number), reply_to=question)
            yield message
            if kind is Kind.MESSAGE:
                chat.last_id = message.id


def _chained(turn: TrainableTurn, chat: _Chat, asked: Sequence[TrainableMessage]) -> Iterator[SourceMessage]:
    """What was asked, each after what was said before it."""
    for question in asked:
        message = replace(_message(turn, chat, question, Kind.MESSAGE, 0), reply_to=chat.last_id)
        chat.last_id = message.id
        yield message


def _message(turn: TrainableTurn, chat: _Chat, said: TrainableMessage, kind: Kind, number: int) -> SourceMessage:
    is_ours = said.role in (TrainingRole.BOT, TrainingRole.REJECTED)
    is_asked = said.role is TrainingRole.USER
    suffix = f"+{number + 1}" if kind is Kind.CORRECTION else ""  # it has the number of the answer that it corrects
    ratings = tuple(Rating(rating.pseudonym, rating.score, rating.source) for rating in turn.ratings)
    return SourceMessage(
        id=f"{LOG}:{turn.chat_uuid}:{said.message_id}{suffix}",
        platform=turn.platform,
        chat=turn.chat_uuid,
        author=said.pseudonym,
        pieces=said.pieces,
        sent_at_ms=_ms(said),
        conversation=chat.conversation,
        role=Role.USER if is_asked else Role.ASSISTANT,
        kind=kind,
        is_bot=is_ours,
        is_shared=turn.is_shared,
        ratings=ratings if said.role is TrainingRole.BOT else (),
        model_version=turn.model_version if said.role is TrainingRole.BOT else None,
        source=LOG,
    )


def _ms(message: TrainableMessage) -> int:
    return round(message.sent_at.timestamp() * 1000)
