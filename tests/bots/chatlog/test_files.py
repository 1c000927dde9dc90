"""The cipher for files that other packages keep: one per database, for as long as the database lives."""

import asyncio
import pickle

import pytest
from chatlog_samples import Clock, decide, settings, talk_now
from sqlalchemy import select

from bots.chatlog import ChatLog, DatabaseError, DatabaseSettings, FileCipher
from bots.chatlog.schema import plugin_data

DATA = b"what somebody said"


async def test_the_cipher_of_a_database_stays_the_same(log: ChatLog, log_settings: DatabaseSettings) -> None:
    sealed = (await log.file_cipher()).seal("rows|1", DATA)
    assert (await log.file_cipher()).open("rows|1", sealed) == DATA
    async with ChatLog.open(log_settings) as again:
        assert (await again.file_cipher()).open("rows|1", sealed) == DATA


async def test_who_asks_first_at_the_same_moment_gets_the_same_cipher(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as one, ChatLog.open(log_settings) as two:
        ciphers = await asyncio.gather(*(each.file_cipher() for each in (one, two, one, two)))
    assert len({cipher.seal("rows|1", DATA) for cipher in ciphers}) == 1


async def test_it_outlives_rotations_of_the_key_and_is_encrypted_anew_with_each(
    log: ChatLog, log_settings: DatabaseSettings
) -> None:
    sealed = (await log.file_cipher()).seal("rows|1", DATA)
    seen = {await stored(log)}
    for _ in range(3):
        await log.rotate_key()
        seen.add(await stored(log))
    assert len(seen) == 4
    async with ChatLog.open(log_settings) as again:
        assert (await again.file_cipher()).open("rows|1", sealed) == DATA


async def test_it_outlives_all_that_is_purged_and_forgotten(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    sealed = (await log.file_cipher()).seal("rows|1", DATA)
    await log.purge(log.now())
    await log.forget("telegram", "7")
    assert (await log.file_cipher()).open("rows|1", sealed) == DATA


async def test_another_database_has_another(log: ChatLog, tmp_path, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    sealed = (await log.file_cipher()).seal("rows|1", DATA)
    async with ChatLog.open(settings(f"sqlite:///{tmp_path}/other.db", tmp_path / "other"), now=clock) as other:
        with pytest.raises(DatabaseError, match="belongs to another database"):
            (await other.file_cipher()).open("rows|1", sealed)


async def test_its_key_does_not_stand_in_the_database_in_the_clear(log: ChatLog) -> None:
    cipher = await log.file_cipher()
    key = cipher.__reduce__()[1][0]
    assert len(key) == 64
    assert key not in (await stored(log))
    assert str(key) not in repr(cipher)


async def stored(log: ChatLog) -> bytes:
    """What stands in the database of the key."""
    async with log._database.read() as connection:
        (blob,) = (await connection.scalars(select(plugin_data.c.value))).all()
    return bytes(blob)


CIPHER = FileCipher(bytes(range(64)))


def test_the_same_in_the_same_place_is_the_same_and_opens_nowhere_else() -> None:
    sealed = CIPHER.seal("rows|1", DATA)
    assert sealed == CIPHER.seal("rows|1", DATA) != CIPHER.seal("rows|2", DATA)
    assert CIPHER.open("rows|1", sealed) == DATA
    for place, blob in [("rows|2", sealed), ("rows|1", sealed[:-1]), ("rows|1", b""), ("rows|1", sealed[::-1])]:
        with pytest.raises(DatabaseError, match="does not open") as caught:
            CIPHER.open(place, blob)
        assert caught.value.__cause__ is None


def test_other_processes_can_be_handed_it() -> None:
    assert pickle.loads(pickle.dumps(CIPHER)).open("rows|1", CIPHER.seal("rows|1", DATA)) == DATA
