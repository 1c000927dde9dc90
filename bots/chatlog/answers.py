"""The rows of what the bot says: an answer's life from the first token to the last acknowledgement.

Statements only: the caller brings the transaction.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, case, delete, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import content, passing, samples
from bots.chatlog.chats import ChatRow, find_of, hold
from bots.chatlog.cipher import Cipher
from bots.chatlog.content import Content
from bots.chatlog.database import AnyRow, insert
from bots.chatlog.places import CONTENT
from bots.chatlog.records import SETTLED, UNSETTLED, AnswerState, QuestionState
from bots.chatlog.schema import UtcTime, messages, posts
from bots.message import MessageId, Segment

_asked = messages.alias("asked")
_answer = messages.alias("answer")

# States of a question that an answer's end decides; what was cancelled meanwhile stays so.
DECIDED_BY_ANSWER = (QuestionState.WAITING, QuestionState.ANSWERED, QuestionState.FAILED)


async def begin(connection: AsyncConnection, chat: ChatRow, question_ids: Sequence[int], now: datetime) -> int:
    """Open an answer; the one before it, if any, leaves its place to it."""
    await hold(connection, chat)
    rows = await _questions(connection, chat, question_ids)
    asked = [row for row in rows if row.state != QuestionState.CONTEXT]
    if not asked:
        raise ValueError(f"rows {list(question_ids)} hold no question; an answer needs one")
    before = await _answers_before(connection, [row.answer_id for row in asked if row.answer_id is not None])
    turn = min([row.id for row in asked] + [row.turn for row in before])
    replaces = before[-1].id if before and before[-1].state in SETTLED else None
    is_retry = len(before) == 1 and await _questions_of(connection, before[0].id) == {row.id for row in asked}
    remembers_others = await samples.remembers_others(connection, chat, turn, {row.author_id for row in asked})
    answer_id = await _insert(connection, chat, turn, replaces, now, remembers_others=remembers_others)
    # Context stays with the turn that it stood beside first.
    takes = messages.c.id.in_(question_ids) & (
        (messages.c.state != QuestionState.CONTEXT) | messages.c.answer_id.is_(None)
    )
    await connection.execute(update(messages).where(takes).values(answer_id=answer_id))
    if before:
        await _supersede(connection, [row.id for row in before], answer_id, is_retry=is_retry)
    return answer_id


async def _questions(connection: AsyncConnection, chat: ChatRow, ids: Sequence[int]) -> Sequence[AnyRow]:
    found = select(messages.c.id, messages.c.state, messages.c.answer_id, messages.c.author_id).where(
        messages.c.id.in_(ids), messages.c.chat_id == chat.id, messages.c.role == "user"
    )
    rows = (await connection.execute(found)).all()
    if strange := set(ids) - {row.id for row in rows}:
        raise ValueError(f"rows {sorted(strange)} are no messages of {chat.ref.key}")
    return rows


async def _questions_of(connection: AsyncConnection, answer_id: int) -> set[int]:
    is_asked = (messages.c.role == "user") & (messages.c.state != QuestionState.CONTEXT)
    found = select(messages.c.id).where(messages.c.answer_id == answer_id, is_asked)
    return set((await connection.execute(found)).scalars())


async def _answers_before(connection: AsyncConnection, ids: Sequence[int]) -> Sequence[AnyRow]:
    if not ids:
        return ()
    found = (
        select(messages.c.id, messages.c.turn, messages.c.state).where(messages.c.id.in_(ids)).order_by(messages.c.id)
    )
    return (await connection.execute(found)).all()


async def _insert(
    connection: AsyncConnection,
    chat: ChatRow,
    turn: int,
    replaces: int | None,
    now: datetime,
    *,
    remembers_others: bool,
) -> int:
    statement = insert(connection, messages).values(
        chat_id=chat.id,
        role="bot",
        state=AnswerState.WRITING,
        sent_at=now,
        turn=turn,
        replaces=replaces,
        remembers_others=remembers_others,
        is_comparable=True,
    )
    return int((await connection.execute(statement.returning(messages.c.id))).scalar_one())


async def _supersede(connection: AsyncConnection, old_ids: Sequence[int], new_id: int, *, is_retry: bool) -> None:
    old = update(messages).where(messages.c.id.in_(old_ids))
    is_comparable = messages.c.is_comparable & (messages.c.state == AnswerState.DELIVERED) & literal(is_retry)
    await connection.execute(old.values(state=AnswerState.SUPERSEDED, is_comparable=is_comparable))
    beside = (messages.c.answer_id.in_(old_ids)) & (messages.c.state == QuestionState.CONTEXT)
    await connection.execute(update(messages).where(beside).values(answer_id=new_id))
    # Two answers can leave their places to one, but it has one part 0: the newest one's.
    await connection.execute(update(posts).where(posts.c.message_id == old_ids[-1]).values(message_id=new_id))


async def join(connection: AsyncConnection, answer_id: int, question_ids: Sequence[int]) -> None:
    """Add questions to an answer under way."""
    chat = await find_of(connection, answer_id)
    if chat is not None:
        await hold(connection, chat)
        await _questions(connection, chat, question_ids)
        joins = messages.c.id.in_(question_ids) & messages.c.answer_id.is_(None)
        if (await connection.execute(update(messages).where(joins).values(answer_id=answer_id))).rowcount:
            await _set_incomparable(connection, _replaced_by(answer_id))


async def outdate(connection: AsyncConnection, question_id: int) -> None:
    """Note that a question has changed: its answer, and the one before, are answers to something else."""
    answer = select(_asked.c.answer_id).where(_asked.c.id == question_id).scalar_subquery()
    await _set_incomparable(connection, (messages.c.id == answer) | _replaced_by(answer))


def _replaced_by(answer_id: int | ScalarSelect[int]) -> ColumnElement[bool]:
    replaced = select(_answer.c.replaces).where(_answer.c.id == answer_id).scalar_subquery()
    return messages.c.id == replaced


async def _set_incomparable(connection: AsyncConnection, condition: ColumnElement[bool]) -> None:
    await connection.execute(update(messages).where(condition).values(is_comparable=False))


async def write(
    connection: AsyncConnection,
    cipher: Cipher,
    answer_id: int,
    segments: Sequence[Segment],
    *,
    model_version: str | None,
    prompt_sha256: str | None,
    finish_reason: str | None,
) -> None:
    """Store the text of an answer."""
    chat = await find_of(connection, answer_id)
    if chat is None:
        return
    key_id, blob = cipher.seal(chat.place(CONTENT), content.pack(Content(tuple(segments))))
    written = case((messages.c.state.in_(UNSETTLED), AnswerState.WRITTEN), else_=messages.c.state)
    values = {
        "content": blob,
        "key_id": key_id,
        "state": written,
        "model_version": model_version,
        "prompt_sha256": prompt_sha256,
        "finish_reason": finish_reason,
    }
    # What was wiped meanwhile stays so.
    is_it = (messages.c.id == answer_id) & messages.c.deleted_at.is_(None)
    await connection.execute(update(messages).where(is_it).values(values))


async def end(connection: AsyncConnection, answer_id: int, state: AnswerState, now: datetime) -> None:
    """Settle an answer and its questions, and wipe what was kept only until then."""
    if state in UNSETTLED:
        raise ValueError(f"an answer does not end as {state}; begin_answer and write_answer set that")
    chat = await find_of(connection, answer_id)
    if chat is None:
        return
    await hold(connection, chat)
    is_it = (messages.c.id == answer_id) & (messages.c.state != AnswerState.SUPERSEDED)
    await connection.execute(update(messages).where(is_it).values(state=state))
    if state is AnswerState.SUPERSEDED:
        return
    outcome = QuestionState.ANSWERED if state in SETTLED else QuestionState.FAILED
    if state is AnswerState.FAILED and (replaced := await _restore(connection, answer_id)) is not None:
        answer_id, outcome = replaced, QuestionState.ANSWERED
    asked = (messages.c.answer_id == answer_id) & messages.c.state.in_(DECIDED_BY_ANSWER)
    await connection.execute(update(messages).where(asked).values(state=outcome))
    await passing.wipe_answered(connection, answer_id, now)


async def _restore(connection: AsyncConnection, failed_id: int) -> int | None:
    """Bring back the answer that a failed one was to replace, if there was one; returns its id."""
    replaced: int | None = await connection.scalar(select(messages.c.replaces).where(messages.c.id == failed_id))
    is_it = (messages.c.id == replaced) & (messages.c.state == AnswerState.SUPERSEDED) & messages.c.content.is_not(None)
    brought = update(messages).where(is_it).values(state=AnswerState.DELIVERED)
    if replaced is None or not (await connection.execute(brought)).rowcount:
        return None
    await connection.execute(update(messages).where(messages.c.answer_id == failed_id).values(answer_id=replaced))
    await connection.execute(update(posts).where(posts.c.message_id == failed_id).values(message_id=replaced))
    return replaced


async def posting(connection: AsyncConnection, answer_id: int, part: int, nonce: str, now: datetime) -> None:
    """Note a part that is about to be sent."""
    values = select(messages.c.id, messages.c.chat_id, literal(part), literal(nonce), literal(now, UtcTime)).where(
        messages.c.id == answer_id
    )
    statement = insert(connection, posts).from_select(["message_id", "chat_id", "part", "nonce", "created_at"], values)
    renewed = {"nonce": nonce, "platform_id": None, "created_at": now}
    await connection.execute(statement.on_conflict_do_update(index_elements=["message_id", "part"], set_=renewed))


async def posted(connection: AsyncConnection, answer_id: int, part: int, message_id: MessageId) -> None:
    """Note that a part was acknowledged."""
    await connection.execute(update(posts).where(*_is_part(answer_id, part)).values(platform_id=message_id))


async def unposted(connection: AsyncConnection, answer_id: int, part: int) -> None:
    """Forget a part."""
    await connection.execute(delete(posts).where(*_is_part(answer_id, part)))


def _is_part(answer_id: int, part: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return posts.c.message_id == answer_id, posts.c.part == part
