"""The rows that say whose words each model has seen, and whose ratings of them; and since when it should not have.

Models are tainted by what a person decides about training: being forgotten, or an end of consent, in whichever chat, as
rows do not say where words were said. What taints no model is a single message that its author deletes: it is in no
later dataset, and goes from the models with the next one that is trained. Consent that is given again untaints nothing.
Statements only: the caller brings the transaction.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog.schema import lineage, training_messages, training_ratings

# Values in one statement: SQLite takes 32766.
BATCH = 1000


async def note(
    connection: AsyncConnection, model_version: str, message_ids: Sequence[int], now: datetime
) -> frozenset[int]:
    """Write down who speaks in some messages or rates them, in place of what was noted of the model before.

    Returns:
        Those that are in the training log no more.
    """
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
    await connection.execute(delete(lineage).where(lineage.c.model_version == model_version))
    rows = [
        {"model_version": model_version, "pseudonym": pseudonym, "num_messages": number, "noted_at": now}
        for pseudonym, number in sorted(spoken.items())
    ]
    if rows:
        await connection.execute(insert(lineage), rows)
    return frozenset(message_ids) - there


async def saw(connection: AsyncConnection, pseudonym: str) -> tuple[str, ...]:
    """The models that have seen words of a person, in the order in which they came about."""
    found = select(lineage.c.model_version).where(lineage.c.pseudonym == pseudonym).order_by(lineage.c.id)
    return tuple((await connection.execute(found)).scalars())


async def taint(connection: AsyncConnection, pseudonym: str, now: datetime) -> None:
    """Write down that models have seen words of a person who does not want it any more; an earlier time stays."""
    is_news = (lineage.c.pseudonym == pseudonym) & lineage.c.forgotten_at.is_(None)
    await connection.execute(update(lineage).where(is_news).values(forgotten_at=now))


async def tainted_since(connection: AsyncConnection) -> dict[str, datetime]:
    """The models that have seen words of somebody who does not want it any more, with the earliest time."""
    since = func.min(lineage.c.forgotten_at, type_=lineage.c.forgotten_at.type).label("since")
    found = select(lineage.c.model_version, since).where(lineage.c.forgotten_at.is_not(None))
    found = found.group_by(lineage.c.model_version).order_by(lineage.c.model_version)
    return {row.model_version: row.since for row in (await connection.execute(found)).all()}
