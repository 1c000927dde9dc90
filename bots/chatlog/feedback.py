"""The rows of what people think of answers.

They are gone with the answer; `bots.chatlog.ratings` has those that outlive it. Statements only: the caller brings the
transaction.
"""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog.chats import ChatRow
from bots.chatlog.database import insert
from bots.chatlog.records import FeedbackCounts, FeedbackSource
from bots.chatlog.schema import feedback, posts
from bots.message import MessageId


async def give(
    connection: AsyncConnection,
    chat: ChatRow,
    message_id: MessageId,
    user_id: str,
    score: int,
    source: FeedbackSource,
    now: datetime,
) -> int | None:
    """Keep one person's newest rating of an answer, or none for a score of 0; returns the answer's id, if it is one."""
    found = select(posts.c.message_id).where(posts.c.chat_id == chat.id, posts.c.platform_id == message_id)
    answer_id: int | None = await connection.scalar(found)
    if answer_id is None:
        return None
    rating = {"message_id": answer_id, "user_id": user_id, "source": source}
    if score == 0:
        is_it = (feedback.c[name] == value for name, value in rating.items())
        await connection.execute(delete(feedback).where(*is_it))
        return answer_id
    values = {"score": 1 if score > 0 else -1, "platform_id": message_id, "given_at": now}
    statement = insert(connection, feedback).values(**rating, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=list(rating), set_=values))
    return answer_id


async def count(connection: AsyncConnection, since: datetime, until: datetime) -> FeedbackCounts:
    """How many of the ratings given from `since` on and before `until` are good and bad.

    Of a person who has rated an answer by button and by reaction, the newer counts.
    """
    place = func.row_number().over(
        partition_by=(feedback.c.message_id, feedback.c.user_id),
        order_by=(feedback.c.given_at.desc(), feedback.c.id.desc()),
    )
    given = select(feedback.c.score, feedback.c.given_at, place.label("place")).subquery()
    is_meant = (given.c.place == 1) & (given.c.given_at >= since) & (given.c.given_at < until)
    found = select(given.c.score, func.count().label("number")).where(is_meant).group_by(given.c.score)
    numbers = {row.score: row.number for row in (await connection.execute(found)).all()}
    return FeedbackCounts(good=numbers.get(1, 0), bad=numbers.get(-1, 0))
