"""Removes what is older than people were told it is kept.

Knows nothing of encryption: whole rows go.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import delete, select

from bots.chatlog.database import Database
from bots.chatlog.schema import messages
from bots.errors import DatabaseError

logger = logging.getLogger(__name__)

# Few enough that a bot's write never waits long for them: about 5 ms on SQLite.
BATCH = 500
# What is kept for days need not go to the minute.
INTERVAL_S = 3600.0


async def purge(database: Database, before: datetime) -> int:
    """Remove messages from before a time, with their posts and feedback; returns how many.

    On SQLite their bytes are overwritten. On PostgreSQL they are out of reach at once, and overwritten when
    the server vacuums.
    """
    total = 0
    while True:
        async with database.write() as connection:
            old = select(messages.c.id).where(messages.c.sent_at < before).order_by(messages.c.sent_at).limit(BATCH)
            number = (await connection.execute(delete(messages).where(messages.c.id.in_(old)))).rowcount
        total += number
        if number < BATCH:
            break
    if total:
        await database.tidy()
    return total


class Purgeable(Protocol):
    """What `keep_retention` needs of a chat log."""

    async def purge(self, before: datetime) -> int:
        """Remove conversations that are older."""
        ...

    async def purge_training(self, before: datetime) -> int:
        """Remove copies for training that are older."""
        ...


async def keep_retention(
    log: Purgeable,
    retention_days: int,
    *,
    training_days: int = 0,
    now: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Remove what is too old, now and every hour, until cancelled; returns at once if all is kept for ever.

    Args:
        retention_days: How long conversations are kept; 0 for ever.
        training_days: How long copies for training are; 0 for ever.
    """
    limits = ((log.purge, retention_days, "messages"), (log.purge_training, training_days, "copies for training"))
    while any(days for _, days, _ in limits):
        for purge_old, days, what in limits:
            if days:
                await _purge(purge_old, days, what, now())
        await sleep(INTERVAL_S)


async def _purge(purge_old: Callable[[datetime], Awaitable[int]], days: int, what: str, now: datetime) -> None:
    try:
        if number := await purge_old(now - timedelta(days=days)):
            logger.info("removed %d %s that were older than %d days", number, what, days)
    except DatabaseError as error:
        logger.error("old %s were not removed, which is tried again in an hour: %s", what, error)  # noqa: TRY400
