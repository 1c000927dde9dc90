"""The rows of what people say: received, edited, deleted.

Statements only: the caller brings the transaction.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Select, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import content, passing
from bots.chatlog.chats import ChatRow, find_of, hold
from bots.chatlog.cipher import Cipher
from bots.chatlog.content import Content
from bots.chatlog.database import insert
from bots.chatlog.places import CONTENT
from bots.chatlog.records import SETTLED, QuestionState
from bots.chatlog.schema import messages, posts
from bots.message import Addressed, Message, MessageEdited, MessageId, MessagesDeleted, Quote, Segment, User


async def receive(
    connection: AsyncConnection,
    cipher: Cipher,
    chat: ChatRow,
    message: Message,
    state: QuestionState,
    addressed: frozenset[Addressed],
    *,
    is_passing: bool,
) -> int | None:
    """Store a message; None if it was there already."""
    values = {
        **_said(cipher, chat, message.author, message.segments),
        "is_passing": is_passing,
        "is_forwarded": message.is_forwarded,
        "platform_id": message.id,
        "reply_to": message.quote.id if message.quote else None,
        "addressed": ",".join(sorted(addressed)),
        "sent_at": message.time,
        "state": state,
    }
    if is_passing and state is not QuestionState.WAITING:  # nothing is going to be done with what it says
        values |= {"content": None, "key_id": None}
    statement = insert(connection, messages).values(values)
    # What was context may come to be answered; nothing else is ever taken twice.
    only_context = (messages.c.state == QuestionState.CONTEXT) & messages.c.deleted_at.is_(None)
    statement = statement.on_conflict_do_update(
        index_elements=["chat_id", "platform_id"],
        # As context it stood beside another answer, which is not its own.
        set_={name: statement.excluded[name] for name in values} | {"answer_id": None},
        where=only_context & (statement.excluded.state != QuestionState.CONTEXT),
    )
    row_id: int | None = (await connection.execute(statement.returning(messages.c.id))).scalar_one_or_none()
    return row_id


async def note(
    connection: AsyncConnection,
    cipher: Cipher,
    chat: ChatRow,
    quote: Quote,
    author: User,
    time: datetime,
    *,
    is_passing: bool,
) -> int | None:
    """Store a quoted message as context; None if it was there already."""
    statement = insert(connection, messages).values(
        **_said(cipher, chat, author, quote.segments),
        platform_id=quote.id,
        sent_at=time,
        state=QuestionState.CONTEXT,
        is_passing=is_passing,
    )
    done = statement.on_conflict_do_nothing(index_elements=["chat_id", "platform_id"]).returning(messages.c.id)
    row_id: int | None = (await connection.execute(done)).scalar_one_or_none()
    return row_id


def _said(cipher: Cipher, chat: ChatRow, author: User, segments: Sequence[Segment]) -> dict[str, object]:
    packed = content.pack(Content(tuple(segments), author.name, author.is_bot, author.is_person))
    key_id, blob = cipher.seal(chat.place(CONTENT), packed)
    return {"chat_id": chat.id, "role": "user", "author_id": author.id, "key_id": key_id, "content": blob}


async def set_content(connection: AsyncConnection, cipher: Cipher, row_id: int, segments: Sequence[Segment]) -> None:
    """Replace what a message says, unless it was wiped."""
    chat = await find_of(connection, row_id)
    if chat is None:
        return
    row = (await connection.execute(_content(chat).where(messages.c.id == row_id))).one_or_none()
    if row is not None:
        before = content.unpack(cipher.open(chat.place(CONTENT), row.content))
        await _replace(connection, cipher, chat, row_id, replace(before, segments=tuple(segments)))


async def is_there(connection: AsyncConnection, chat: ChatRow, id: MessageId) -> bool:
    """Whether the log has a row of a message, be it wiped."""
    found = select(messages.c.id).where(messages.c.chat_id == chat.id, messages.c.platform_id == id)
    return (await connection.execute(found)).first() is not None


async def edit(connection: AsyncConnection, cipher: Cipher, chat: ChatRow, event: MessageEdited) -> int | None:
    """Replace what a message says, if the edit is news."""
    await hold(connection, chat)
    row = (await connection.execute(_content(chat).where(messages.c.platform_id == event.id))).one_or_none()
    if row is None or (row.edited_at is not None and row.edited_at > event.time):
        return None
    before = content.unpack(cipher.open(chat.place(CONTENT), row.content))
    if content.says_the_same(before.segments, event.segments):
        return None
    segments = content.keep_read_texts(before.segments, event.segments)
    await _replace(connection, cipher, chat, row.id, replace(before, segments=segments), event.time)
    return int(row.id)


def _content(chat: ChatRow) -> Select[tuple[int, bytes | None, datetime | None]]:
    """What a person's rows in a chat say; locked until the transaction ends, as it is going to be replaced."""
    columns = select(messages.c.id, messages.c.content, messages.c.edited_at)
    is_said = (messages.c.role == "user") & messages.c.content.is_not(None)
    return columns.where(messages.c.chat_id == chat.id, is_said).with_for_update()


