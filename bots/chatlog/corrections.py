"""What people say that the bot should have answered.

Kept beside the answer, and gone with it.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import content, ledger
from bots.chatlog.archive import Archive
from bots.chatlog.chats import ChatRow, hold
from bots.chatlog.content import Content
from bots.chatlog.database import insert
from bots.chatlog.places import CORRECTION
from bots.chatlog.samples import CORRECTS
from bots.chatlog.schema import corrections, posts
from bots.chatlog.traininglog import TrainingLog
from bots.message import ChatRef, MessageId, Segment, User
from bots.policy import Purpose, Words, judge


class Corrections:
    """What people suggest in place of answers; reached as `ChatLog.corrections`."""

    def __init__(self, archive: Archive, training: TrainingLog) -> None:
        self._archive, self._training = archive, training

    async def give(self, chat: ChatRef, message_id: MessageId, user: User, segments: Sequence[Segment]) -> bool:
        """Keep a person's newest correction of an answer.

        Returns:
            False if no answer of ours stands in that message, or if the person wants not to be remembered.
        """
        row = await self._archive.find(chat)
        if row is None:
            return False
        async with self._archive.write() as connection:
            await hold(connection, row)
            found = select(posts.c.message_id).where(posts.c.chat_id == row.id, posts.c.platform_id == message_id)
            answer_id = await connection.scalar(found)
            if answer_id is None or not await self._may_keep(connection, row, user):
                return False
            await self._keep(connection, row, answer_id, user, segments)
            await self._training.refresh(connection, [answer_id])
        return True

    async def _may_keep(self, connection: AsyncConnection, chat: ChatRow, user: User) -> bool:
        author = await ledger.author(connection, chat.ref, user.id)
        words = Words(
            platform=chat.ref.platform,
            sent_at=self._archive.now(),
            addressed=CORRECTS,
            is_from_bot=user.is_bot,
            refuses_memory=author is not None and author.refuses_memory,
        )
        return judge(Purpose.MEMORY, [words], self._archive.policy).is_allowed

    async def _keep(
        self, connection: AsyncConnection, chat: ChatRow, answer_id: int, user: User, segments: Sequence[Segment]
    ) -> None:
        key_id, blob = self._archive.cipher.seal(chat.place(CORRECTION), content.pack(Content(tuple(segments))))
        values = {"content": blob, "key_id": key_id, "given_at": self._archive.now()}
        statement = insert(connection, corrections).values(message_id=answer_id, user_id=user.id, **values)
        await connection.execute(statement.on_conflict_do_update(index_elements=["message_id", "user_id"], set_=values))
