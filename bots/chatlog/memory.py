"""What the log remembers of a chat, and what is left to do in it.

Only reads. Every statement here names the chat whose rows it wants, `unfinished` the account.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import chats as chat_rows
from bots.chatlog import content, schema
from bots.chatlog.chats import ChatRow
from bots.chatlog.cipher import Cipher
from bots.chatlog.database import AnyRow
from bots.chatlog.moving import MOVED
from bots.chatlog.places import CONTENT
from bots.chatlog.records import (
    SETTLED,
    AnswerState,
    LoggedAnswer,
    LoggedMessage,
    LoggedPost,
    LoggedTurn,
    QuestionState,
    Unfinished,
)
from bots.chatlog.schema import chats, messages, posts
from bots.message import Addressed, MessageId, Segment, User

# Questions that are not going to be answered, though the answer they were asked with may be under way.
DROPPED = frozenset({QuestionState.CANCELLED, QuestionState.EXPIRED})

_question = messages.alias("question")
_later = messages.alias("later")


async def history(
    connection: AsyncConnection, cipher: Cipher, chat: ChatRow, limit_turns: int, before_turn: int | None
) -> list[LoggedTurn]:
    """The newest turns that are remembered, oldest first."""
    is_asked = (
        select(_question.c.id)
        .where(
            _question.c.answer_id == messages.c.id,
            _question.c.state != QuestionState.CONTEXT,
            _question.c.content.is_not(None),
        )
        .exists()
    )
    found = (
        select(messages.c.id, messages.c.turn, messages.c.content)
        .join(chats, chats.c.id == messages.c.chat_id)
        .where(
            messages.c.chat_id == chat.id,
            messages.c.turn > func.coalesce(chats.c.reset_at, 0),
            messages.c.turn >= func.coalesce(chats.c.window_from, 0),
            _is_remembered(),
            is_asked,
        )
        .order_by(messages.c.turn.desc())
        .limit(limit_turns)
    )
    if before_turn is not None:
        found = found.where(messages.c.turn < before_turn)
    answers = (await connection.execute(found)).all()
    return await _turns(connection, cipher, chat, answers[::-1])


def _is_remembered() -> ColumnElement[bool]:
    return (messages.c.role == "bot") & messages.c.state.in_(SETTLED) & messages.c.content.is_not(None)


# One hop is from a message to what its turn replied to; a message without a turn leads to what it replied to itself.
# Where somebody wrote several messages at once, the first that is a reply counts.
_PATH = text("""
WITH RECURSIVE path (hop, answer_id, next_id) AS (
    SELECT 0, CAST(NULL AS BIGINT), CAST(:reply_to AS TEXT)
    UNION ALL
    SELECT
        path.hop + 1,
        COALESCE(posts.message_id, CASE WHEN said.state <> 'context' THEN said.answer_id END),
        CASE WHEN posts.id IS NULL AND (said.answer_id IS NULL OR said.state = 'context')
            THEN said.reply_to ELSE asked.reply_to END
    FROM path
    LEFT JOIN posts ON posts.chat_id = :chat_id AND posts.platform_id = path.next_id
    LEFT JOIN messages AS said ON said.chat_id = :chat_id AND said.platform_id = path.next_id
    LEFT JOIN messages AS asked ON asked.chat_id = :chat_id AND asked.id = (
        SELECT MIN(question.id) FROM messages AS question
        WHERE question.chat_id = :chat_id
            AND question.answer_id = COALESCE(posts.message_id, said.answer_id)
            AND question.state <> 'context'
            AND question.reply_to IS NOT NULL
    )
    WHERE path.hop < :limit_hops AND (posts.id IS NOT NULL OR said.id IS NOT NULL)
)
SELECT answer_id FROM path WHERE answer_id IS NOT NULL ORDER BY hop
""")


async def chain(
    connection: AsyncConnection, cipher: Cipher, chat: ChatRow, reply_to: MessageId, limit_turns: int
) -> list[LoggedTurn]:
    """The turns on a path of replies, oldest first."""
    where = {"reply_to": reply_to, "chat_id": chat.id, "limit_hops": limit_turns}
    path = (await connection.execute(_PATH, where)).scalars().all()
    found = (
        select(messages.c.id, messages.c.turn, messages.c.content)
        .join(chats, chats.c.id == messages.c.chat_id)
        .where(
            messages.c.chat_id == chat.id,
            messages.c.id.in_(path),
            messages.c.turn > func.coalesce(chats.c.reset_at, 0),
            _is_remembered(),
        )
    )
    answers = {row.id: row for row in (await connection.execute(found)).all()}
    # A cycle visits a turn more than once; dict.fromkeys keeps its first visit, the one nearest to the end.
    ordered = [answers[answer_id] for answer_id in dict.fromkeys(path) if answer_id in answers]
    return await _turns(connection, cipher, chat, ordered[::-1])


async def answer_at(
    connection: AsyncConnection, cipher: Cipher, chat: ChatRow, message_id: MessageId
) -> LoggedAnswer | None:
    """The answer that one of its posts belongs to."""
    found = _answers(chat).join(posts, posts.c.message_id == messages.c.id)
    is_shown = (posts.c.chat_id == chat.id) & (posts.c.platform_id == message_id)
    row = (await connection.execute(found.where(is_shown))).one_or_none()
    return None if row is None else await _answer(connection, cipher, chat, row)


async def answer_in(connection: AsyncConnection, cipher: Cipher, chat: ChatRow, turn: int) -> LoggedAnswer | None:
    """The newest answer of a turn that was not superseded."""
    is_it = (messages.c.turn == turn) & (messages.c.state != AnswerState.SUPERSEDED)
    found = _answers(chat).where(is_it).order_by(messages.c.id.desc()).limit(1)
    row = (await connection.execute(found)).one_or_none()
    return None if row is None else await _answer(connection, cipher, chat, row)


async def last_answer(connection: AsyncConnection, cipher: Cipher, chat: ChatRow) -> LoggedAnswer | None:
    """The newest answer that is remembered, whatever became of it."""
    reset_at = select(func.coalesce(chats.c.reset_at, 0)).where(chats.c.id == chat.id).scalar_subquery()
    is_remembered = (messages.c.turn > reset_at) & (messages.c.state != AnswerState.SUPERSEDED)
    found = _answers(chat).where(is_remembered).order_by(messages.c.turn.desc(), messages.c.id.desc()).limit(1)
    row = (await connection.execute(found)).one_or_none()
    return None if row is None else await _answer(connection, cipher, chat, row)


def _answers(chat: ChatRow) -> Select[*tuple[Any, ...]]:
    is_later = (
        select(_later.c.id)
        .where(
            _later.c.chat_id == chat.id,
            _later.c.turn > messages.c.turn,
            _later.c.state.not_in([AnswerState.SUPERSEDED, AnswerState.FAILED]),
        )
        .exists()
    )
    return select(*_ANSWER, (~is_later).label("is_newest")).where(messages.c.chat_id == chat.id)


async def _answer(connection: AsyncConnection, cipher: Cipher, chat: ChatRow, row: AnyRow) -> LoggedAnswer:
    return LoggedAnswer(
        answer_id=row.id,
        turn=row.turn,
        state=AnswerState(row.state),
        segments=_segments(cipher, chat, row.content),
        questions=(await _questions(connection, cipher, chat, [row.id])).get(row.id, ()),
        posts=(await _posts(connection, chat, [row.id])).get(row.id, ()),
        model_version=row.model_version,
        is_newest=row.is_newest,
        is_private=chat.is_private,
    )


_ANSWER = (messages.c.id, messages.c.turn, messages.c.state, messages.c.content, messages.c.model_version)


async def unfinished(connection: AsyncConnection, cipher: Cipher, platform: str, account: str) -> list[Unfinished]:
    """What a process that ended has left to do for an account."""
    found = (
        select(messages.c.chat_id, messages.c.id)
        .join(chats, chats.c.id == messages.c.chat_id)
        .where(chats.c.platform == platform, chats.c.account == account, schema.OPEN_STATES)
        .order_by(messages.c.id)
    )
    # A dict keeps the order in which chats come first: that of their oldest row.
    chat_ids = list(dict.fromkeys((await connection.execute(found)).scalars()))
    left: list[Unfinished] = []
    for chat_id in chat_ids:
        columns = select(*chat_rows.COLUMNS).where(chats.c.id == chat_id)
        chat = chat_rows.chat_row((await connection.execute(columns)).one())
        left += await _unfinished_answers(connection, cipher, chat)
        left += await _waiting(connection, cipher, chat)
    return left


async def _unfinished_answers(connection: AsyncConnection, cipher: Cipher, chat: ChatRow) -> list[Unfinished]:
    found = select(*_ANSWER).where(messages.c.chat_id == chat.id, messages.c.role == "bot", schema.OPEN_STATES)
    rows = (await connection.execute(found.order_by(messages.c.turn))).all()
    ids = [row.id for row in rows]
    questions = await _questions(connection, cipher, chat, ids)
    shown = await _posts(connection, chat, ids)
    return [
        Unfinished(
            chat=chat.ref,
            is_private=chat.is_private,
            questions=tuple(q for q in questions.get(row.id, ()) if q.state not in DROPPED),
            answer_id=row.id,
            state=AnswerState(row.state),
            segments=_segments(cipher, chat, row.content),
            posts=shown.get(row.id, ()),
        )
        for row in rows
    ]


async def _waiting(connection: AsyncConnection, cipher: Cipher, chat: ChatRow) -> list[Unfinished]:
    is_answered = (
        select(_later.c.id)
        .where(_later.c.id == messages.c.answer_id, _later.c.state.in_([AnswerState.WRITING, AnswerState.WRITTEN]))
        .exists()
    )
    waits = (messages.c.state == QuestionState.WAITING) & ~is_answered
    rows = await _people(connection, chat, waits & schema.OPEN_STATES)
    quoted = await _quoted(connection, chat, rows)
    by_author: dict[str, list[AnyRow]] = {}
    for row in rows:
        by_author.setdefault(row.author_id, []).append(row)
    return [
        Unfinished(chat.ref, chat.is_private, tuple(_logged(cipher, chat, row) for row in _beside(mine, quoted)))
        for mine in by_author.values()
    ]


async def has_spoken(connection: AsyncConnection, chat: ChatRow) -> bool:
    """Whether the chat has a row of the bot."""
    found = select(messages.c.id).where(messages.c.chat_id == chat.id, messages.c.turn.is_not(None)).limit(1)
    return (await connection.execute(found)).first() is not None


# From rows to records

_PERSON = (
    messages.c.id,
    messages.c.author_id,
    messages.c.content,
    messages.c.sent_at,
    messages.c.platform_id,
    messages.c.reply_to,
    messages.c.addressed,
    messages.c.state,
    messages.c.answer_id,
)


async def _turns(
    connection: AsyncConnection,
    cipher: Cipher,
    chat: ChatRow,
    answers: Sequence[AnyRow],
) -> list[LoggedTurn]:
    """The turns of some answers; those without a question or without words are left out."""
    questions = await _questions(connection, cipher, chat, [row.id for row in answers])
    turns = []
    for row in answers:
        asked, said = questions.get(row.id, ()), _segments(cipher, chat, row.content)
        if said and not all(question.is_context for question in asked):
            turns.append(LoggedTurn(row.turn, row.id, asked, said))
    return turns


async def _questions(
    connection: AsyncConnection, cipher: Cipher, chat: ChatRow, answer_ids: Sequence[int]
) -> dict[int, tuple[LoggedMessage, ...]]:
    """What each answer was asked with; a message that several of them quote stands with the first of `answer_ids`."""
    if not answer_ids:
        return {}
    rows = await _people(connection, chat, messages.c.answer_id.in_(answer_ids))
    quoted = await _quoted(connection, chat, rows)
    asked = {key: list(group) for key, group in groupby(sorted(rows, key=_answer_of), key=_answer_of)}
    seen: set[int] = set()
    result = {}
    for answer_id in answer_ids:
        together = [row for row in _beside(asked.get(answer_id, []), quoted) if row.id not in seen]
        seen |= {row.id for row in together}
        result[answer_id] = tuple(_logged(cipher, chat, row) for row in together)
    return result


def _answer_of(row: AnyRow) -> int:
    return int(row.answer_id)


async def _people(connection: AsyncConnection, chat: ChatRow, condition: ColumnElement[bool]) -> Sequence[AnyRow]:
    is_said = (messages.c.role == "user") & messages.c.content.is_not(None)
    found = select(*_PERSON).where(messages.c.chat_id == chat.id, is_said, condition).order_by(messages.c.id)
    return (await connection.execute(found)).all()


async def _quoted(connection: AsyncConnection, chat: ChatRow, rows: Iterable[AnyRow]) -> Sequence[AnyRow]:
    """The rows of context that some questions reply to."""
    ids = {row.reply_to for row in rows if row.reply_to is not None and row.state != QuestionState.CONTEXT}
    if not ids:
        return ()
    is_quoted = (messages.c.state == QuestionState.CONTEXT) & messages.c.platform_id.in_(ids)
    return await _people(connection, chat, is_quoted)


def _beside(asked: Sequence[AnyRow], quoted: Iterable[AnyRow]) -> list[AnyRow]:
    """Questions in their order, with what they quote right before the first that quotes it."""
    first = {row.reply_to: row.id for row in reversed(asked) if row.state != QuestionState.CONTEXT}
    first.pop(None, None)
    rows = {row.id: row for row in asked} | {row.id: row for row in quoted if row.platform_id in first}

    def order(row: AnyRow) -> tuple[int, bool, int]:
        is_context = row.state == QuestionState.CONTEXT
        return (first.get(row.platform_id, row.id) if is_context else row.id, not is_context, row.id)

    return sorted(rows.values(), key=order)


async def _posts(
    connection: AsyncConnection, chat: ChatRow, answer_ids: Sequence[int]
) -> dict[int, tuple[LoggedPost, ...]]:
    if not answer_ids:
        return {}
    found = (
        select(posts)
        .where(posts.c.chat_id == chat.id, posts.c.message_id.in_(answer_ids))
        .order_by(posts.c.message_id, posts.c.part)
    )
    rows = (await connection.execute(found)).all()
    return {
        key: tuple(LoggedPost(row.part, row.nonce, _message_id(row.platform_id), row.created_at) for row in group)
        for key, group in groupby(rows, key=lambda row: row.message_id)
    }


def _segments(cipher: Cipher, chat: ChatRow, blob: bytes | None) -> tuple[Segment, ...] | None:
    return None if blob is None else content.unpack(cipher.open(chat.place(CONTENT), blob)).segments


def _logged(cipher: Cipher, chat: ChatRow, row: AnyRow) -> LoggedMessage:
    said = content.unpack(cipher.open(chat.place(CONTENT), row.content))
    return LoggedMessage(
        row_id=row.id,
        author=User(chat.ref.platform, row.author_id, said.author or "", said.is_bot, said.is_person),
        segments=said.segments,
        sent_at=row.sent_at,
        platform_id=_message_id(row.platform_id),
        reply_to=_message_id(row.reply_to),
        addressed=frozenset(Addressed(word) for word in row.addressed.split(",") if word),
        state=QuestionState(row.state),
    )


def _message_id(value: str | None) -> MessageId | None:
    return None if value is None or value.startswith(MOVED) else MessageId(value)
