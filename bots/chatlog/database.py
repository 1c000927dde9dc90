"""The connection to the database, and what SQLite and PostgreSQL do differently.

Knows nothing of what the tables hold. Every error of a database driver becomes a DatabaseError here.
"""

import asyncio
import fcntl
import hashlib
import inspect
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from sqlalchemy import Connection, Row, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bots.chatlog import migration
from bots.errors import DatabaseError

# How long a write waits for another process. Ours hold the lock for milliseconds; a backup may take longer.
BUSY_TIMEOUT_S = 20.0
READERS = 4
POSTGRES_CONNECTIONS = 10
CONNECT_TIMEOUT_S = 15.0
# Any number that other programs are unlikely to lock in the same PostgreSQL database: "mynah" in ASCII.
ADVISORY_LOCK = 0x6D796E6168

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


AnyRow: TypeAlias = Row[*tuple[Any, ...]]  # the statement beside it tells what is in it


class Database:
    """An open database; `open_database` makes one.

    Attributes:
        name: Its URL without a password.
    """

    def __init__(
        self,
        name: str,
        writer: AsyncEngine,
        reader: AsyncEngine,
        lock: asyncio.Lock | None = None,
        path: Path | None = None,
    ) -> None:
        """`lock` lets one task write at a time, where the database can do no better; `path` is its file, if any."""
        self.name = name
        self._writer, self._reader, self._lock, self._path = writer, reader, lock, path

    @asynccontextmanager
    async def claim(self, what: str) -> AsyncIterator[bool]:
        """Keep `what` to ourselves, among all processes that use this database; tells whether that worked."""
        if self._path is not None:
            with translated(self.name):
                lock = self._path.with_name(f"{self._path.name}.{what}.lock").open("a")
            with lock:
                yield _try_lock(lock.fileno())
            return
        key = {"key": int.from_bytes(hashlib.blake2b(what.encode(), digest_size=8).digest(), signed=True)}
        with translated(self.name):
            connection = await self._writer.connect()
        try:
            # The lock lasts as long as the connection, which a process that is killed loses, too.
            with translated(self.name):
                locked = await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key)
                await connection.commit()
            yield bool(locked)
        finally:
            await connection.invalidate()  # which gives the lock back whatever state the connection is in
            await connection.close()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may change things: all of it is kept on leaving, or nothing on an error."""
        with translated(self.name):
            async with AsyncExitStack() as stack:
                if self._lock is not None:
                    await stack.enter_async_context(self._lock)
                yield await stack.enter_async_context(self._writer.begin())

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only looks, and sees one state of things."""
        with translated(self.name):
            async with self._reader.begin() as connection:
                yield connection

    async def tidy(self) -> None:
        """Let nothing of what was removed linger in SQLite's journal. PostgreSQL's own vacuum sees to its tables."""
        if self._lock is not None:
            with translated(self.name):
                async with self._lock, self._writer.connect() as connection:
                    raw = await connection.get_raw_connection()
                    cursor = await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]  # aiosqlite's
                    await cursor.close()


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Connect, and make the tables or bring them up to date.

    Raises:
        DatabaseError: The URL makes no sense, nothing answers there, or the tables are of a newer program.
    """
    parsed = _parse(url)
    opening = _sqlite(parsed) if parsed.drivername == "sqlite+aiosqlite" else _postgres(parsed)
    async with opening as opened:
        yield opened


def insert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert with the `on_conflict` clauses that both databases know."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a ValueError is about the port
        # No `from`: the error quotes the URL, which may hold a password.
        raise DatabaseError(
            "DATABASE_URL is no URL; write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    if parsed.drivername not in DRIVERS:
        raise DatabaseError(
            f"DATABASE_URL begins with {parsed.drivername}://; only sqlite:// and postgresql:// are supported"
        )
    parsed = parsed.set(drivername=DRIVERS[parsed.drivername])
    if "sslmode" in parsed.query:  # libpq's name for it, which hosts of databases put into their URLs
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": parsed.query["sslmode"]})
    return parsed


# SQLite


@asynccontextmanager
async def _sqlite(url: URL) -> AsyncIterator[Database]:
    if url.database in {None, "", ":memory:"}:
        raise DatabaseError(f"DATABASE_URL={url} names no file; write sqlite:///FILE")
    path, name = Path(str(url.database)), str(url.set(drivername="sqlite"))
    with translated(name):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its other files the same mode
    async with AsyncExitStack() as stack:
        # One connection writes: two would only wait for each other, and might give up.
        writer = await stack.enter_async_context(_engine(url, 1, _PRAGMAS, "BEGIN IMMEDIATE"))
        reader = await stack.enter_async_context(_engine(url, READERS, (*_PRAGMAS, "query_only = ON"), "BEGIN"))
        database = Database(name, writer, reader, asyncio.Lock(), path)
        async with _sole_opener(path):
            await _use_wal(writer, name)
            async with database.write() as connection:
                await connection.run_sync(migration.upgrade)
        yield database


_PRAGMAS = (
    f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
    "foreign_keys = ON",
    "synchronous = NORMAL",  # in WAL mode no process that dies loses a commit; a power cut may cost the last ones
    "secure_delete = ON",  # what is removed is overwritten
    "journal_size_limit = 16777216",
)


@asynccontextmanager
async def _engine(url: URL, size: int, pragmas: tuple[str, ...], begin: str) -> AsyncIterator[AsyncEngine]:
    # isolation_level=None: the driver begins and commits nothing by itself, DDL included.
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_S * 3,
        hide_parameters=True,
        connect_args={"isolation_level": None},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_now(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    try:
        yield engine
    finally:
        await engine.dispose()


async def _use_wal(writer: AsyncEngine, name: str) -> None:
    """Readers and the writer do not wait for each other in this mode, which the file remembers."""
    with translated(name):
        async with writer.connect() as connection:
            raw = await connection.get_raw_connection()
            cursor = await raw.driver_connection.execute("PRAGMA journal_mode = WAL")  # type: ignore[union-attr]  # aiosqlite's
            await cursor.close()


@asynccontextmanager
async def _sole_opener(path: Path) -> AsyncIterator[None]:
    """Keep other processes from opening the same file: changing to WAL mode fails at once if two do it."""
    with translated(str(path)), path.with_name(f"{path.name}.lock").open("a") as lock:
        async with asyncio.timeout(BUSY_TIMEOUT_S):
            while not _try_lock(lock.fileno()):  # noqa: ASYNC110 - another process gives it back
                await asyncio.sleep(0.02)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# PostgreSQL


@asynccontextmanager
async def _postgres(url: URL) -> AsyncIterator[Database]:
    name = url.set(drivername="postgresql").render_as_string(hide_password=True)
    if strange := set(url.query) - set(inspect.signature(asyncpg.connect).parameters):
        raise DatabaseError(
            f"DATABASE_URL has options that are not known here: {', '.join(sorted(strange))}; leave them out"
        )
    engine = create_async_engine(
        url,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_S * 3,
        pool_pre_ping=True,  # the server may have been restarted since
        hide_parameters=True,
        connect_args={"timeout": CONNECT_TIMEOUT_S},
    )
    # What is read by several statements is read as of one moment, as on SQLite.
    database = Database(name, engine, engine.execution_options(isolation_level="REPEATABLE READ"))
    try:
        async with database.write() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            await connection.run_sync(migration.upgrade)
        yield database
    finally:
        await engine.dispose()


# Errors


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what a driver raises into a DatabaseError that says what to do."""
    try:
        yield
    except DatabaseError:
        raise
    except TimeoutError as error:
        raise DatabaseError(f"{where} does not answer in time; another process may be holding it up") from error
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
        raise DatabaseError(f"{where}: {_explain(cause)}") from error


