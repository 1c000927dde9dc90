"""The rows of chats: which one a reference means, what people set for it, where its memory begins.

Statements only: the caller brings the transaction.
"""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import places
from bots.chatlog.cipher import Cipher
from bots.chatlog.content import bytes_of, text_of
from bots.chatlog.database import AnyRow, insert
from bots.chatlog.places import KEYWORDS, PERSONA
from bots.chatlog.records import ChatSettings, Person, QuestionState, Trigger
from bots.chatlog.schema import chats, consents, messages
from bots.message import ChatRef


@dataclass(frozen=True)
class ChatRow:
    """What it takes to find, read and write the texts of a chat.

    Attributes:
        uuid: Stays when the chat moves, so that its texts stay readable.
    """

    id: int
    uuid: str
    ref: ChatRef
    is_private: bool

    def place(self, column: str) -> str:
        """What ciphertexts in a column of this chat's rows are bound to."""
        return places.place(column, self.uuid)


COLUMNS = (
    chats.c.id,
    chats.c.uuid,
    chats.c.platform,
    chats.c.account,
    chats.c.chat,
    chats.c.thread,
    chats.c.is_private,
)


def chat_row(row: AnyRow) -> ChatRow:
    """The chat in a row of `COLUMNS`."""
    return ChatRow(row.id, row.uuid, ChatRef(row.platform, row.account, row.chat, row.thread), row.is_private)


async def find(connection: AsyncConnection, ref: ChatRef) -> ChatRow | None:
    """The row of a chat, if it has one."""
    row = (await connection.execute(select(*COLUMNS).where(chats.c.key == ref.key))).one_or_none()
    return chat_row(row) if row else None


def is_family(ref: ChatRef) -> ColumnElement[bool]:
    """Condition: a row of `chats` is this chat, the chat that it is a thread of, or another thread of that."""
    return (chats.c.platform == ref.platform) & (chats.c.account == ref.account) & (chats.c.chat == ref.chat)


async def find_of(connection: AsyncConnection, message_id: int) -> ChatRow | None:
    """The chat that a row of `messages` is in."""
    found = select(*COLUMNS).join(messages, messages.c.chat_id == chats.c.id).where(messages.c.id == message_id)
    row = (await connection.execute(found)).one_or_none()
    return chat_row(row) if row else None


async def ensure(connection: AsyncConnection, ref: ChatRef, now: datetime, *, is_private: bool | None) -> ChatRow:
    """The row of a chat, made if need be; one that is there stays as it is, whatever `is_private` says."""
    if (known := await find(connection, ref)) is not None:
        return known
    statement = insert(connection, chats).values(
        uuid=str(uuid.uuid4()),
        key=ref.key,
        platform=ref.platform,
        account=ref.account,
        chat=ref.chat,
        thread=ref.thread,
        is_private=bool(is_private),
        trigger=Trigger.ADDRESSED,
        created_at=now,
    )
    await connection.execute(statement.on_conflict_do_nothing(index_elements=["key"]))
    made = await find(connection, ref)
    assert made is not None
    return made


async def see(connection: AsyncConnection, ref: ChatRef, now: datetime, *, is_private: bool) -> ChatRow:
    """The row of a chat in which somebody speaks just now, as the platform shows it."""
    row = await ensure(connection, ref, now, is_private=is_private)
    if row.is_private != is_private:
        await connection.execute(update(chats).where(chats.c.id == row.id).values(is_private=is_private))
    return replace(row, is_private=is_private)


