"""Which keys a database needs, and giving it a new one.

A new key goes to the front of the key file, where running bots notice it; then every row is encrypted anew, a
few at a time. Killed at any moment, it leaves rows under two keys that are both in the file, and goes on from
there the next time.

The key that was in front before stays for one more rotation: a bot may just have encrypted a text with it.
"""

import asyncio
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import counts
from bots.chatlog.cipher import Cipher
from bots.chatlog.database import AnyRow, Database
from bots.chatlog.keys import Key, KeyRing, create_keys, read_keys, replace_keys, sole_rotation
from bots.chatlog.places import ENCRYPTED, Encrypted
from bots.chatlog.records import Rotation
from bots.errors import DatabaseError

# Rows in one transaction, for which a bot's write may have to wait: about 20 ms on SQLite.
BATCH = 200
# Between two transactions, as SQLite does not queue those who wait for its lock: they look again after a while.
PAUSE_S = 0.03


async def open_cipher(database: Database, key_file: Path) -> Cipher:
    """The cipher for a database; a fresh key file is made if nothing is encrypted yet.

    Raises:
        DatabaseError: A key that the database needs is missing in the file, or is another one.
    """
    used = await _keys_in_use(database)
    if not key_file.exists():  # noqa: ASYNC240 - once, at the start
        if used:
            raise DatabaseError(
                f"{database.name} is encrypted with {_named(used)}, and the key file {key_file} is missing; put it "
                "back, or name the right one in DATABASE_KEY_FILE"
            )
        create_keys(key_file)
    cipher = Cipher(KeyRing(key_file))
    if missing := [key_id for key_id in used if cipher.ring.get(key_id) is None]:
        raise DatabaseError(
            f"{database.name} is encrypted with {_named(missing)}, which {key_file} does not hold; put back the key "
            "file that belongs to it, or name the right one in DATABASE_KEY_FILE"
        )
    async with database.read() as connection:
        for key_id in used:
            await _try_key(connection, cipher, key_id)
    return cipher


def _named(key_ids: Iterable[str]) -> str:
    return ", ".join(f"key {key_id}" for key_id in sorted(key_ids))


async def _try_key(connection: AsyncConnection, cipher: Cipher, key_id: str) -> None:
    """Decrypt one row of each table, so that a wrong key shows at once and not in the middle of a talk."""
    for encrypted in ENCRYPTED:
        for row in await _rows(connection, encrypted, encrypted.table.c.key_id == key_id, limit=1):
            _opened(cipher, encrypted, row)


async def rotate(database: Database, cipher: Cipher) -> Rotation:
    """Encrypt all rows with a new key; goes on with the last one if that was interrupted.

    Raises:
        DatabaseError: The key file cannot be written, or another process is rotating it.
    """
    path = cipher.ring.path
    with sole_rotation(path):
        file = read_keys(path)
        keys = file.keys if file.is_rotating else (Key.random(), *file.keys)
        replace_keys(path, keys, is_rotating=True)
        number = 0
        while old := set(await _keys_in_use(database)) - {keys[0].id}:
            for encrypted in ENCRYPTED:
                while batch := await _rotate_batch(database, cipher, encrypted, old, keys[0]):
                    number += batch
                    await asyncio.sleep(PAUSE_S)
        replace_keys(path, keys[:2], is_rotating=False)  # no row uses the rest any more
    await database.tidy()
    return Rotation(keys[0].id, number, tuple(key.id for key in keys[2:]))


async def _keys_in_use(database: Database) -> dict[str, int]:
    async with database.read() as connection:
        return await counts.keys_in_use(connection)


async def _rotate_batch(database: Database, cipher: Cipher, encrypted: Encrypted, old: Set[str], key: Key) -> int:
    """Encrypt a few rows anew that are under old keys; returns how many, 0 if none is left or all are in use."""
    table, names = encrypted.table, list(encrypted.columns)
    statement = (
        update(table)
        .where(table.c.id == bindparam("row_id"))
        .values({name: bindparam(f"new_{name}") for name in names} | {"key_id": key.id})
    )
    async with database.write() as connection:
        rows = await _rows(connection, encrypted, table.c.key_id.in_(old), limit=BATCH)
        changes = []
        for row in rows:
            sealed = {name: cipher.seal(place, data, key).blob for name, place, data in _opened(cipher, encrypted, row)}
            changes.append({"row_id": row.row_id} | {f"new_{name}": sealed.get(name) for name in names})
        if changes:
            await connection.execute(statement, changes)
    return len(changes)


async def _rows(
    connection: AsyncConnection, encrypted: Encrypted, condition: ColumnElement[bool], limit: int
) -> Sequence[AnyRow]:
    table = encrypted.table
    columns = (table.c[name] for name in encrypted.columns)
    owner = (column.label(f"owner_{i}") for i, column in enumerate(encrypted.owner))
    found = select(table.c.id.label("row_id"), *columns, *owner).select_from(encrypted.source)
    found = found.where(condition).limit(limit)
    # For PostgreSQL: who never waits for a row stands in nobody's way for long, and cannot be part of a deadlock.
    found = found.with_for_update(key_share=True, skip_locked=True, of=table)
    return (await connection.execute(found)).all()


def _opened(cipher: Cipher, encrypted: Encrypted, row: AnyRow) -> list[tuple[str, str, bytes]]:
    """The encrypted columns of a row that are not empty: name, place and what they say."""
    return [
        (name, encrypted.place(row, name), cipher.open(encrypted.place(row, name), getattr(row, name)))
        for name in encrypted.columns
        if getattr(row, name) is not None
    ]
