"""What stands in the database without the key, and what happens to the keys."""

import asyncio
import base64
import os
import re
import signal
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from chatlog_samples import (
    ANNA,
    BERT,
    CHAT,
    CONFIRMED,
    DIRECT,
    START,
    answer,
    ask,
    decide,
    message,
    said,
    talk,
    talk_now,
    trainable,
)
from sqlalchemy import LargeBinary, select

from bots.chatlog import ChatLog, ChatSettings, DatabaseSettings, QuestionState, Trigger
from bots.chatlog.keys import Key, KeyRing, create_keys, read_keys, replace_keys
from bots.chatlog.places import ENCRYPTED
from bots.chatlog.rotation import BATCH
from bots.chatlog.schema import metadata
from bots.errors import DatabaseError
from bots.message import Attachment, ChatRef, MessageEdited, MessageId, MessagesDeleted, Quote, Text, User

ROOT = Path(__file__).parents[3]
SECRETS = ["Xanthippe", "verschwiegen", "piratenpersona", "stichwort", "antworttext", "zitiert", "anhangtext"]


async def fill(log: ChatLog) -> None:
    author = User("telegram", "7", "Xanthippe")
    file = Attachment("anhangtext.txt", "text/plain", 5, "anhangtext", "anhangtext")
    quote = Quote(MessageId("1"), BERT, (Text("zitiert"),))
    sent = message(2, (Text("verschwiegen"), file), author=author, quote=quote)
    row_id = await log.receive(sent, QuestionState.WAITING, addressed=DIRECT)
    assert row_id is not None
    await log.note_quote(sent)
    await log.edit(MessageEdited(CHAT, sent.id, (Text("verschwiegen?"), file), START + timedelta(seconds=1)))
    await answer(log, [row_id], "antworttext", post=3)
    await log.save_chat_settings(
        CHAT, ChatSettings("piratenpersona", Trigger.KEYWORDS, ("stichwort",)), is_private=False
    )


async def all_bytes(url: str) -> bytes:
    """All that the database holds, as it lies on disk or comes over the wire."""
    if url.startswith("sqlite"):
        return b"".join(file.read_bytes() for file in Path(url.removeprefix("sqlite:///")).parent.iterdir())
    connection = await asyncpg.connect(url)
    try:
        rows = [await connection.fetch(f"SELECT * FROM {table}") for table in metadata.tables]
    finally:
        await connection.close()
    values = [value for table in rows for row in table for value in row.values()]
    return b"".join(value if isinstance(value, bytes) else repr(value).encode() for value in values)


