"""The rows that say whose words each model has seen, and whose ratings of them.

Statements only: the caller brings the transaction.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog.database import insert
from bots.chatlog.schema import lineage, training_messages, training_ratings

# Values in one statement: SQLite takes 32766.
BATCH = 1000


async def note(
    connection: AsyncConnection, model_version: str, message_ids: Sequence[int], now: datetime
) -> frozenset[int]:
    """Write down who speaks in some messages or rates them; returns those that are in the training log no more."""
    spoken: Counter[str] = Counter()
    there: set[int] = set()
    for start in range(0, len(message_ids), BATCH):
        ids = message_ids[start : start + BATCH]
        found = select(training_messages.c.message_id, training_messages.c.pseudonym)
        for row in (await connection.execute(found.where(training_messages.c.message_id.in_(ids)))).all():
            there.add(row.message_id)
            spoken[row.pseudonym] += 1
        rated = select(training_ratings.c.pseudonym).join(training_messages)
        spoken.update((await connection.execute(rated.where(training_messages.c.message_id.in_(ids)))).scalars())
    spoken.pop("", None)
    for pseudonym, number in sorted(spoken.items()):
        values = {"num_messages": number, "noted_at": now}
        statement = insert(connection, lineage).values(model_version=model_version, pseudonym=pseudonym, **values)
        done = statement.on_conflict_do_update(index_elements=["model_version", "pseudonym"], set_=values)
        await connection.execute(done)
    return frozenset(message_ids) - there


async def saw(connection: AsyncConnection, pseudonym: str) -> tuple[str, ...]:
    """The models that have seen words of a person, in the order in which they came about."""
    found = select(lineage.c.model_version).where(lineage.c.pseudonym == pseudonym).order_by(lineage.c.id)
    return tuple((await connection.execute(found)).scalars())


async def mark_forgotten(connection: AsyncConnection, pseudonym: str, now: datetime) -> None:
    """Write down that a person is forgotten, and that the models are not."""
    is_news = (lineage.c.pseudonym == pseudonym) & lineage.c.forgotten_at.is_(None)
    await connection.execute(update(lineage).where(is_news).values(forgotten_at=now))


async def tainted(connection: AsyncConnection) -> tuple[str, ...]:
    """The models that have seen words of somebody who was forgotten since."""
    found = select(lineage.c.model_version).where(lineage.c.forgotten_at.is_not(None)).distinct()
    return tuple((await connection.execute(found.order_by(lineage.c.model_version))).scalars())
