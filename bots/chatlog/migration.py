"""Brings a database's tables to the format that this program reads and writes.

Runs inside a transaction that the caller has begun and locked, so that it happens whole, once, or not at all.
There is no way back to an older format: a backup is.
"""

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from bots.errors import DatabaseError

FOLDER = Path(__file__).parent / "migrations"
# Not Alembic's usual name: an operator may keep other programs' tables in the same PostgreSQL database.
VERSION_TABLE = "chatlog_version"


def upgrade(connection: Connection) -> None:
    """Run the steps that this database has not seen yet.

    Raises:
        DatabaseError: A newer program has been at it; nothing was changed.
    """
    script = ScriptDirectory(str(FOLDER))
    context = MigrationContext.configure(
        connection,
        opts={
            "version_table": VERSION_TABLE,
            # SQLite can roll back DDL once the driver is kept from committing it (bots.chatlog.database).
            "transactional_ddl": True,
            # Alembic's own `upgrade` command does the same; it would want an env.py to be run for it.
            "fn": lambda current, _: script._upgrade_revs("head", current),
        },
    )
    _refuse_newer(script, context.get_current_heads())
    with Operations.context(context):
        context.run_migrations()


def _refuse_newer(script: ScriptDirectory, heads: tuple[str, ...]) -> None:
    for head in heads:
        try:
            script.get_revision(head)
        except CommandError as error:
            raise DatabaseError(
                f"the database has format {head}, and this program knows formats up to "
                f"{script.get_current_head()}; update the program, or name another database in DATABASE_URL"
            ) from error