async def test_a_copied_database_reveals_nothing_without_its_key(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await fill(log)
        while_open = await all_bytes(log_settings.url)
        assert said(await log.history(CHAT)) == [(["zitiert", "verschwiegen?"], "antworttext")]
    afterwards = await all_bytes(log_settings.url)
    for data in (while_open, afterwards):
        assert b"telegram" in data  # we look at the right bytes
        for secret in SECRETS:
            for encoding in ("utf-8", "utf-16-le"):
                assert secret.encode(encoding) not in data, secret
        assert base64.b64encode(b"verschwiegen")[:12] not in data


async def test_a_deleted_text_is_gone_even_for_who_has_the_key(log: ChatLog, log_settings: DatabaseSettings) -> None:
    row_id = await ask(log, 1, "x" * 3000)
    before = await stored(log_settings.url, row_id)
    assert before is not None
    assert before in await all_bytes(log_settings.url)
    await log.delete(MessagesDeleted(CHAT, (MessageId("1"),), START))
    assert await stored(log_settings.url, row_id) is None
    await log.purge(START + timedelta(days=1))
    assert before[100:200] not in await all_bytes(log_settings.url)


async def stored(url: str, row_id: int) -> bytes | None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            (blob,) = connection.execute("SELECT content FROM messages WHERE id = ?", (row_id,)).fetchone()
        connection.close()
        return blob
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT content FROM messages WHERE id = $1", row_id)
    finally:
        await connection.close()


async def execute(url: str, statement: str) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(statement)
        connection.close()
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_ciphertext_does_not_open_in_another_chat(log: ChatLog, log_settings: DatabaseSettings) -> None:
    other = ChatRef("telegram", "bot1", "200")
    await talk(log, 1)
    await talk(log, 1, other)
    await execute(
        log_settings.url,
        "UPDATE messages SET content = (SELECT m.content FROM messages m WHERE m.platform_id = '10' "
        "ORDER BY m.id LIMIT 1) WHERE platform_id = '10'",
    )
    assert len(await log.history(CHAT)) == 1
    with pytest.raises(DatabaseError, match="does not open"):
        await log.history(other)


async def test_a_ciphertext_does_not_open_in_another_column(log: ChatLog, log_settings: DatabaseSettings) -> None:
    await log.save_chat_settings(CHAT, ChatSettings('["persona"]', Trigger.KEYWORDS, ("word",)), is_private=False)
    await execute(log_settings.url, "UPDATE chats SET persona = keywords, keywords = persona")
    with pytest.raises(DatabaseError, match="does not open"):
        await log.chat_settings(CHAT)


async def test_the_same_text_is_never_encrypted_to_the_same_bytes(log: ChatLog, log_settings: DatabaseSettings) -> None:
    blobs = {await stored(log_settings.url, await ask(log, number, "same")) for number in range(20)}
    assert len({blob[5:17] for blob in blobs if blob}) == 20


async def test_the_key_file_is_made_for_its_owner_alone(log: ChatLog, log_settings: DatabaseSettings) -> None:
    path = log_settings.key_file
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert re.fullmatch(r"[0-9a-f]{8} [A-Za-z0-9+/]{43}=\n", path.read_text())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_no_new_key_is_made_over_texts_whose_key_is_missing(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await fill(log)
    (key,) = read_keys(log_settings.key_file).keys
    log_settings.key_file.unlink()
    with pytest.raises(DatabaseError, match=f"key {key.id}.*{log_settings.key_file} is missing"):
        async with ChatLog.open(log_settings):
            pass
    assert not log_settings.key_file.exists()
    replace_keys(log_settings.key_file, [Key.random()], is_rotating=False)
    with pytest.raises(DatabaseError, match=f"key {key.id}.*does not hold"):
        async with ChatLog.open(log_settings):
            pass


@pytest.mark.parametrize("what", ["message", "settings"])
async def test_a_wrong_key_of_the_right_name_is_refused_at_the_start(log_settings: DatabaseSettings, what: str) -> None:
    async with ChatLog.open(log_settings) as log:
        if what == "message":
            await ask(log, 1, "verschwiegen")
        else:
            await log.save_chat_settings(CHAT, ChatSettings("verschwiegen"), is_private=False)
    (key,) = read_keys(log_settings.key_file).keys
    replace_keys(log_settings.key_file, [Key(key.id, os.urandom(32))], is_rotating=False)
    with pytest.raises(DatabaseError, match=f"key {key.id}"):
        async with ChatLog.open(log_settings):
            pass


async def test_a_fresh_database_without_texts_takes_any_key_file(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings):
        pass
    log_settings.key_file.unlink()
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n# only this\n",
        "abcd1234",
        "abcd1234 c2hvcnQ=",
        f"ABCD1234 {base64.b64encode(bytes(32)).decode()}",
        "\ud83d",
    ],
)
def test_a_key_file_that_is_none_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    path.chmod(0o600)
    with pytest.raises(DatabaseError, match=str(path)) as caught:
        read_keys(path)
    assert "c2hvcnQ" not in str(caught.value)


def test_a_key_file_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    key = Key.random()
    replace_keys(tmp_path / "keys", [key, Key(key.id, bytes(32))], is_rotating=False)
    with pytest.raises(DatabaseError, match=f"two keys named {key.id}"):
        read_keys(tmp_path / "keys")


def test_a_key_file_that_others_can_read_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    create_keys(tmp_path / "keys")
    read_keys(tmp_path / "keys")
    assert caplog.text == ""
    (tmp_path / "keys").chmod(0o640)
    read_keys(tmp_path / "keys")
    assert "chmod 600" in caplog.text


def test_a_key_prints_as_its_name_only() -> None:
    key = Key.random()
    assert repr(key) == f"Key(id='{key.id}')"


