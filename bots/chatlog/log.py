"""The bots' one memory: what people said, what was answered, and what they think of it.

Each method is one short transaction; what it did survives the process. Rules and statements stand in the
modules that it calls. Knows nothing of platforms, engines or when to do what.

No method ever gives back anything of another chat than the one asked for, but `export`, which gives a person all
of that person's own, and `training`, which names neither chats nor people.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import (
    answers,
    chats,
    counts,
    database,
    exporting,
    feedback,
    files,
    forgetting,
    ledger,
    memory,
    moving,
    questions,
    ratings,
    retention,
    rotation,
    training,
)
from bots.chatlog.archive import Archive
from bots.chatlog.consents import Consents
from bots.chatlog.corrections import Corrections
from bots.chatlog.files import FileCipher
from bots.chatlog.mailbox import Mailbox
from bots.chatlog.plugindata import PluginData
from bots.chatlog.records import (
    AnswerState,
    ChatSettings,
    FeedbackCounts,
    FeedbackSource,
    Forgotten,
    LoggedAnswer,
    LoggedTurn,
    LogStats,
    Person,
    QuestionState,
    Rotation,
    Unfinished,
)
from bots.chatlog.settings import DatabaseSettings
from bots.chatlog.traininglog import TrainingLog
from bots.errors import DatabaseError
from bots.message import Addressed, ChatRef, Message, MessageEdited, MessageId, MessagesDeleted, Segment
from bots.policy import CLOSED, Policy, Purpose, Words, judge


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class ChatLog:
    """An open chat log; `open` makes one.

    Attributes:
        policy: What may be kept and trained on, as far as the operator decides that.
        now: The time that rows are given.
        consents: What people have agreed to.
        training: What may be trained on.
        corrections: What people say that the bot should have answered.
        data: What plugins keep.
        mailbox: What bots and the programs beside them have to tell each other.

    Every method raises DatabaseError if the database cannot be used; nothing was done then.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._database, self._cipher = archive.database, archive.cipher
        self.policy, self.now = archive.policy, archive.now
        self.consents = Consents(archive)
        self.training = TrainingLog(archive)
        self.corrections = Corrections(archive, self.training)
        self.data = PluginData(archive)
        self.mailbox = Mailbox(archive)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: DatabaseSettings, *, policy: Policy = CLOSED, now: Callable[[], datetime] = utc_now
    ) -> AsyncIterator[Self]:
        """Open the database that `settings` names, made or brought up to date first if need be.

        Raises:
            DatabaseError: It cannot be reached, a newer program made it, or a key of its texts is missing.
        """
        async with database.open_database(settings.url) as opened:
            cipher = await rotation.open_cipher(opened, settings.key_file)
            yield cls(Archive(opened, cipher, policy, now))

    @asynccontextmanager
    async def served_alone(self, platform: str, account: str) -> AsyncIterator[None]:
        """See that no other process serves the same account from this log: both would answer, and both resume.

        Raises:
            DatabaseError: One does.
        """
        async with self._database.claim(f"{platform}-{quote(account, safe='')}") as is_alone:
            if not is_alone:
                raise DatabaseError(f"another process serves {platform} {account} with this database; end it")
            yield

    async def file_cipher(self) -> FileCipher:
        """What other packages encrypt their files with, in which people's words are."""
        return await files.cipher_of(self._archive)

    # What people say

    async def receive(self, message: Message, state: QuestionState, *, addressed: frozenset[Addressed]) -> int | None:
        """Store a message; returns its row id, or None if this chat has seen it before, or if it may not be kept.

        A message that was so far only known as context, and now comes to be answered, counts as new. What a person
        says who wants not to be remembered is wiped once it is answered.
        """
        said = Words(message.chat.platform, message.time, addressed=addressed, is_from_bot=message.author.is_bot)
        if not self._may_keep(said):
            return None
        chat = await self._archive.see(message.chat, is_private=message.is_private)
        # A platform whose clock runs ahead must not let a message look as if it came after what is agreed to later.
        message = replace(message, time=min(message.time, self.now()))
        async with self._archive.write() as connection:
            is_passing = await self._is_passing(connection, said, message.chat, message.author.id)
            return await questions.receive(
                connection, self._cipher, chat, message, state, addressed, is_passing=is_passing
            )

    async def note_quote(self, message: Message) -> int | None:
        """Store what `message` quotes as context, if a person wrote it and the chat does not know it yet.

        Returns:
            Its row id if it is new. It joins the turns of whatever quotes it by itself.
        """
        quote = message.quote
        if quote is None or not quote.segments or quote.author is None or quote.author.is_bot:
            return None
        said = Words(message.chat.platform, message.time, is_quoted=True)
        if not self._may_keep(said):
            return None
        chat = await self._archive.see(message.chat, is_private=message.is_private)
        async with self._archive.write() as connection:
            is_passing = await self._is_passing(connection, said, message.chat, quote.author.id)
            return await questions.note(
                connection, self._cipher, chat, quote, quote.author, message.time, is_passing=is_passing
            )

    def _may_keep(self, said: Words) -> bool:
        return judge(Purpose.MEMORY, [said], self.policy).is_allowed

    async def _is_passing(self, connection: AsyncConnection, said: Words, chat: ChatRef, author_id: str) -> bool:
        """Whether what may be kept as it came about is by somebody who wants not to be remembered."""
        author = await ledger.author(connection, chat, author_id)
        return author is not None and not self._may_keep(replace(said, refuses_memory=author.refuses_memory))

    async def set_content(self, row_id: int, segments: Sequence[Segment]) -> None:
        """Replace what a message says, as its attachments were read; nothing happens if it was deleted."""
        async with self._archive.write() as connection:
            await questions.set_content(connection, self._cipher, row_id, segments)

    async def set_state(self, row_ids: Sequence[int], state: QuestionState) -> None:
        """Say what became of people's messages; they are all of one chat."""
        async with self._archive.write() as connection:
            await questions.set_state(connection, row_ids, state, self.now())

    async def edit(self, event: MessageEdited) -> int | None:
        """Follow an edit; returns the row that changed.

        None if the message is unknown or deleted, if it says the same as before (a link got its preview), or
        if a later edit has been followed already. What was read of an attachment is kept. What the log has lost
        by then goes from the training log, too.
        """
        chat = await self._archive.find(event.chat)
        if chat is None:
            return None
        async with self._archive.write() as connection:
            row_id = await questions.edit(connection, self._cipher, chat, event)
            if row_id is not None:
                await answers.outdate(connection, row_id)
                await self.training.refresh(connection, [row_id])
            elif not await questions.is_there(connection, chat, event.id):
                await training.delete_messages(connection, chat, [event.id])
        return row_id

    async def delete(self, event: MessagesDeleted) -> tuple[int, ...]:
        """Wipe what the deleted messages said; returns the rows that it changed.

        A message that waits for an answer becomes CANCELLED. An answer of the bot is wiped once all the
        messages that showed it are deleted.
        """
        chat = await self._archive.find(event.chat)
        if chat is None:
            return ()
        async with self._archive.write() as connection:
            row_ids = await questions.delete(connection, chat, event)
            await self.training.refresh(connection, row_ids)
            await training.delete_messages(connection, chat, event.ids)
        return row_ids

    # What the bot answers

    async def begin_answer(self, chat: ChatRef, question_ids: Sequence[int]) -> int:
        """Open an answer to messages of `chat`; returns its id.

        If they had an answer before, that one becomes SUPERSEDED, and the new one takes over its turn and its
        posts. Rows of context may be among the questions, and go into the turn as such.

        Raises:
            ValueError: A row is not of this chat, or none of them is a question. So it is once the chat is gone.
        """
        row = await self._archive.find(chat)
        if row is None:
            raise ValueError(f"{chat.key} is no chat that is known, or it was forgotten; receive a message first")
        async with self._archive.write() as connection:
            answer_id = await answers.begin(connection, row, question_ids, self.now())
            await training.supersede(connection, question_ids)
        return answer_id

    async def join_answer(self, answer_id: int, question_ids: Sequence[int]) -> None:
        """Let an answer under way be one to these messages, too; those it was begun with stay with it.

        Raises:
            ValueError: A row is not of the answer's chat.
        """
        async with self._archive.write() as connection:
            await answers.join(connection, answer_id, question_ids)

    async def write_answer(
        self,
        answer_id: int,
        segments: Sequence[Segment],
        *,
        model_version: str | None,
        prompt_sha256: str | None,
        finish_reason: str | None,
    ) -> None:
        """Make an answer's text durable, before it is delivered; one that is WRITING becomes WRITTEN."""
        async with self._archive.write() as connection:
            await answers.write(
                connection,
                self._cipher,
                answer_id,
                segments,
                model_version=model_version,
                prompt_sha256=prompt_sha256,
                finish_reason=finish_reason,
            )

    async def end_answer(self, answer_id: int, state: AnswerState) -> None:
        """Settle an answer, and its questions with it: FAILED if it failed, otherwise ANSWERED.

        An answer that another one has superseded stays so. One that fails in place of an earlier answer brings
        that one back: it is remembered, and what was posted is its again.

        Raises:
            ValueError: `state` is WRITING or WRITTEN.
        """
        async with self._archive.write() as connection:
            await self._end(connection, answer_id, state)

    async def _end(self, connection: AsyncConnection, answer_id: int, state: AnswerState) -> None:
        await answers.end(connection, answer_id, state, self.now())
        await self.training.refresh(connection, [answer_id])

    async def expire(self, unfinished: Unfinished) -> None:
        """Leave undone what an earlier run has left: its questions become EXPIRED.

        An answer that has a text becomes UNDELIVERED, any other FAILED.
        """
        async with self._archive.write() as connection:
            if unfinished.answer_id is not None:
                is_written = unfinished.state is AnswerState.WRITTEN
                state = AnswerState.UNDELIVERED if is_written else AnswerState.FAILED
                await self._end(connection, unfinished.answer_id, state)
            await questions.set_state(connection, unfinished.question_ids, QuestionState.EXPIRED, self.now())

    async def posting(self, answer_id: int, part: int, nonce: str) -> None:
        """Note that a part of an answer is about to be sent; comes before the send.

        A part that was posted before is about to be sent anew: what it was known by is forgotten.
        """
        async with self._archive.write() as connection:
            await answers.posting(connection, answer_id, part, nonce, self.now())

    async def posted(self, answer_id: int, part: int, message_id: MessageId) -> None:
        """Note that the platform has acknowledged a part."""
        async with self._archive.write() as connection:
            await answers.posted(connection, answer_id, part, message_id)

    async def unposted(self, answer_id: int, part: int) -> None:
        """Note that the message which showed a part is gone."""
        async with self._archive.write() as connection:
            await answers.unposted(connection, answer_id, part)

    async def give_feedback(
        self, chat: ChatRef, message_id: MessageId, user_id: str, score: int, source: FeedbackSource
    ) -> bool:
        """Keep what a person thinks of an answer: 1, -1, or 0 to take it back; False if it is no answer of ours.

        One that the log has lost by then is none any more. What the person thought of it goes from the training log.
        """
        row = await self._archive.find(chat)
        if row is None:
            return False
        async with self._archive.write() as connection:
            await chats.hold(connection, row)
            answer_id = await feedback.give(connection, row, message_id, user_id, score, source, self.now())
            if answer_id is None:
                await ratings.take_back(connection, row, message_id, user_id, source)
            else:
                await self.training.rate(connection, row, answer_id)
        return answer_id is not None

    async def feedback_rates(self, since: datetime, until: datetime) -> FeedbackCounts:
        """How many good and bad ratings were given in a time, as far as the answers are kept; each person's last."""
        async with self._archive.read() as connection:
            return await feedback.count(connection, since, until)

    # What is remembered

    async def history(
        self, chat: ChatRef, *, limit_turns: int = 100, before_turn: int | None = None
    ) -> list[LoggedTurn]:
        """The newest turns of a chat, oldest first: after its reset, within its window, before `before_turn`.

        Deleted messages are left out, and a turn without any question left. A quoted message stands in the
        first of the turns given that quotes it.
        """
        row = await self._archive.find(chat)
        if row is None:
            return []
        async with self._archive.read() as connection:
            return await memory.history(connection, self._cipher, row, limit_turns, before_turn)

    async def chain(self, chat: ChatRef, reply_to: MessageId, *, limit_turns: int = 50) -> list[LoggedTurn]:
        """The turns on the path of replies that ends at the message `reply_to`, oldest first.

        Never from before the last reset, and never out of the chat.
        """
        row = await self._archive.find(chat)
        if row is None:
            return []
        async with self._archive.read() as connection:
            return await memory.chain(connection, self._cipher, row, reply_to, limit_turns)

    async def answer_at(self, chat: ChatRef, message_id: MessageId) -> LoggedAnswer | None:
        """The answer that a message of the bot shows, or a part of it."""
        row = await self._archive.find(chat)
        if row is None:
            return None
        async with self._archive.read() as connection:
            return await memory.answer_at(connection, self._cipher, row, message_id)

    async def last_answer(self, chat: ChatRef) -> LoggedAnswer | None:
        """The newest answer in a chat since its reset, under way or not; failed ones count, too."""
        row = await self._archive.find(chat)
        if row is None:
            return None
        async with self._archive.read() as connection:
            return await memory.last_answer(connection, self._cipher, row)

    async def answer_in(self, chat: ChatRef, turn: int) -> LoggedAnswer | None:
        """The answer of a turn, as it stands now."""
        row = await self._archive.find(chat)
        if row is None:
            return None
        async with self._archive.read() as connection:
            return await memory.answer_in(connection, self._cipher, row, turn)

    async def unfinished(self, platform: str, account: str) -> list[Unfinished]:
        """What is left to do for one account after a restart: chat by chat, oldest first.

        Each answer that was under way, and then per person the messages that wait for one.
        """
        async with self._archive.read() as connection:
            return await memory.unfinished(connection, self._cipher, platform, account)

    async def has_spoken_in(self, chat: ChatRef) -> bool:
        """Whether the bot has ever answered in a chat, as far as retention lets it remember."""
        row = await self._archive.find(chat)
        if row is None:
            return False
        async with self._archive.read() as connection:
            return await memory.has_spoken(connection, row)

    # Chats

    async def chat_settings(self, chat: ChatRef) -> ChatSettings:
        """What people set for exactly this chat; the defaults if nothing."""
        row = await self._archive.find(chat)
        if row is None:
            return ChatSettings()
        async with self._archive.read() as connection:
            return await chats.settings(connection, self._cipher, row)

    async def save_chat_settings(self, chat: ChatRef, settings: ChatSettings, *, is_private: bool) -> None:
        """Replace all settings of a chat; `is_private` says what one is that was never seen."""
        async with self._archive.write() as connection:
            row = await chats.ensure(connection, chat, self.now(), is_private=is_private)
            await chats.save_settings(connection, self._cipher, row, settings)
        self._archive.remember(row)

    async def reset(self, chat: ChatRef) -> None:
        """Start over: nothing said so far is remembered any more."""
        row = await self._archive.find(chat)
        if row is not None:
            async with self._archive.write() as connection:
                await chats.reset(connection, row)

    async def forget_before(self, chat: ChatRef, turn: int) -> None:
        """Let the window of `history` begin at `turn`; it never moves back."""
        row = await self._archive.find(chat)
        if row is not None:
            async with self._archive.write() as connection:
                await chats.forget_before(connection, row, turn)

    async def move_chat(self, old: ChatRef, new: ChatRef) -> None:
        """Give a chat and its threads another reference, with all that they remember.

        Message ids of the old place are not given back any more, as the new one counts from 1 again. What was
        said in the new place already stays, and comes after what was said in the old one.
        """
        async with self._archive.write() as connection:
            await moving.move(connection, self._cipher, old, new)
        self._archive.forget_chats()

    # What people may ask for

    async def forget(self, platform: str, user_id: str) -> Forgotten:
        """Remove all that is kept of a person, on every account of the platform, for good.

        Consents are withdrawn in the ledger; what stands in it then leads to nobody, as the link to the pseudonym
        is destroyed. That goes for a refusal to be remembered, too: whoever comes back is a stranger.
        """
        return await self._forget(Person(platform, user_id), None)

    async def forget_in(self, platform: str, user_id: str, chat: ChatRef) -> Forgotten:
        """Remove all that is kept of a person in a chat and its threads, for good; the consent to training ends."""
        return await self._forget(Person(platform, user_id), chat)

    async def _forget(self, person: Person, chat: ChatRef | None) -> Forgotten:
        async with self._archive.write() as connection:
            forgotten = await forgetting.forget(connection, person, chat, self.now())
        self._archive.forget_chats()
        await self._database.tidy()
        return forgotten

    async def export(self, platform: str, user_id: str) -> dict[str, object]:
        """All that is kept of a person, as values that JSON knows; nothing that somebody else has said."""
        async with self._archive.read() as connection:
            return await exporting.export(connection, self._cipher, Person(platform, user_id), self.now())

    # Upkeep

    async def purge(self, before: datetime) -> int:
        """Remove for good what was said before a time, posts and feedback with it; returns the rows of messages.

        Settings of chats stay.
        """
        return await retention.purge(self._database, before)

    async def purge_training(self, before: datetime) -> int:
        """Remove for good the turns of the training log from before a time; returns how many messages."""
        return await self.training.purge(before)

    async def rotate_key(self) -> Rotation:
        """Encrypt everything with a new key, while bots may be running; see `bots.chatlog.rotation`."""
        return await rotation.rotate(self._database, self._cipher)

    async def stats(self) -> LogStats:
        """How much the log holds."""
        async with self._archive.read() as connection:
            return await counts.count(connection, self._database.name)
