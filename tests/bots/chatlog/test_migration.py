"""The tables come to be as the schema says, once, and a newer program's are left alone."""

import contextlib
import importlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from chatlog_samples import CHAT, CONFIRMED, Clock, answer, decide, said, spoken, talk, trainable
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from bots.chatlog import ChatLog, DatabaseSettings, FeedbackSource, database, migration
from bots.chatlog.cipher import Cipher
from bots.chatlog.keys import KeyRing, create_keys
from bots.chatlog.migration import FOLDER, VERSION_TABLE
from bots.chatlog.schema import metadata
from bots.errors import DatabaseError
from bots.message import MessageId


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    """The database itself, for looks behind the log's back."""
    driver = url.replace("sqlite:", "sqlite+aiosqlite:").replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(driver)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def test_the_migrations_make_what_the_schema_says(log: ChatLog, log_settings: DatabaseSettings) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection, opts={"compare_server_default": False, "version_table": VERSION_TABLE}
        )
        found: list[Any] = compare_metadata(context, metadata)
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            columns = {column["name"]: column for column in inspector.get_columns(table.name)}
            found += [
                c.name for c in table.columns if columns[c.name]["nullable"] != (c.nullable and not c.primary_key)
            ]
            checks = {check["name"] for check in inspector.get_check_constraints(table.name)}
            found += [
                c.name for c in table.constraints if type(c).__name__ == "CheckConstraint" and c.name not in checks
            ]
            partial = {i["name"] for i in inspector.get_indexes(table.name) if i.get("dialect_options", {})}
            found += [i.name for i in table.indexes if bool(i.dialect_kwargs) and i.name not in partial]
        return found

    async with connected(log_settings.url) as connection:
        assert await connection.run_sync(differences) == []


async def test_opening_again_changes_nothing(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)
        before = await log.history(CHAT)
    for _ in range(2):
        async with ChatLog.open(log_settings) as log:
            assert await log.history(CHAT) == before
            assert (await log.stats()).revision == "0003"


async def test_a_database_of_a_newer_program_is_refused_and_left_as_it_is(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)
    async with connected(log_settings.url) as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match=r"format 9999.*formats up to 0003; update the program"):
        async with ChatLog.open(log_settings):
            pass
    async with connected(log_settings.url) as connection:
        assert await connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"
        assert await connection.scalar(text("SELECT count(*) FROM messages")) == 2


def test_no_step_leads_back() -> None:
    script = ScriptDirectory(str(FOLDER))
    revisions = list(script.walk_revisions())
    assert len(revisions) == len([p for p in (FOLDER / "versions").glob("*.py") if p.name[0] != "_"])
    assert not any(hasattr(revision.module, "downgrade") for revision in revisions)
    assert script.get_heads() == [revisions[0].revision]


def test_the_steps_can_be_imported_without_anything_happening() -> None:
    for path in (FOLDER / "versions").glob("0*.py"):
        assert importlib.import_module(f"bots.chatlog.migrations.versions.{path.stem}").revision == path.stem[:4]