def test_a_key_file_that_is_there_is_not_replaced_by_a_fresh_one(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys")
    before = (tmp_path / "keys").read_text()
    create_keys(tmp_path / "keys")
    assert (tmp_path / "keys").read_text() == before


def test_a_ring_follows_its_file_and_survives_a_slip(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys"
    create_keys(path)
    ring = KeyRing(path)
    old, new = ring.newest, Key.random()
    replace_keys(path, [new, old], is_rotating=False)
    assert ring.newest == new
    assert ring.get(old.id) == old
    path.write_text("oops")
    assert ring.newest == new
    path.unlink()
    assert ring.get(old.id) == old
    assert "oops" not in caplog.text
    assert "going on with the keys read before" in caplog.text


async def test_a_rotation_encrypts_everything_anew(log: ChatLog, log_settings: DatabaseSettings) -> None:
    await fill(log)
    for number in range(2, BATCH + 20):
        await talk(log, number)
    (old,) = read_keys(log_settings.key_file).keys
    before = await log.history(CHAT)
    done = await log.rotate_key()
    assert done.key_id != old.id
    assert done.num_rows == 2 * (BATCH + 20) - 4 + 1 + 3  # turns, a chat, and a turn with a quote
    assert (await log.stats()).keys == {done.key_id: done.num_rows}
    assert await log.history(CHAT) == before
    assert (await log.chat_settings(CHAT)).persona == "piratenpersona"
    keys = read_keys(log_settings.key_file)
    assert [key.id for key in keys.keys] == [done.key_id, old.id]
    assert not keys.is_rotating


async def test_a_rotation_reaches_every_table_and_everything_stays_readable(
    confirmed_log: ChatLog, log_settings: DatabaseSettings
) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("corrected"),))
    await log.save_chat_settings(CHAT, ChatSettings("persona", Trigger.KEYWORDS, ("word",)), is_private=False)
    for owner in (None, CHAT, ANNA):
        await log.data.set("plug/in", owner, "k|ey", {"kept": "for " + repr(owner)})
    turns, exported = await trainable(log), await log.export("telegram", "7")
    stored = await all_bytes(log_settings.url)
    assert not [secret for secret in (b"question 1", b"answer 1", b"corrected", b"kept for") if secret in stored]
    for _ in range(2):  # the second drops the first key from the file
        done = await log.rotate_key()
    assert (await log.stats()).keys == {done.key_id: done.num_rows}
    async with log._database.read() as connection:
        for encrypted in ENCRYPTED:
            key_ids = (await connection.execute(select(encrypted.table.c.key_id))).scalars().all()
            assert set(key_ids) == {done.key_id}, encrypted.table
    assert [encrypted.table for encrypted in ENCRYPTED if encrypted.table.name == "people"]
    async with ChatLog.open(log_settings, policy=CONFIRMED) as again:
        assert await trainable(again) == turns
        now = await again.export("telegram", "7")
        assert now | {"exported_at": ""} == exported | {"exported_at": ""}
        for owner in (None, CHAT, ANNA):
            assert await again.data.get("plug/in", owner, "k|ey") == {"kept": "for " + repr(owner)}
        assert (await again.chat_settings(CHAT)).keywords == ("word",)


def test_every_encrypted_table_is_known_to_the_rotation() -> None:
    assert {encrypted.table for encrypted in ENCRYPTED} == {t for t in metadata.tables.values() if "key_id" in t.c}
    for encrypted in ENCRYPTED:
        blobs = {c.name for c in encrypted.table.columns if isinstance(c.type, LargeBinary)}
        assert set(encrypted.columns) == blobs


async def test_a_key_is_dropped_one_rotation_after_its_successor_came(
    log: ChatLog, log_settings: DatabaseSettings
) -> None:
    await talk(log, 1)
    (first,) = read_keys(log_settings.key_file).keys
    second = await log.rotate_key()
    third = await log.rotate_key()
    assert second.dropped_key_ids == ()
    assert third.dropped_key_ids == (first.id,)
    assert [key.id for key in read_keys(log_settings.key_file).keys] == [third.key_id, second.key_id]
    assert len(await log.history(CHAT)) == 1


