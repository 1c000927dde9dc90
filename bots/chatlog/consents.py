"""What people have agreed to, and what follows from it.

Each decision is for one chat and its threads, and takes effect in the transaction that writes it down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import chats, ledger, lineage, passing, people, training
from bots.chatlog.archive import Archive
from bots.chatlog.chats import ChatRow
from bots.chatlog.records import ConsentEntry, ConsentSource, Person
from bots.message import Addressed, ChatRef, User
from bots.policy import WORDINGS, Purpose, Verdict, Words, judge


class Consents:
    """People's decisions about what is done with their words; reached as `ChatLog.consents`."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def record(
        self,
        user: User,
        chat: ChatRef,
        purpose: Purpose,
        *,
        is_granted: bool,
        source: ConsentSource,
        is_private: bool | None = None,
        wording_id: str | None = None,
    ) -> bool:
        """Write down a decision about the current text; one that is in force already changes nothing.

        Ended consent to training removes the turns in which the person speaks from the training log, and taints the
        models that have seen words of the person. A refusal to
        be remembered also wipes the person's turns, and ends the consent to training.

        Args:
            is_private: What a chat is that was never seen; None for no. One that was seen stays what it is.
            wording_id: The text that was shown; None if it is known to be the current one.

        Returns:
            False if nobody has agreed to anything: another text was shown, or who wants to be trained on is no
            person, but a bot, a group or a channel. A refusal always counts.
        """
        is_outdated = wording_id not in {None, WORDINGS[purpose].id}
        is_nobody = user.is_bot or not user.is_person
        if is_granted and (is_outdated or (purpose is Purpose.TRAINING and is_nobody)):
            return False
        archive = self._archive
        async with archive.write() as connection:
            await chats.hold_all(connection, chats.is_family(chat))
            # Not from what this process remembers: another one may have removed the chat.
            row = await chats.ensure(connection, chat.parent, archive.now(), is_private=is_private)
            pseudonym = await people.ensure(connection, archive.cipher, user.platform, user.id, archive.now())
            decision = _Decision(connection, pseudonym, user, row, source, archive.now())
            await decision.record(purpose, is_granted=is_granted)
            if purpose is Purpose.MEMORY and not is_granted:
                await passing.wipe_person(connection, row.ref, user.id, archive.now())
        if not is_granted:
            await archive.database.tidy()
        return True

    async def standing(self, user: User, chat: ChatRef) -> Mapping[Purpose, ConsentEntry | None]:
        """What the person has decided last for each purpose; None if never anything."""
        async with self._archive.read() as connection:
            author = await ledger.author(connection, chat, user.id)
        return {purpose: author.standing.get(purpose) if author else None for purpose in Purpose}

    async def verdicts(self, user: User, chat: ChatRef) -> Mapping[Purpose, Verdict]:
        """What may become of a message that the person would write to the bot there now."""
        async with self._archive.read() as connection:
            author = await ledger.author(connection, chat, user.id)
        words = Words(
            platform=chat.platform,
            sent_at=self._archive.now(),
            addressed=frozenset({Addressed.DIRECT}),
            is_from_bot=user.is_bot,
            is_person=user.is_person,
            consent=author.consent if author else None,
            refuses_memory=author.refuses_memory if author else False,
        )
        return {purpose: judge(purpose, [words], self._archive.policy) for purpose in Purpose}

    async def history(self, platform: str, user_id: str) -> list[ConsentEntry]:
        """All decisions of a person, oldest first."""
        async with self._archive.read() as connection:
            pseudonym = await people.find(connection, platform, user_id)
            return [] if pseudonym is None else await ledger.history(connection, pseudonym)

    async def pseudonym(self, platform: str, user_id: str) -> str | None:
        """What the training log calls a person; None if it has never had a reason to."""
        async with self._archive.read() as connection:
            return await people.find(connection, platform, user_id)


@dataclass(frozen=True)
class _Decision:
    """Somebody decides something, inside a transaction."""

    connection: AsyncConnection
    pseudonym: str
    user: User
    chat: ChatRow
    source: ConsentSource
    now: datetime

    async def record(self, purpose: Purpose, *, is_granted: bool) -> None:
        """Write it down if it is news, and end what it ends."""
        author = await ledger.author(self.connection, self.chat.ref, self.user.id)
        standing = author.standing if author else {}
        if ledger.is_news(standing.get(purpose), WORDINGS[purpose].id, is_granted=is_granted):
            await self._append(purpose, is_granted=is_granted)
        if not is_granted and author is not None and author.consent is not None:
            if purpose is Purpose.MEMORY:
                await self._append(Purpose.TRAINING, is_granted=False)
            person = Person(self.user.platform, self.user.id)
            await training.withdraw(self.connection, person, self.pseudonym, self.chat.ref)
            await lineage.taint(self.connection, self.pseudonym, self.now)

    async def _append(self, purpose: Purpose, *, is_granted: bool) -> None:
        await ledger.append(
            self.connection,
            self.pseudonym,
            self.user.platform,
            self.chat.uuid,
            purpose,
            is_granted=is_granted,
            source=self.source,
            now=self.now,
        )
