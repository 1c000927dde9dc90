"""Words of people who want not to be remembered: kept until they are answered, and wiped then.

Not before: a question has to outlive a crash until its answer has arrived. Statements only: the caller brings the
transaction.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import chats as chat_rows
from bots.chatlog.records import UNSETTLED, QuestionState
from bots.chatlog.schema import chats, corrections, messages
from bots.message import ChatRef

_asked = messages.alias("asked")
_answer = messages.alias("answer")


async def wipe_answered(connection: AsyncConnection, answer_id: int, now: datetime) -> None:
    """Wipe what an answer that has ended was only kept for.

    If one of its questions was, the answer goes as well, with those before it in its turn. Where only a quote was,
    the answer stays: it was said to somebody else.
    """
    quoted = select(_asked.c.reply_to).where(_asked.c.answer_id == answer_id, _asked.c.reply_to.is_not(None))
    of_answer = select(_answer.c.chat_id).where(_answer.c.id == answer_id).scalar_subquery()
    is_quoted = (
        (messages.c.state == QuestionState.CONTEXT)
        & (messages.c.chat_id == of_answer)
        & messages.c.platform_id.in_(quoted)
    )
    passed = await _wipe(connection, or_(messages.c.answer_id == answer_id, is_quoted), now)
    if any(state != QuestionState.CONTEXT for state in passed):
        turn = select(_answer.c.turn).where(_answer.c.id == answer_id).scalar_subquery()
        is_answer = (messages.c.role == "bot") & (messages.c.chat_id == of_answer) & (messages.c.turn == turn)
        await connection.execute(update(messages).where(is_answer).values(_wiped(now)))


async def wipe_given_up(connection: AsyncConnection, row_ids: Sequence[int], now: datetime) -> None:
    """Wipe messages that are not going to be answered, and what they quote."""
    quoted = select(_asked.c.reply_to).where(_asked.c.id.in_(row_ids), _asked.c.reply_to.is_not(None))
    in_chats = select(_asked.c.chat_id).where(_asked.c.id.in_(row_ids))
    is_quoted = (
        (messages.c.state == QuestionState.CONTEXT)
        & messages.c.chat_id.in_(in_chats)
        & messages.c.platform_id.in_(quoted)
    )
    await _wipe(connection, or_(messages.c.id.in_(row_ids), is_quoted), now)


async def wipe_person(connection: AsyncConnection, chat: ChatRef, user_id: str, now: datetime) -> None:
    """Wipe the turns of a person in a chat and its threads; what waits for an answer is kept until it has it."""
    in_chat = messages.c.chat_id.in_(select(chats.c.id).where(chat_rows.is_family(chat)))
    is_theirs = in_chat & (messages.c.role == "user") & (messages.c.author_id == user_id)
    under_way = select(_answer.c.id).where(_answer.c.role == "bot", _answer.c.state.in_(UNSETTLED))
    is_open = (messages.c.state == QuestionState.WAITING) | messages.c.answer_id.in_(under_way)
    await connection.execute(update(messages).where(is_theirs, is_open).values(is_passing=True))
    is_answered = is_answer_to(user_id, in_chat) & messages.c.state.not_in(UNSETTLED)
    await connection.execute(update(messages).where(is_answered).values(_wiped(now)))
    is_settled = is_theirs & messages.c.is_passing.is_(False)
    await connection.execute(update(messages).where(is_settled).values(_wiped(now)))
    in_family = select(messages.c.id).where(in_chat, messages.c.role == "bot")
    gone = delete(corrections).where(corrections.c.user_id == user_id, corrections.c.message_id.in_(in_family))
    await connection.execute(gone)


def is_answer_to(user_id: str, in_chats: ColumnElement[bool]) -> ColumnElement[bool]:
    """Condition: a row of the bot answers a person, or did before another answer took its place."""
    theirs = (_asked.c.role == "user") & (_asked.c.author_id == user_id) & (_asked.c.state != QuestionState.CONTEXT)
    turns = select(_answer.c.turn).join(_asked, _asked.c.answer_id == _answer.c.id).where(theirs)
    own = select(_asked.c.id).where(theirs)
    is_one = messages.c.turn.in_(turns) | messages.c.turn.in_(own)
    return in_chats & (messages.c.role == "bot") & is_one


async def _wipe(connection: AsyncConnection, condition: ColumnElement[bool], now: datetime) -> tuple[str, ...]:
    wiped = update(messages).where(condition, messages.c.is_passing, messages.c.role == "user").values(_wiped(now))
    return tuple((await connection.execute(wiped.returning(messages.c.state))).scalars())


def _wiped(now: datetime) -> dict[str, object]:
    return {"content": None, "key_id": None, "deleted_at": now}
