"""The rows of what people think of answers.

Statements only: the caller brings the transaction.
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
) -> bool:
    """Keep one person's newest rating of an answer, or none for a score of 0; False if it is no answer."""
    found = select(posts.c.message_id).where(posts.c.chat_id == chat.id, posts.c.platform_id == message_id)
    answer_id = (await connection.execute(found)).scalar_one_or_none()
    if answer_id is None:
        return False
    rating = {"message_id": answer_id, "user_id": user_id, "source": source}
    if score == 0:
        is_it = (feedback.c[name] == value for name, value in rating.items())
        await connection.execute(delete(feedback).where(*is_it))
        return True
    values = {"score": 1 if score > 0 else -1, "given_at": now}
    statement = insert(connection, feedback).values(**rating, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=list(rating), set_=values))
    return True