async def _replace(
    connection: AsyncConnection,
    cipher: Cipher,
    chat: ChatRow,
    row_id: int,
    said: Content,
    edited_at: datetime | None = None,
) -> None:
    key_id, blob = cipher.seal(chat.place(CONTENT), content.pack(said))
    values: dict[str, object] = {"key_id": key_id, "content": blob}
    if edited_at is not None:
        values["edited_at"] = edited_at
    await connection.execute(update(messages).where(messages.c.id == row_id).values(values))


async def set_state(connection: AsyncConnection, row_ids: Sequence[int], state: QuestionState, now: datetime) -> None:
    """Say what became of people's messages, which are of one chat; wipe what was kept only until then."""
    chat = await find_of(connection, row_ids[0]) if row_ids else None
    if chat is None:
        return
    await hold(connection, chat)
    is_one = messages.c.id.in_(row_ids) & (messages.c.role == "user")
    await connection.execute(update(messages).where(is_one).values(state=state))
    if state is not QuestionState.WAITING:
        await passing.wipe_given_up(connection, row_ids, now)


async def delete(connection: AsyncConnection, chat: ChatRow, event: MessagesDeleted) -> tuple[int, ...]:
    """Wipe what the messages said, and the answers that were shown in nothing else."""
    await hold(connection, chat)
    is_meant = messages.c.platform_id.in_(event.ids) & messages.c.deleted_at.is_(None)
    wiped = await _wipe(connection, (messages.c.chat_id == chat.id) & is_meant, event.time)
    waits = (messages.c.state == QuestionState.WAITING) & messages.c.id.in_(wiped)
    await connection.execute(update(messages).where(waits).values(state=QuestionState.CANCELLED))
    return wiped + await _delete_posts(connection, chat, event)


async def _delete_posts(connection: AsyncConnection, chat: ChatRow, event: MessagesDeleted) -> tuple[int, ...]:
    gone = delete_from(posts).where(posts.c.chat_id == chat.id, posts.c.platform_id.in_(event.ids))
    answer_ids = set((await connection.execute(gone.returning(posts.c.message_id))).scalars())
    if not answer_ids:
        return ()
    is_shown = select(posts.c.id).where(posts.c.message_id == messages.c.id).exists()
    is_hidden = messages.c.id.in_(answer_ids) & messages.c.state.in_(SETTLED) & ~is_shown
    return await _wipe(connection, is_hidden, event.time)


async def _wipe(connection: AsyncConnection, condition: ColumnElement[bool], time: datetime) -> tuple[int, ...]:
    statement = update(messages).where(condition).values(content=None, key_id=None, deleted_at=time)
    return tuple((await connection.execute(statement.returning(messages.c.id))).scalars())
