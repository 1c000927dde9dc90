"""The rows that link a person to a pseudonym.

A pseudonym is HMAC-SHA256 (RFC 2104) under a random key of the person's own: with the row gone, not even who knows
all accounts of a platform can tell whose it was. Statements only: the caller brings the transaction.
"""

import hashlib
import hmac
import os
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog.cipher import Cipher
from bots.chatlog.database import insert
from bots.chatlog.places import PERSON_KEY, place
from bots.chatlog.schema import people

KEY_BYTES = 32


async def find(connection: AsyncConnection, platform: str, user_id: str) -> str | None:
    """The pseudonym of a person who has one."""
    found = select(people.c.pseudonym).where(people.c.platform == platform, people.c.user_id == user_id)
    pseudonym: str | None = await connection.scalar(found)
    return pseudonym


async def ensure(connection: AsyncConnection, cipher: Cipher, platform: str, user_id: str, now: datetime) -> str:
    """The pseudonym of a person, made if need be."""
    if (known := await find(connection, platform, user_id)) is not None:
        return known
    key = os.urandom(KEY_BYTES)
    key_id, blob = cipher.seal(place(PERSON_KEY, platform, user_id), key)
    statement = insert(connection, people).values(
        platform=platform,
        user_id=user_id,
        key=blob,
        key_id=key_id,
        pseudonym=pseudonym_of(key, platform, user_id),
        created_at=now,
    )
    await connection.execute(statement.on_conflict_do_nothing(index_elements=["platform", "user_id"]))
    made = await find(connection, platform, user_id)
    assert made is not None
    return made


def pseudonym_of(key: bytes, platform: str, user_id: str) -> str:
    """The pseudonym that a key gives a person, in hexadecimal."""
    return hmac.new(key, f"{platform}/{user_id}".encode(), hashlib.sha256).hexdigest()


async def unlink(connection: AsyncConnection, platform: str, user_id: str) -> None:
    """Destroy the link; what stands under the pseudonym is nobody's from now on."""
    await connection.execute(delete(people).where(people.c.platform == platform, people.c.user_id == user_id))
