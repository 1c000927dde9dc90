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
from bots.chatlog.records import TrainableTurn, TrainingCounts, TrainingRole

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

    async def new_targets(self, since: datetime) -> int:
        """How many answers there are to learn from that there were not before a time: good ones, and corrections.

        An answer is good if somebody says so and nobody the contrary.
        """
        archive = self._archive
        async with archive.read() as connection:
            turns = await training.rated_or_corrected(connection, since)
        total = 0
        for start in range(0, len(turns), BATCH):
            batch = turns[start : start + BATCH]
            async with archive.read() as connection:
                found = await training.judged(connection, archive.cipher, archive.policy, batch)
            total += sum(_num_new(turn, since) for _, turn in found)
        return total

    async def note_model(self, version: str, message_ids: Iterable[int]) -> frozenset[int]:
        """Write down whose words and ratings of them a model is going to see, before it sees them.

        It takes the place of what was noted of the model before, which is then to be trained anew.

        Returns:
            The messages that were withdrawn since they were read: not to be trained on.
        """
        async with self._archive.write() as connection:
            return await lineage.note(connection, version, sorted(set(message_ids)), self._archive.now())

    async def models_that_saw(self, pseudonym: str) -> tuple[str, ...]:
        """The models that have seen words of a person; `Consents.pseudonym` tells under which name."""
        async with self._archive.read() as connection:
            return await lineage.saw(connection, pseudonym)

    async def tainted_since(self) -> dict[str, datetime]:
        """The models that have seen words of somebody who was forgotten, or has ended a consent, since when."""
        async with self._archive.read() as connection:
            return await lineage.tainted_since(connection)

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


def _num_new(turn: TrainableTurn, since: datetime) -> int:
    """How much there is to learn from a turn that there was not before a time."""
    corrections = [m for m in turn.messages if m.role is TrainingRole.CORRECTION and m.sent_at >= since]
    is_good = bool(turn.ratings) and all(rating.score > 0 for rating in turn.ratings)
    return len(corrections) + (is_good and all(rating.given_at >= since for rating in turn.ratings))
