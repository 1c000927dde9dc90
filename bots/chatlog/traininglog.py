"""The second log: what may be trained on, and what was.

It is kept in step with the conversations by whatever changes them, and judged anew whenever it is read: what an
operator or a person takes back today is handed out no more. Knows nothing of training itself.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import lineage, ratings, training
from bots.chatlog.archive import Archive
from bots.chatlog.chats import ChatRow
from bots.chatlog.records import TrainableTurn, TrainingCounts

# Turns in one read, or in one removal that a bot's write may have to wait for.
BATCH = 200


class TrainingLog:
    """What of the chat log may be trained on; reached as `ChatLog.training`."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def refresh(self, connection: AsyncConnection, row_ids: Sequence[int]) -> None:
        """Bring the copies of the turns that some rows are in up to date, inside the caller's transaction."""
        archive = self._archive
        await training.refresh(connection, archive.cipher, archive.policy, row_ids, archive.now())

    async def rate(self, connection: AsyncConnection, chat: ChatRow, answer_id: int) -> None:
        """Bring the copies of the ratings of an answer up to date, inside the caller's transaction."""
        await ratings.refresh(connection, self._archive.policy, chat, [answer_id], self._archive.now())

    async def turns(self) -> AsyncIterator[TrainableTurn]:
        """All turns that may be trained on today, oldest first; `note_model` comes before they are."""
        async for _, turn in self._judged():
            yield turn

    async def _judged(self) -> AsyncIterator[tuple[str, TrainableTurn]]:
        archive, turn = self._archive, 0
        while True:
            async with archive.read() as connection:
                last, found = await training.turns_after(connection, archive.cipher, archive.policy, turn, BATCH)
            for each in found:
                yield each
            if last is None:
                return
            turn = last

    async def counts(self) -> TrainingCounts:
        """How much may be trained on, and why the rest may not; reads everything."""
        passing: Counter[str] = Counter()
        num_ratings = 0
        async for rule, turn in self._judged():
            passing[rule] += 1
            num_ratings += len(turn.ratings)
        archive = self._archive
        async with archive.read() as connection:
            refused = await training.refusals(connection, archive.cipher, archive.policy)
        return TrainingCounts(dict(passing), dict(refused), num_ratings)

    async def note_model(self, version: str, message_ids: Iterable[int]) -> frozenset[int]:
        """Write down whose words and ratings of them a model is going to see, before it sees them.

        Returns:
            The messages that were withdrawn since they were read: not to be trained on.
        """
        async with self._archive.write() as connection:
            return await lineage.note(connection, version, sorted(set(message_ids)), self._archive.now())

    async def models_that_saw(self, pseudonym: str) -> tuple[str, ...]:
        """The models that have seen words of a person; `Consents.pseudonym` tells under which name."""
        async with self._archive.read() as connection:
            return await lineage.saw(connection, pseudonym)

    async def tainted_models(self) -> tuple[str, ...]:
        """The models that have seen words of somebody who was forgotten since."""
        async with self._archive.read() as connection:
            return await lineage.tainted(connection)

    async def purge(self, before: datetime) -> int:
        """Remove for good the turns in which something was said before a time; returns how many messages."""
        total = 0
        while True:
            async with self._archive.write() as connection:
                number = await training.purge(connection, before, BATCH)
            total += number
            if not number:
                break
        if total:
            await self._archive.database.tidy()
        return total
