"""The SQLite file of the schedule: its tables, and how several processes write to it.

Every error of the database becomes a `StoreError` here. Knows nothing of what the rows mean.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Dialect,
    Engine,
    Integer,
    MetaData,
    NullPool,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.exc import SQLAlchemyError, StatementError

from finetune.errors import StoreError

FORMAT = 1
# How long a write waits for another process; ours hold the file for milliseconds.
BUSY_TIMEOUT_S = 20.0


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, as ISO 8601 text: it can be read in the file, and sorted."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> str | None:
        """A time as it is stored."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, _: Dialect) -> datetime | None:
        """The reverse."""
        return None if value is None else datetime.fromisoformat(value)


metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),  # the order in which they were asked for
    Column("id", Text, nullable=False, unique=True),
    Column("trigger", Text, nullable=False),  # finetune.flywheel.record.Trigger
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),  # finetune.flywheel.record.State
    Column("asked_at", UtcTime, nullable=False),
    Column("request_id", Integer),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("attempts", Integer, nullable=False, default=0),
    Column("step", Text, nullable=False, default=""),
    Column("outcome", Text, nullable=False, default=""),
    Column("version", Text),
    Column("pid", Integer),  # for people who look for the process; locks decide who is alive
    Column("is_told", Boolean, nullable=False, default=False),
    sqlite_autoincrement=True,
)

kept = Table("kept", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))


def open_engine(path: Path) -> Engine:
    """An engine on the file, which is made if it is missing; each transaction has a connection of its own.

    Raises:
        StoreError: The file is of a newer program, or cannot be used.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its other files the same mode
        engine = _engine(path)
        with engine.begin() as connection:
            _make_tables(path, connection)
    return engine


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Says of an error in the block which file it is about, and what to do.

    Raises:
        StoreError: In place of an error of the database or of the file.
    """
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
        raise StoreError(f"{path} cannot be used ({cause}); see SCHEDULE_DATABASE") from error


def _engine(path: Path) -> Engine:
    # isolation_level=None: the driver begins nothing by itself. Without a pool no connection outlives its transaction,
    # and none is carried into another process.
    arguments = {"isolation_level": None, "timeout": BUSY_TIMEOUT_S}
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args=arguments, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        # Readers and the writer do not wait for each other in this mode, which the file remembers.
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begin_now(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _make_tables(path: Path, connection: Connection) -> None:
    found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if found > FORMAT:
        raise StoreError(f"{path} is of format {found}, this version knows up to {FORMAT}; use a newer version")
    if found < FORMAT:
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {FORMAT}")
