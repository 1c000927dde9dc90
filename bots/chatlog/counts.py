"""How much the log holds, for people who look after it.

Only reads.
"""

from sqlalchemy import Column, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog.migration import VERSION_TABLE
from bots.chatlog.records import AnswerState, LogStats, QuestionState
from bots.chatlog.schema import (
    chats,
    consents,
    corrections,
    feedback,
    lineage,
    messages,
    metadata,
    notices,
    people,
    plugin_data,
    posts,
    requests,
    training_messages,
    training_ratings,
)

# Tables of which only the number of rows is told.
OTHERS = (
    training_messages,
    training_ratings,
    corrections,
    people,
    consents,
    lineage,
    plugin_data,
    requests,
    notices,
)


async def count(connection: AsyncConnection, name: str) -> LogStats:
    """Count everything; reads all rows."""
    questions, answers = await _states(connection, "user"), await _states(connection, "bot")
    return LogStats(
        database=name,
        revision=str(await connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))),  # noqa: S608 - a constant
        chats=await _rows(connection, chats.c.id),
        questions={QuestionState(state): number for state, number in questions.items()},
        answers={AnswerState(state): number for state, number in answers.items()},
        posts=await _rows(connection, posts.c.id),
        feedback=await _rows(connection, feedback.c.id),
        others={table.name: await _rows(connection, table.c.id) for table in OTHERS},
        keys=await keys_in_use(connection),
        oldest=await connection.scalar(select(func.min(messages.c.sent_at))),
    )


async def keys_in_use(connection: AsyncConnection) -> dict[str, int]:
    """The number of encrypted rows by the id of their key."""
    numbers: dict[str, int] = {}
    for column in (table.c.key_id for table in metadata.sorted_tables if "key_id" in table.c):
        found = select(column, func.count()).where(column.is_not(None)).group_by(column)
        for key_id, number in (await connection.execute(found)).all():
            numbers[key_id] = numbers.get(key_id, 0) + number
    return numbers


async def _rows(connection: AsyncConnection, column: Column[int]) -> int:
    return (await connection.execute(select(func.count(column)))).scalar_one()


async def _states(connection: AsyncConnection, role: str) -> dict[str, int]:
    found = (
        select(messages.c.state, func.count().label("number")).where(messages.c.role == role).group_by(messages.c.state)
    )
    return {row.state: row.number for row in (await connection.execute(found)).all()}
