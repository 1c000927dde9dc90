"""What an operator is told when the database cannot be used."""

import asyncio
import contextlib
import socket
import sqlite3
import traceback
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from chatlog_samples import CHAT, ask, settings, talk
from sqlalchemy import exc

from bots.chatlog import ChatLog, DatabaseSettings, database
from bots.chatlog.database import translated
from bots.errors import DatabaseError
from bots.message import User


async def refusal(url: str, tmp_path: Path) -> str:
    with pytest.raises(DatabaseError) as caught:
        async with ChatLog.open(settings(url, tmp_path)):
            pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no URL"),
        ("nonsense", "no URL"),
        ("mysql://u:geheim@host/db", "begins with mysql"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://u:geheim@host:port/db", "no URL"),
    ],
)
async def test_a_url_that_makes_no_sense_is_explained(tmp_path: Path, url: str, words: str) -> None:
    said = await refusal(url, tmp_path)
    assert words in said
    assert "DATABASE_URL" in said
    assert "geheim" not in said


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
async def test_a_file_can_be_named_in_both_ways(tmp_path: Path, scheme: str) -> None:
    async with ChatLog.open(settings(f"{scheme}:///{tmp_path}/a b/m%20.db", tmp_path)) as log:
        await talk(log, 1)
    assert (tmp_path / "a b").is_dir()
    assert len([p for p in (tmp_path / "a b").iterdir() if p.suffix == ".db"]) == 1


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_a_server_can_be_named_in_all_usual_ways(postgres_url: str, tmp_path: Path, scheme: str) -> None:
    url = postgres_url.replace("postgresql", scheme) + "?sslmode=disable"
    async with ChatLog.open(settings(url, tmp_path)) as log:
        await talk(log, 1)


async def test_the_name_of_a_database_shows_no_password(postgres_url: str, tmp_path: Path) -> None:
    url = postgres_url.replace("mynah@", "mynah:geheim@")
    assert "geheim" not in repr(settings(url, tmp_path))
    async with ChatLog.open(settings(url, tmp_path)) as log:
        assert (await log.stats()).database == url.replace("geheim", "***")


async def test_a_server_that_does_not_run_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        said = await refusal(f"postgresql://u:geheim@127.0.0.1:{taken.getsockname()[1]}/db", tmp_path)
    assert "cannot be reached" in said
    assert "geheim" not in said


async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = await refusal(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db", tmp_path)
    assert "does not answer in time" in said


async def test_a_database_that_is_not_there_is_named(postgres_url: str, tmp_path: Path) -> None:
    assert "createdb" in await refusal(f"{postgres_url}_gone", tmp_path)


async def test_an_option_that_no_server_knows_is_named(postgres_url: str, tmp_path: Path) -> None:
    assert "channel_binding" in await refusal(f"{postgres_url}?channel_binding=require", tmp_path)


async def test_a_server_that_was_restarted_is_used_again(postgres_url: str, tmp_path: Path) -> None:
    async with ChatLog.open(settings(postgres_url, tmp_path)) as log:
        await talk(log, 1)
        admin = await asyncpg.connect(postgres_url)
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database()"
            )
        finally:
            await admin.close()
        await talk(log, 2)
        assert len(await log.history(CHAT)) == 2


async def test_a_folder_or_a_strange_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello, this is no database at all, and long enough to be looked at " * 20)
    assert "Is a directory" in await refusal(f"sqlite:///{tmp_path}/folder", tmp_path)
    assert "is no SQLite database" in await refusal(f"sqlite:///{tmp_path}/text", tmp_path)
    assert "DATABASE_URL" in await refusal(f"sqlite:///{tmp_path}/text/under/a/file.db", tmp_path)


async def test_a_damaged_database_is_told_apart(sqlite_url: str, tmp_path: Path) -> None:
    async with ChatLog.open(settings(sqlite_url, tmp_path)) as log:
        for number in range(1, 50):
            await ask(log, number, "x" * 500)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    data = bytearray(path.read_bytes())  # noqa: ASYNC240 - a test
    data[4096 : 4096 * 12] = b"\xff" * (4096 * 11)
    path.write_bytes(data)  # noqa: ASYNC240 - a test
    assert "put back a backup" in await refusal(sqlite_url, tmp_path)


async def test_nobody_writes_between_a_look_and_the_change_that_follows_it(sqlite_url: str, tmp_path: Path) -> None:
    """Otherwise SQLite refuses the change at once, however long it might have waited."""
    async with ChatLog.open(settings(sqlite_url, tmp_path)) as log:
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None, timeout=0)
        async with log._database.write() as connection:
            await connection.exec_driver_sql("SELECT count(*) FROM chats")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.close()


async def test_a_writer_waits_for_another_process_and_then_says_who_is_in_the_way(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PRAGMAS", ("busy_timeout = 300", "foreign_keys = ON"))
    async with ChatLog.open(settings(sqlite_url, tmp_path)) as log:
        await talk(log, 1)
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="another process has kept the database locked"):
            await talk(log, 2)
        waiting = asyncio.create_task(talk(log, 3))
        await asyncio.to_thread(other.execute, "COMMIT")
        await waiting
        other.close()
        assert len(await log.history(CHAT)) == 2


def kinds_of(base: type[BaseException]) -> list[type[BaseException]]:
    return [base, *(kind for child in base.__subclasses__() for kind in kinds_of(child))]


def made(kind: type[Any]) -> BaseException:
    if issubclass(kind, sqlite3.Error):
        kind, said = exc.DBAPIError, kind("said")
    else:
        said = sqlite3.Error("said")
    if issubclass(kind, exc.DBAPIError):
        return kind("SELECT geheim", ("geheim",), said, hide_parameters=True)
    if issubclass(kind, exc.StatementError):
        return kind("said", "SELECT geheim", ("geheim",), said, hide_parameters=True)
    if issubclass(kind, exc.CircularDependencyError):
        return kind("said", (), ())
    if issubclass(kind, exc.UnsupportedCompilationError):
        return kind(None, str)
    for number in range(1, 6):  # of arguments that it wants
        with contextlib.suppress(TypeError):
            return kind(*["said"] * number)
    raise AssertionError(f"{kind} cannot be made")


@pytest.mark.parametrize("base", [exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error])
def test_every_error_of_the_drivers_is_translated(base: type[BaseException]) -> None:
    kinds = [kind for kind in kinds_of(base) if not kind.__module__.startswith("sqlalchemy.orm")]  # we use none of it
    for kind in kinds:
        with pytest.raises(DatabaseError, match=r"^the database: ") as caught, translated("the database"):
            raise made(kind)
        assert "geheim" not in str(caught.value)


def test_an_error_of_ours_is_not_taken_for_the_databases() -> None:
    with pytest.raises(ValueError, match="ours"), translated("the database"):
        raise ValueError("ours")


async def test_no_error_quotes_what_was_said(log: ChatLog, log_settings: DatabaseSettings) -> None:
    await talk(log, 1)
    async with log._database.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE messages RENAME TO gone")
    with pytest.raises(DatabaseError, match="messages") as caught:
        await ask(log, "geheim", "geheim", author=User("telegram", "geheim", "geheim"))
    assert "geheim" not in "".join(traceback.format_exception(caught.value)).replace('"geheim"', "")
