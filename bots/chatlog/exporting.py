"""All that is kept of a person, for that person to read; nothing that somebody else has said.

Only reads.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import chats as chat_rows
from bots.chatlog import content, ledger, lineage, passing, people, plugindata
from bots.chatlog.chats import COLUMNS, ChatRow, chat_row
from bots.chatlog.cipher import Cipher
from bots.chatlog.database import AnyRow
from bots.chatlog.places import CONTENT, CORRECTION, TRAINING, place
from bots.chatlog.records import ConsentEntry, Person
from bots.chatlog.schema import chats, corrections, feedback, messages, requests, training_messages, training_ratings
from bots.message import Attachment, Segment, plain_text

# A format number, for whoever reads an export with a program.
FORMAT = 1


async def export(connection: AsyncConnection, cipher: Cipher, person: Person, now: datetime) -> dict[str, object]:
    """What is kept of a person, as values that JSON knows."""
    found = select(*COLUMNS).where(chats.c.platform == person.platform).order_by(chats.c.id)
    places = {row.id: chat_row(row) for row in (await connection.execute(found)).all()}
    pseudonym = await people.find(connection, person.platform, person.id)
    return {
        "format": FORMAT,
        "platform": person.platform,
        "user_id": person.id,
        "exported_at": _time(now),
        "messages": await _messages(connection, cipher, person, places),
        "answers": await _answers(connection, cipher, person, places),
        "feedback": await _feedback(connection, person, places),
        "corrections": await _corrections(connection, cipher, person, places),
        "plugin_data": await plugindata.kept_for(
            connection, cipher, "user", plugindata.user_owner(person.platform, person.id)
        ),
        "private_chats": await _private_chats(connection, cipher, person, pseudonym),
        "requests": await _requests(connection, person),
        **await _under_pseudonym(connection, cipher, pseudonym, places),
    }


async def _messages(
    connection: AsyncConnection, cipher: Cipher, person: Person, places: dict[int, ChatRow]
) -> list[dict[str, object]]:
    is_theirs = (messages.c.role == "user") & (messages.c.author_id == person.id) & messages.c.chat_id.in_(_on(person))
    found = select(messages).where(is_theirs).order_by(messages.c.id)
    return [
        {
            "id": row.id,
            "chat": places[row.chat_id].ref.key,
            "sent_at": _time(row.sent_at),
            "edited_at": _time(row.edited_at),
            "deleted_at": _time(row.deleted_at),
            "state": row.state,
            "addressed": row.addressed,
            "answer": row.answer_id,
            **_said(cipher, places[row.chat_id], row),
        }
        for row in (await connection.execute(found)).all()
    ]


async def _answers(
    connection: AsyncConnection, cipher: Cipher, person: Person, places: dict[int, ChatRow]
) -> list[dict[str, object]]:
    is_theirs = passing.is_answer_to(person.id, messages.c.chat_id.in_(_on(person)))
    found = select(messages).where(is_theirs).order_by(messages.c.id)
    return [
        {
            "id": row.id,
            "chat": places[row.chat_id].ref.key,
            "sent_at": _time(row.sent_at),
            "state": row.state,
            "model_version": row.model_version,
            **_said(cipher, places[row.chat_id], row),
        }
        for row in (await connection.execute(found)).all()
    ]


async def _feedback(connection: AsyncConnection, person: Person, places: dict[int, ChatRow]) -> list[dict[str, object]]:
    found = select(feedback, messages.c.chat_id).join(messages, messages.c.id == feedback.c.message_id)
    found = found.where(feedback.c.user_id == person.id, messages.c.chat_id.in_(_on(person)))
    return [
        {
            "chat": places[row.chat_id].ref.key,
            "answer": row.message_id,
            "score": row.score,
            "source": row.source,
            "given_at": _time(row.given_at),
        }
        for row in (await connection.execute(found.order_by(feedback.c.id))).all()
    ]


async def _corrections(
    connection: AsyncConnection, cipher: Cipher, person: Person, places: dict[int, ChatRow]
) -> list[dict[str, object]]:
    found = select(corrections, messages.c.chat_id).join(messages, messages.c.id == corrections.c.message_id)
    found = found.where(corrections.c.user_id == person.id, messages.c.chat_id.in_(_on(person)))
    return [
        {
            "chat": places[row.chat_id].ref.key,
            "answer": row.message_id,
            "given_at": _time(row.given_at),
            **_read(cipher, places[row.chat_id].place(CORRECTION), row.content),
        }
        for row in (await connection.execute(found.order_by(corrections.c.id))).all()
    ]


async def _private_chats(
    connection: AsyncConnection, cipher: Cipher, person: Person, pseudonym: str | None
) -> list[dict[str, object]]:
    is_here = chats.c.platform == person.platform
    kept: list[dict[str, object]] = []
    for chat in await chat_rows.private_chats(connection, person, pseudonym, is_here):
        settings = await chat_rows.settings(connection, cipher, chat)
        kept.append(
            {
                "chat": chat.ref.key,
                "persona": settings.persona,
                "trigger": settings.trigger,
                "keywords": list(settings.keywords),
                "plugins_off": sorted(settings.plugins_off),
                "plugin_data": await plugindata.kept_for(connection, cipher, "chat", chat.uuid),
            }
        )
    return kept


async def _requests(connection: AsyncConnection, person: Person) -> list[dict[str, object]]:
    is_theirs = (requests.c.user_platform == person.platform) & (requests.c.user_id == person.id)
    found = select(requests).where(is_theirs).order_by(requests.c.id)
    return [
        {
            "kind": row.kind,
            "chat": row.chat_key,
            "asked_at": _time(row.asked_at),
            "state": row.state,
            "note": row.note,
        }
        for row in (await connection.execute(found)).all()
    ]


async def _under_pseudonym(
    connection: AsyncConnection, cipher: Cipher, pseudonym: str | None, places: dict[int, ChatRow]
) -> dict[str, object]:
    if pseudonym is None:
        return {"pseudonym": None, "consents": [], "training": [], "training_ratings": [], "model_versions": []}
    chat_keys = {chat.uuid: chat.ref.key for chat in places.values()}
    found = select(training_messages).where(training_messages.c.pseudonym == pseudonym)
    rows = (await connection.execute(found.order_by(training_messages.c.id))).all()
    return {
        "pseudonym": pseudonym,
        "consents": [_consent(entry, chat_keys) for entry in await ledger.history(connection, pseudonym)],
        "training": [_copy(cipher, row, chat_keys) for row in rows],
        "training_ratings": await _ratings(connection, pseudonym, chat_keys),
        "model_versions": list(await lineage.saw(connection, pseudonym)),
    }


def _consent(entry: ConsentEntry, chat_keys: dict[str, str]) -> dict[str, object]:
    return {
        "chat": chat_keys.get(entry.chat_uuid),
        "purpose": entry.purpose,
        "is_granted": entry.is_granted,
        "wording": entry.wording_id,
        "at": _time(entry.at),
        "source": entry.source,
    }


def _copy(cipher: Cipher, row: AnyRow, chat_keys: dict[str, str]) -> dict[str, object]:
    return {
        "chat": chat_keys.get(row.chat_uuid),
        "role": row.role,
        "message": row.message_id,
        "sent_at": _time(row.sent_at),
        "kept_at": _time(row.kept_at),
        "rule": row.rule,
        "wording": row.wording_id,
        **_read(cipher, place(TRAINING, row.chat_uuid), row.content),
    }


async def _ratings(connection: AsyncConnection, pseudonym: str, chat_keys: dict[str, str]) -> list[dict[str, object]]:
    found = select(training_ratings, training_messages.c.chat_uuid, training_messages.c.message_id)
    found = found.join(training_messages).where(training_ratings.c.pseudonym == pseudonym)
    return [
        {
            "chat": chat_keys.get(row.chat_uuid),
            "answer": row.message_id,
            "score": row.score,
            "source": row.source,
            "given_at": _time(row.given_at),
            "kept_at": _time(row.kept_at),
            "rule": row.rule,
            "wording": row.wording_id,
        }
        for row in (await connection.execute(found.order_by(training_ratings.c.id))).all()
    ]


def _on(person: Person) -> Any:
    """The chats of the person's platform: elsewhere, the same id is somebody else's."""
    return select(chats.c.id).where(chats.c.platform == person.platform)


def _said(cipher: Cipher, chat: ChatRow, row: AnyRow) -> dict[str, object]:
    return _read(cipher, chat.place(CONTENT), row.content)


def _read(cipher: Cipher, where: str, blob: bytes | None) -> dict[str, object]:
    if blob is None:
        return {"name": None, "text": None, "attachments": []}
    said = content.unpack(cipher.open(where, blob))
    return {"name": said.author, "text": plain_text(said.segments), "attachments": _attachments(said.segments)}


def _attachments(segments: Sequence[Segment]) -> list[dict[str, object]]:
    return [
        {"name": s.name, "media_type": s.media_type, "size_bytes": s.size_bytes, "text": s.text}
        for s in segments
        if isinstance(s, Attachment)
    ]


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
