"""The rows of what people think of answers.

They are gone with the answer; `bots.chatlog.ratings` has those that outlive it. Statements only: the caller brings the
transaction.
"""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog.chats import ChatRow
from bots.chatlog.database import insert
from bots.chatlog.records import FeedbackSource
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
