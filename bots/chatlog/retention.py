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
        """Remove what is older."""
        ...


async def keep_retention(
    log: Purgeable,
    retention_days: int,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Remove what is too old, now and every hour, until cancelled; returns at once if all is kept for ever."""
    while retention_days:
        try:
            if number := await log.purge(now() - timedelta(days=retention_days)):
                logger.info("removed %d messages that were older than %d days", number, retention_days)
        except DatabaseError as error:
            logger.error("old messages were not removed, which is tried again in an hour: %s", error)  # noqa: TRY400
        await sleep(INTERVAL_S)