async def private_chats(
    connection: AsyncConnection, person: Person, pseudonym: str | None, is_here: ColumnElement[bool]
) -> list[ChatRow]:
    """The private chats of a person: who spoke or decided something there, or whose id is theirs, and nobody else."""
    said = (messages.c.role == "user") & (messages.c.state != QuestionState.CONTEXT)
    is_person, is_pseudonym = messages.c.author_id == person.id, consents.c.pseudonym == (pseudonym or "")
    spoke = select(messages.c.chat_id).where(said, is_person)
    decided = select(consents.c.chat_uuid).where(is_pseudonym)
    is_theirs = or_(chats.c.id.in_(spoke), chats.c.uuid.in_(decided), chats.c.chat == person.id)
    is_others = or_(
        chats.c.id.in_(select(messages.c.chat_id).where(said, ~is_person)),
        chats.c.uuid.in_(select(consents.c.chat_uuid).where(~is_pseudonym)),
    )
    found = select(*COLUMNS).where(is_here, chats.c.is_private, is_theirs, ~is_others).order_by(chats.c.id)
    return [chat_row(row) for row in (await connection.execute(found)).all()]


async def clear(connection: AsyncConnection, chat_ids: Collection[int]) -> None:
    """Make chats what they were when they were new."""
    names = ("persona", "keywords", "key_id", "plugins_off", "reset_at", "window_from")
    values: dict[str, object] = {**dict.fromkeys(names), "trigger": Trigger.ADDRESSED}
    await connection.execute(update(chats).where(chats.c.id.in_(chat_ids)).values(values))


async def hold(connection: AsyncConnection, chat: ChatRow) -> None:
    """Let nobody else change several rows of a chat until the transaction ends.

    On PostgreSQL, two that lock the same rows in different orders would wait for each other until the server
    ends one of them. SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(select(chats.c.id).where(chats.c.id == chat.id).with_for_update(key_share=True))


async def hold_all(connection: AsyncConnection, condition: ColumnElement[bool]) -> None:
    """`hold` for several chats, always in the same order."""
    if connection.dialect.name == "postgresql":
        held = select(chats.c.id).where(condition).order_by(chats.c.id).with_for_update(key_share=True)
        await connection.execute(held)


async def settings(connection: AsyncConnection, cipher: Cipher, chat: ChatRow) -> ChatSettings:
    """What people set for a chat."""
    columns = select(chats.c.persona, chats.c.trigger, chats.c.keywords, chats.c.plugins_off)
    found = columns.where(chats.c.id == chat.id)
    row = (await connection.execute(found)).one_or_none()
    if row is None:
        return ChatSettings()
    persona = None if row.persona is None else text_of(cipher.open(chat.place(PERSONA), row.persona))
    keywords = (
        () if row.keywords is None else tuple(json.loads(text_of(cipher.open(chat.place(KEYWORDS), row.keywords))))
    )
    plugins_off = frozenset(json.loads(row.plugins_off or "[]"))
    return ChatSettings(persona, Trigger(row.trigger), keywords, plugins_off)


async def save_settings(connection: AsyncConnection, cipher: Cipher, chat: ChatRow, settings: ChatSettings) -> None:
    """Replace what people set for a chat."""
    # Both under one key, though a rotation begins just now: `key_id` speaks for the two.
    key = cipher.ring.newest
    persona, keywords = settings.persona, bytes_of(json.dumps(settings.keywords, ensure_ascii=False))
    values = {
        "persona": None if persona is None else cipher.seal(chat.place(PERSONA), bytes_of(persona), key).blob,
        "keywords": cipher.seal(chat.place(KEYWORDS), keywords, key).blob if settings.keywords else None,
        "key_id": key.id if persona is not None or settings.keywords else None,
        "trigger": settings.trigger,
        "plugins_off": json.dumps(sorted(settings.plugins_off)) if settings.plugins_off else None,
    }
    await connection.execute(update(chats).where(chats.c.id == chat.id).values(values))


async def reset(connection: AsyncConnection, chat: ChatRow) -> None:
    """Forget every turn so far."""
    newest = select(func.max(messages.c.id)).where(messages.c.chat_id == chat.id).scalar_subquery()
    await connection.execute(update(chats).where(chats.c.id == chat.id).values(reset_at=newest))


async def forget_before(connection: AsyncConnection, chat: ChatRow, turn: int) -> None:
    """Move the window's start forward."""
    is_forward = chats.c.window_from.is_(None) | (chats.c.window_from < turn)
    await connection.execute(update(chats).where(chats.c.id == chat.id, is_forward).values(window_from=turn))