async def test_a_text_that_was_encrypted_just_before_a_rotation_stays_readable(
    log: ChatLog, log_settings: DatabaseSettings
) -> None:
    """A bot may have read the old key, and commit its row when the rotation has passed by."""
    (old,) = read_keys(log_settings.key_file).keys
    row_id = await ask(log, 1, "late")
    late = await stored(log_settings.url, row_id)
    assert late is not None
    await log.rotate_key()
    literal = f"x'{late.hex()}'" if log_settings.url.startswith("sqlite") else f"'\\x{late.hex()}'"
    await execute(log_settings.url, f"UPDATE messages SET key_id = '{old.id}', content = {literal}")
    await answer(log, [row_id])
    assert said(await log.history(CHAT)) == [(["late"], "hi")]
    done = await log.rotate_key()
    assert done.num_rows == 2
    assert (await log.stats()).keys == {done.key_id: 2}
    assert said(await log.history(CHAT)) == [(["late"], "hi")]


async def test_bots_go_on_while_a_key_is_rotated(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as bot, ChatLog.open(log_settings) as operator:
        for number in range(1, 4 * BATCH):
            await ask(bot, f"before {number}", "hello")
        rotating = asyncio.create_task(operator.rotate_key())
        number = 0
        while not rotating.done():
            number += 1
            row_id = await ask(bot, f"while {number}", f"while {number}")
            await bot.edit(MessageEdited(CHAT, MessageId(f"while {number}"), (Text(f"edited {number}"),), START))
            await answer(bot, [row_id])
        done = await rotating
        turns = await bot.history(CHAT, limit_turns=10_000)
        assert number >= 3
        assert said(turns) == [([f"edited {n}"], "hi") for n in range(1, number + 1)]
        assert set((await bot.stats()).keys) == {done.key_id}
        assert bot._cipher.ring.newest.id == done.key_id


async def test_a_rotation_that_was_killed_goes_on_where_it_was(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await log.save_chat_settings(CHAT, ChatSettings("pirate"), is_private=False)
        for number in range(1, 4 * BATCH):
            await ask(log, number, f"text {number}")
        (old,) = read_keys(log_settings.key_file).keys
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bots.chatlog", "rotate-key", cwd=ROOT, env=environment(log_settings)
        )
        async with asyncio.timeout(60):
            while len((await log.stats()).keys) < 2:
                await asyncio.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        keys = read_keys(log_settings.key_file)
        assert keys.is_rotating
        in_use = (await log.stats()).keys
        assert set(in_use) == {keys.keys[0].id, old.id}
        (left,) = await log.unfinished("telegram", "bot1")
        assert len(left.questions) == 4 * BATCH - 1
    async with ChatLog.open(log_settings) as log:
        done = await log.rotate_key()
        assert done.key_id == keys.keys[0].id
        assert done.num_rows == in_use[old.id]
        assert (await log.stats()).keys == {done.key_id: 4 * BATCH}
        (left,) = await log.unfinished("telegram", "bot1")
        assert [q.segments for q in left.questions] == [(Text(f"text {n}"),) for n in range(1, 4 * BATCH)]
        assert left.questions[0].author == ANNA
        assert not read_keys(log_settings.key_file).is_rotating


def environment(log_settings: DatabaseSettings) -> dict[str, str]:
    return {
        "DATABASE_URL": log_settings.url,
        "DATABASE_KEY_FILE": str(log_settings.key_file),
        "PATH": os.environ["PATH"],
    }


async def test_two_rotations_at_once_are_refused(log: ChatLog, log_settings: DatabaseSettings) -> None:
    for number in range(1, 2 * BATCH):
        await ask(log, number)
    first = asyncio.create_task(log.rotate_key())
    while not read_keys(log_settings.key_file).is_rotating:
        await asyncio.sleep(0)
    with pytest.raises(DatabaseError, match="another process is rotating"):
        await log.rotate_key()
    await first


def test_a_key_file_that_cannot_be_written_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="DATABASE_KEY_FILE"):
        create_keys(tmp_path / "file" / "keys")
