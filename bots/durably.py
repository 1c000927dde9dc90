"""Writing something down that must not get lost, though the database may be away for a moment."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bots.budget import Sleep
from bots.errors import DatabaseError

logger = logging.getLogger(__name__)

PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Between tries: a restart of the database takes seconds, and nobody waits much longer for an answer."""

T = TypeVar("T")


async def durably(write: Callable[[], Awaitable[T]], sleep: Sleep) -> T:
    """Call `write` again until the database takes it.

    Raises:
        DatabaseError: It has not for as long as `PAUSES_S`.
    """
    for pause_s in PAUSES_S:
        try:
            return await write()
        except DatabaseError as exc:
            logger.warning("%s; trying again in %g s", exc, pause_s)
            await sleep(pause_s)
    return await write()
