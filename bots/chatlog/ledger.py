"""The ledger of consents: what people have decided, for which chat and under which text.

Rows are only ever added; the newest of a person, chat and purpose is in force. Threads have the consents of the
chat that they are in. Statements only: the caller brings the transaction.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog.database import AnyRow
from bots.chatlog.records import ConsentEntry, ConsentSource, Person
from bots.chatlog.schema import chats, consents, people
from bots.message import ChatRef
from bots.policy import WORDINGS, Consent, Purpose


@dataclass(frozen=True)
class Author:
    """Someone who has decided something in a chat, with the decisions that are in force there."""

    pseudonym: str
    standing: Mapping[Purpose, ConsentEntry]

    @property
    def consent(self) -> Consent | None:
        """To training."""
        return consent_of(self.standing.get(Purpose.TRAINING))

    @property
    def refuses_memory(self) -> bool:
        """Whether the person wants not to be remembered."""
        entry = self.standing.get(Purpose.MEMORY)
        return entry is not None and not entry.is_granted


def consent_of(entry: ConsentEntry | None) -> Consent | None:
    """What a decision about training amounts to."""
    return Consent(entry.wording_id, entry.at) if entry is not None and entry.is_granted else None


def is_news(entry: ConsentEntry | None, wording_id: str, *, is_granted: bool) -> bool:
    """Whether a decision is another one than what is in force."""
    if entry is None or entry.is_granted != is_granted:
        return True
    return is_granted and entry.wording_id != wording_id


async def append(
    connection: AsyncConnection,
    pseudonym: str,
    platform: str,
    chat_uuid: str,
    purpose: Purpose,
    *,
    is_granted: bool,
    source: ConsentSource,
    now: datetime,
) -> None:
    """Add a decision about the current text."""
    wording = WORDINGS[purpose]
    values = {
        "pseudonym": pseudonym,
        "platform": platform,
        "chat_uuid": chat_uuid,
        "purpose": purpose,
        "is_granted": is_granted,
        "wording_id": wording.id,
        "wording_sha256": wording.sha256,
        "at": now,
        "source": source,
    }
    await connection.execute(insert(consents).values(values))


async def authors(connection: AsyncConnection, chat: ChatRef, user_ids: Collection[str]) -> dict[str, Author]:
    """What some people have decided in a chat, by user id; those who never did are left out."""
    parent = select(chats.c.uuid).where(chats.c.key == chat.parent.key).scalar_subquery()
    is_one = (people.c.platform == chat.platform) & people.c.user_id.in_(user_ids)
    newest = (
        select(func.max(consents.c.id))
        .join(people, people.c.pseudonym == consents.c.pseudonym)
        .where(is_one, consents.c.chat_uuid == parent)
        .group_by(consents.c.pseudonym, consents.c.purpose)
    )
    found = select(people.c.user_id, consents).join(people, people.c.pseudonym == consents.c.pseudonym)
    standing: dict[str, dict[Purpose, ConsentEntry]] = {}
    for row in (await connection.execute(found.where(consents.c.id.in_(newest)))).all():
        standing.setdefault(row.user_id, {})[Purpose(row.purpose)] = _entry(row)
    return {user_id: Author(next(iter(decided.values())).pseudonym, decided) for user_id, decided in standing.items()}


async def author(connection: AsyncConnection, chat: ChatRef, user_id: str) -> Author | None:
    """What one person has decided in a chat."""
    return (await authors(connection, chat, [user_id])).get(user_id)


async def by_chat(connection: AsyncConnection, pseudonyms: Collection[str]) -> dict[tuple[str, str], Author]:
    """What some people have decided, by pseudonym and chat."""
    standing: dict[tuple[str, str], dict[Purpose, ConsentEntry]] = {}
    for entry in await _newest(connection, consents.c.pseudonym.in_(pseudonyms)):
        standing.setdefault((entry.pseudonym, entry.chat_uuid), {})[entry.purpose] = entry
    return {(pseudonym, uuid): Author(pseudonym, decided) for (pseudonym, uuid), decided in standing.items()}


async def withdrawn(connection: AsyncConnection, chat_uuid: str) -> list[tuple[str, Person]]:
    """Who has taken back a consent to training in a chat: their pseudonyms, and who they are."""
    entries = await _newest(connection, consents.c.chat_uuid == chat_uuid)
    gone = {e.pseudonym for e in entries if e.purpose is Purpose.TRAINING and not e.is_granted}
    found = select(people).where(people.c.pseudonym.in_(gone)).order_by(people.c.id)
    return [(row.pseudonym, Person(row.platform, row.user_id)) for row in (await connection.execute(found)).all()]


async def granted(connection: AsyncConnection, pseudonym: str) -> list[ConsentEntry]:
    """All consents of a person that are in force, in any chat."""
    return [entry for entry in await _newest(connection, consents.c.pseudonym == pseudonym) if entry.is_granted]


async def history(connection: AsyncConnection, pseudonym: str) -> list[ConsentEntry]:
    """All decisions of a person, oldest first."""
    found = select(consents).where(consents.c.pseudonym == pseudonym).order_by(consents.c.id)
    return _entries((await connection.execute(found)).all())


async def carry(connection: AsyncConnection, source_uuid: str, target_uuid: str) -> None:
    """Let what people have decided in one chat count in another that it becomes part of.

    What is newer counts; the same said again is no news, and leaves the older consent as old as it is.
    """
    there = {
        (entry.pseudonym, entry.purpose): entry
        for entry in await _newest(connection, consents.c.chat_uuid == target_uuid)
    }
    newest = select(func.max(consents.c.id)).where(consents.c.chat_uuid == source_uuid)
    newest = newest.group_by(consents.c.pseudonym, consents.c.purpose)
    found = select(consents).where(consents.c.id.in_(newest)).order_by(consents.c.id)
    for row in (await connection.execute(found)).all():
        known = there.get((row.pseudonym, Purpose(row.purpose)))
        if known is None or (known.at < row.at and is_news(known, row.wording_id, is_granted=row.is_granted)):
            values = {column.name: row._mapping[column.name] for column in consents.c if column.name != "id"}
            await connection.execute(insert(consents).values(values | {"chat_uuid": target_uuid}))


async def _newest(connection: AsyncConnection, condition: ColumnElement[bool]) -> list[ConsentEntry]:
    newest = select(func.max(consents.c.id)).where(condition)
    newest = newest.group_by(consents.c.pseudonym, consents.c.chat_uuid, consents.c.purpose)
    found = select(consents).where(consents.c.id.in_(newest)).order_by(consents.c.id)
    return _entries((await connection.execute(found)).all())


def _entries(rows: Iterable[AnyRow]) -> list[ConsentEntry]:
    return [_entry(row) for row in rows]


def _entry(row: AnyRow) -> ConsentEntry:
    return ConsentEntry(
        row.pseudonym,
        row.chat_uuid,
        Purpose(row.purpose),
        row.is_granted,
        row.wording_id,
        row.at,
        ConsentSource(row.source),
    )