# What SQLite says, and what to do about it; it has no finer classes of errors.
_SQLITE_ADVICE = {
    "locked": f"another process has kept the database locked for {BUSY_TIMEOUT_S:g} s; end it, or wait for it",
    "disk is full": "the disk is full; make room",
    "readonly": "the database cannot be written; check the rights of the file and its folder",
    "unable to open": "the file cannot be opened; check its folder and rights",
    "not a database": "the file is no SQLite database; name another one in DATABASE_URL",
    "malformed": "the database is damaged; put back a backup",
}

_POSTGRES_ADVICE: dict[type[BaseException], str] = {
    asyncpg.InvalidAuthorizationSpecificationError: "the server refuses user or password; correct DATABASE_URL",
    asyncpg.InvalidCatalogNameError: "the server has no database by that name; make it with createdb",
    asyncpg.InsufficientPrivilegeError: "the user may not make or use the tables; grant it the rights",
    asyncpg.TooManyConnectionsError: "the server takes no more connections; raise its max_connections",
    asyncpg.DiskFullError: "the server's disk is full; make room",
}


def _explain(cause: BaseException) -> str:
    chain = [cause, cause.__cause__, cause.__context__]  # SQLAlchemy's stand-in for asyncpg's error comes first
    for error in chain:
        for kind, advice in _POSTGRES_ADVICE.items():
            if isinstance(error, kind):
                return advice
    said = (str(cause).splitlines() or [""])[0]
    for words, advice in _SQLITE_ADVICE.items():
        if words in said:
            return advice
    if isinstance(cause, OSError):
        return f"cannot be reached ({cause.strerror or said}); check DATABASE_URL, and whether it runs"
    return f"{type(cause).__name__}: {said}"