async def test_a_step_that_fails_leaves_the_database_as_it_was(
    log_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables are made inside a transaction on SQLite, too."""
    broken = write_step(tmp_path, "0004", "0003", "op.add_column('chats', sa.Column('extra', sa.Text()))\n    1 / 0")
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)
    monkeypatch.setattr(migration, "FOLDER", broken)
    with pytest.raises(ZeroDivisionError):
        async with ChatLog.open(log_settings):
            pass
    monkeypatch.setattr(migration, "FOLDER", FOLDER)
    async with connected(log_settings.url) as connection:
        assert "extra" not in {c["name"] for c in await connection.run_sync(lambda c: inspect(c).get_columns("chats"))}
    async with ChatLog.open(log_settings) as log:
        assert len(await log.history(CHAT)) == 1


async def test_a_log_of_the_first_format_is_brought_up_to_date_with_all_that_it_holds(
    log_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_first_format(log_settings, tmp_path, monkeypatch)
    async with ChatLog.open(log_settings) as log:
        stats = await log.stats()
        assert (stats.revision, stats.chats, stats.posts, stats.feedback) == ("0003", 1, 1, 1)
        assert said(await log.history(CHAT)) == [(["asked in 0001"], "answered in 0001")]
        settings = await log.chat_settings(CHAT)
        assert (settings.persona, settings.plugins_off) == ("pirate", frozenset())
        await decide(log)
        await talk(log, 2)
        assert len(await log.history(CHAT)) == 2
        done = await log.rotate_key()
        assert set((await log.stats()).keys) == {done.key_id}
        assert (await log.forget("telegram", "7")).messages == 2
        assert await log.history(CHAT) == []
    async with connected(log_settings.url) as connection:
        columns = {c["name"] for c in await connection.run_sync(lambda c: inspect(c).get_columns("messages"))}
    assert "is_trainable" not in columns


async def write_first_format(log_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows as the first release wrote them, by its own names of columns."""
    cipher = Cipher(KeyRing(_new_keys(log_settings.key_file)))
    asked = cipher.seal(f"{UUID}|messages.content", b'{"segments":[["text","asked in 0001"]],"author":"Anna"}')
    answered = cipher.seal(f"{UUID}|messages.content", b'{"segments":[["text","answered in 0001"]]}')
    persona = cipher.seal(f"{UUID}|chats.persona", b"pirate")
    values = {
        "uuid": UUID,
        "key": CHAT.key,
        "persona": persona.blob,
        "asked": asked.blob,
        "answered": answered.blob,
        "key_id": asked.key_id,
        "no": False,
    }
    with monkeypatch.context() as patch:
        patch.setattr(migration, "FOLDER", first_steps(tmp_path, 1))
        await write_rows(log_settings, FIRST_ROWS, values)


UUID = "3f0e8f6e-0000-4000-8000-000000000001"


def first_steps(tmp_path: Path, number: int) -> Path:
    """A copy of the steps that an earlier release had; returns its folder."""
    folder = tmp_path / "first"
    (folder / "versions").mkdir(parents=True)
    for path in sorted((FOLDER / "versions").glob("0*.py"))[:number]:
        (folder / "versions" / path.name).write_text(path.read_text())
    return folder


async def write_rows(log_settings: DatabaseSettings, statements: Sequence[str], values: dict[str, object]) -> None:
    async with database.open_database(log_settings.url) as opened, opened.write() as connection:
        for statement in statements:
            await connection.execute(text(statement), values)


def _new_keys(path: Path) -> Path:
    create_keys(path)
    return path


FIRST_ROWS = (
    "INSERT INTO chats (id, uuid, key, platform, account, chat, is_private, persona, key_id, trigger, created_at) "
    "VALUES (1, :uuid, :key, 'telegram', 'bot1', '100', :no, :persona, :key_id, 'addressed', 5)",
    "INSERT INTO messages (id, chat_id, role, state, content, key_id, addressed, sent_at, turn, is_trainable) "
    "VALUES (902, 1, 'bot', 'delivered', :answered, :key_id, '', 1700000000000001, 901, :no)",
    "INSERT INTO messages (id, chat_id, role, state, author_id, content, key_id, platform_id, addressed, sent_at, "
    "answer_id, is_trainable) VALUES (901, 1, 'user', 'answered', '7', :asked, :key_id, '10', 'direct', "
    "1700000000000000, 902, :no)",
    "INSERT INTO posts (message_id, chat_id, part, nonce, platform_id, created_at) VALUES (902, 1, 0, 'n', '11', 6)",
    "INSERT INTO feedback (message_id, user_id, source, score, given_at) VALUES (902, '7', 'button', 1, 7)",
)


async def test_copies_for_training_of_the_second_format_may_still_be_trained_on(
    log_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    await write_second_format(log_settings, tmp_path, monkeypatch)
    copied = [("user", "asked in 0002"), ("bot", "answered in 0002"), ("correction", "corrected in 0002")]
    async with ChatLog.open(log_settings, policy=CONFIRMED, now=clock) as log:
        assert (await log.stats()).revision == "0003"
        (turn,) = await trainable(log)
        assert (spoken([turn]), turn.turn, turn.ratings) == ([copied], 901, ())
        assert {each.message_id for each in turn.messages} == {901, 902}
        assert await log.give_feedback(CHAT, MessageId("11"), "7", 1, FeedbackSource.REACTION)
        ((rating,),) = [turn.ratings for turn in await trainable(log)]
        assert (rating.pseudonym, rating.score) == ("anna", 1)
        await answer(log, [901], "better")  # nobody knows whether the one before was delivered
        assert spoken(await trainable(log)) == [[copied[0], ("bot", "better")]]
        await answer(log, [901], "best")
        assert spoken(await trainable(log)) == [[copied[0], ("bot", "best"), ("rejected", "better")]]
        await decide(log, False)
        assert (await log.stats()).others["training_messages"] == 0


async def write_second_format(log_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows as the second format had them, by its own names of columns."""
    cipher = Cipher(KeyRing(_new_keys(log_settings.key_file)))
    names = {"asked": "messages", "answered": "messages", "corrected": "corrections"}
    said = {name: f'{{"segments":[["text","{name} in 0002"]],"author":"Anna"}}'.encode() for name in names}
    rows = {name: cipher.seal(f"{UUID}|{table}.content", said[name]) for name, table in names.items()}
    copies = {f"{name}_copy": cipher.seal(f"{UUID}|training_messages.content", said[name]) for name in names}
    key = cipher.seal("telegram|7|people.key", b"k" * 32)
    values: dict[str, object] = {name: sealed.blob for name, sealed in {**rows, **copies, "person": key}.items()}
    values |= {"uuid": UUID, "key": CHAT.key, "key_id": key.key_id, "no": False, "yes": True}
    with monkeypatch.context() as patch:
        patch.setattr(migration, "FOLDER", first_steps(tmp_path, 2))
        await write_rows(log_settings, SECOND_ROWS, values)


_COPY = (
    "INSERT INTO training_messages (chat_uuid, platform, turn, message_id, platform_id, role, pseudonym, content, "
    "key_id, addressed, sent_at, rule, wording_id, model_version, kept_at) VALUES (:uuid, 'telegram', 901, "
)
SECOND_ROWS = (
    "INSERT INTO chats (id, uuid, key, platform, account, chat, is_private, trigger, created_at) "
    "VALUES (1, :uuid, :key, 'telegram', 'bot1', '100', :no, 'addressed', 5)",
    "INSERT INTO messages (id, chat_id, role, state, content, key_id, addressed, sent_at, turn) "
    "VALUES (902, 1, 'bot', 'delivered', :answered, :key_id, '', 1700000000000001, 901)",
    "INSERT INTO messages (id, chat_id, role, state, author_id, content, key_id, platform_id, addressed, sent_at, "
    "answer_id) VALUES (901, 1, 'user', 'answered', '7', :asked, :key_id, '10', 'direct', 1700000000000000, 902)",
    "INSERT INTO posts (message_id, chat_id, part, nonce, platform_id, created_at) VALUES (902, 1, 0, 'n', '11', 6)",
    "INSERT INTO feedback (message_id, user_id, source, score, given_at) VALUES (902, '7', 'reaction', -1, 7)",
    "INSERT INTO corrections (message_id, user_id, content, key_id, given_at) "
    "VALUES (902, '7', :corrected, :key_id, 1700000000000002)",
    "INSERT INTO people (platform, user_id, key, key_id, pseudonym, created_at) "
    "VALUES ('telegram', '7', :person, :key_id, 'anna', 5)",
    "INSERT INTO consents (pseudonym, platform, chat_uuid, purpose, is_granted, wording_id, wording_sha256, at, "
    "source) VALUES ('anna', 'telegram', :uuid, 'training', :yes, 'training-2', 'ab', 6, 'command')",
    f"{_COPY} 901, '10', 'user', 'anna', :asked_copy, :key_id, 'direct', 1700000000000000, 'telegram-consent', "
    "'training-2', NULL, 8)",
    f"{_COPY} 902, NULL, 'bot', '', :answered_copy, :key_id, '', 1700000000000001, 'telegram-consent', '', 'v1', 8)",
    f"{_COPY} 902, NULL, 'correction', 'anna', :corrected_copy, :key_id, 'command', 1700000000000002, "
    "'telegram-consent', 'training-2', NULL, 8)",
)


async def test_a_later_step_keeps_the_rows(
    log_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a next release does to a log that is in use."""
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)
        before = await log.history(CHAT)
    code = "op.add_column('messages', sa.Column('extra', sa.Text(), nullable=False, server_default='x'))"
    monkeypatch.setattr(migration, "FOLDER", write_step(tmp_path, "0004", "0003", code))
    async with ChatLog.open(log_settings) as log:
        assert (await log.stats()).revision == "0004"
        assert await log.history(CHAT) == before
        await talk(log, 2)
        assert len(await log.history(CHAT)) == 2


def write_step(tmp_path: Path, revision: str, after: str, code: str) -> Path:
    """A copy of the steps with one more; returns its folder."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    for path in (FOLDER / "versions").glob("0*.py"):
        (folder / "versions" / path.name).write_text(path.read_text())
    (folder / "versions" / f"{revision}_test.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision, down_revision = {revision!r}, {after!r}\n"
        f"branch_labels = depends_on = None\n\n\ndef upgrade() -> None:\n    {code}\n"
    )
    return folder


def test_alembic_still_has_what_we_use_of_it() -> None:
    """Not all of it is public."""
    assert callable(ScriptDirectory(str(FOLDER))._upgrade_revs)
    assert callable(Operations.context)


async def test_tables_of_another_program_are_not_touched(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "data" / "mynah.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE messages (theirs TEXT)")
    connection.close()
    with pytest.raises(DatabaseError, match="messages already exists"):
        async with ChatLog.open(DatabaseSettings(url=sqlite_url, key_file=tmp_path / "keys")):
            pass
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    connection.close()
    assert tables == ["messages"]
