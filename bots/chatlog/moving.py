"""A chat gets another reference: its rows stay, or are added to those that the new place has already.

Statements only: the caller brings the transaction.
"""

from sqlalchemy import delete, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import ledger, places, plugindata, training
from bots.chatlog.chats import COLUMNS, ChatRow, chat_row, find
from bots.chatlog.cipher import Cipher
from bots.chatlog.places import CONTENT, CORRECTION, TRAINING
from bots.chatlog.schema import chats, corrections, feedback, messages, posts, training_messages, training_ratings
from bots.message import ChatRef

# How the message ids of a place that a chat has left begin.
MOVED = "moved:"


async def move(connection: AsyncConnection, cipher: Cipher, old: ChatRef, new: ChatRef) -> None:
    """Rename a chat and its threads; rows that the new place has already are added to those of the old."""
    in_place = [chats.c.platform == old.platform, chats.c.account == old.account, chats.c.chat == old.chat]
    if old.thread is not None:
        in_place.append(chats.c.thread == old.thread)
    found = select(*COLUMNS).where(*in_place).order_by(chats.c.id).with_for_update()
    for row in (await connection.execute(found)).all():
        chat = chat_row(row)
        thread = new.thread if chat.ref.thread == old.thread else chat.ref.thread
        await _rename(connection, cipher, chat, ChatRef(new.platform, new.account, new.chat, thread))
    if (moved := await find(connection, new.parent)) is not None:
        for pseudonym, person in await ledger.withdrawn(connection, moved.uuid):
            await training.withdraw(connection, person, pseudonym, new)


async def _rename(connection: AsyncConnection, cipher: Cipher, chat: ChatRow, ref: ChatRef) -> None:
    if chat.ref == ref:
        return
    await _mark_platform_ids(connection, chat)
    there = await find(connection, ref)
    if there is not None:
        await _merge(connection, cipher, there, chat)
    place = {"platform": ref.platform, "account": ref.account, "chat": ref.chat, "thread": ref.thread}
    await connection.execute(update(chats).where(chats.c.id == chat.id).values(key=ref.key, **place))


async def _mark_platform_ids(connection: AsyncConnection, chat: ChatRow) -> None:
    """Mark the ids of the old place: kept as they are, they would make new messages look as if they had been seen.

    The marked ones still tell which message replied to which.
    """
    mark = literal(f"{MOVED}{chat.ref.chat}:")
    for table, names in ((messages, ("platform_id", "reply_to")), (posts, ("platform_id",))):
        marked = {name: mark.concat(table.c[name]) for name in names}
        await connection.execute(update(table).where(table.c.chat_id == chat.id).values(marked))
    copies = training_messages.c.chat_uuid == chat.uuid
    for table, of_chat in (
        (training_messages, copies),
        (training_ratings, training_ratings.c.copy_id.in_(select(training_messages.c.id).where(copies))),
        (feedback, feedback.c.message_id.in_(select(messages.c.id).where(messages.c.chat_id == chat.id))),
    ):
        await connection.execute(update(table).where(of_chat).values(platform_id=None))


async def _merge(connection: AsyncConnection, cipher: Cipher, source: ChatRow, target: ChatRow) -> None:
    """Add the rows of one chat to another's, and remove the chat; the target's settings stay."""
    await _merge_corrections(connection, cipher, source, target)
    await _merge_messages(connection, cipher, source, target)
    await connection.execute(update(posts).where(posts.c.chat_id == source.id).values(chat_id=target.id))
    await _merge_training(connection, cipher, source, target)
    await plugindata.carry(connection, cipher, source.uuid, target.uuid)
    await ledger.carry(connection, source.uuid, target.uuid)
    reset_at = await connection.scalar(select(chats.c.reset_at).where(chats.c.id == source.id))
    if reset_at is not None:
        await connection.execute(update(chats).where(chats.c.id == target.id).values(reset_at=reset_at))
    await connection.execute(delete(chats).where(chats.c.id == source.id))


async def _merge_messages(connection: AsyncConnection, cipher: Cipher, source: ChatRow, target: ChatRow) -> None:
    found = select(messages.c.id, messages.c.content).where(messages.c.chat_id == source.id)
    for row in (await connection.execute(found)).all():
        values: dict[str, object] = {"chat_id": target.id}
        if row.content is not None:
            text = cipher.open(source.place(CONTENT), row.content)
            values["key_id"], values["content"] = cipher.seal(target.place(CONTENT), text)
        await connection.execute(update(messages).where(messages.c.id == row.id).values(values))


async def _merge_corrections(connection: AsyncConnection, cipher: Cipher, source: ChatRow, target: ChatRow) -> None:
    in_source = select(messages.c.id).where(messages.c.chat_id == source.id)
    found = select(corrections.c.id, corrections.c.content).where(corrections.c.message_id.in_(in_source))
    for row in (await connection.execute(found)).all():
        text = cipher.open(source.place(CORRECTION), row.content)
        key_id, blob = cipher.seal(target.place(CORRECTION), text)
        values = {"key_id": key_id, "content": blob}
        await connection.execute(update(corrections).where(corrections.c.id == row.id).values(values))


async def _merge_training(connection: AsyncConnection, cipher: Cipher, source: ChatRow, target: ChatRow) -> None:
    found = select(training_messages.c.id, training_messages.c.content)
    for row in (await connection.execute(found.where(training_messages.c.chat_uuid == source.uuid))).all():
        text = cipher.open(places.place(TRAINING, source.uuid), row.content)
        key_id, blob = cipher.seal(places.place(TRAINING, target.uuid), text)
        values = {"chat_uuid": target.uuid, "key_id": key_id, "content": blob}
        await connection.execute(update(training_messages).where(training_messages.c.id == row.id).values(values))
