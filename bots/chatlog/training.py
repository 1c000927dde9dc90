"""The rows of the training log: copies of what may be trained on, kept in step with the conversations.

Statements only: the caller brings the transaction.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import chats as chat_rows
from bots.chatlog import content, ledger, passing, ratings, samples
from bots.chatlog.chats import COLUMNS, ChatRow, chat_row, find_of, hold
from bots.chatlog.cipher import Cipher
from bots.chatlog.content import Content
from bots.chatlog.database import AnyRow
from bots.chatlog.ledger import Author
from bots.chatlog.places import TRAINING, place
from bots.chatlog.records import Person, TrainableMessage, TrainableTurn, TrainingRole
from bots.chatlog.samples import Piece, Sample
from bots.chatlog.schema import chats, messages, training_messages, training_ratings
from bots.message import ChatRef, MessageId
from bots.policy import WORDINGS, Consent, Policy, Purpose, Words, judge

_answer = messages.alias("answer")
_parent = chats.alias("parent")


# Kept in step


async def refresh(
    connection: AsyncConnection, cipher: Cipher, policy: Policy, row_ids: Sequence[int], now: datetime
) -> None:
    """Make the copies of the turns that some rows of one chat are in, or were, what they have to be now.

    Belongs into the transaction of whatever has changed them. Doing it again changes nothing.
    """
    chat = await find_of(connection, row_ids[0]) if row_ids else None
    if chat is None:
        return
    await hold(connection, chat)
    turns = await _turns_of(connection, row_ids)
    await _delete(connection, training_messages.c.turn.in_(turns))
    if not _can_pass(chat.ref.platform, policy, now):
        return
    found = await samples.of_turns(connection, cipher, chat, messages.c.turn.in_(turns))
    for sample in found:
        if rows := list(_copies(cipher, policy, chat, sample, now)):
            await connection.execute(insert(training_messages), rows)
    await ratings.refresh(connection, policy, chat, [sample.answer.message_id for sample in found], now)


def _can_pass(platform: str, policy: Policy, now: datetime) -> bool:
    """Whether anything at all that people say on a platform may be trained on."""
    consent = Consent(WORDINGS[Purpose.TRAINING].id, now)
    words = Words(platform, now, addressed=samples.CORRECTS, consent=consent)
    return judge(Purpose.TRAINING, [words], policy).is_allowed


async def supersede(connection: AsyncConnection, row_ids: Sequence[int]) -> None:
    """Remove the copies of the turns that some messages were in, as they are being answered anew."""
    turns = select(training_messages.c.turn).where(training_messages.c.message_id.in_(row_ids))
    await _delete(connection, training_messages.c.turn.in_(turns))


async def _turns_of(connection: AsyncConnection, row_ids: Sequence[int]) -> set[int]:
    found = (
        select(messages.c.turn, _answer.c.turn, training_messages.c.turn)
        .outerjoin(_answer, _answer.c.id == messages.c.answer_id)
        .outerjoin(training_messages, training_messages.c.message_id == messages.c.id)
        .where(messages.c.id.in_(row_ids))
    )
    return {turn for row in (await connection.execute(found)).all() for turn in row if turn is not None}


def _copies(
    cipher: Cipher, policy: Policy, chat: ChatRow, sample: Sample, now: datetime
) -> Iterable[dict[str, object]]:
    verdict = sample.verdict(policy)
    if not verdict.is_allowed:
        return
    for piece in sample.pieces(policy):
        yield _copy(cipher, chat, sample.turn, piece) | {"rule": verdict.rule, "kept_at": now}


def _copy(cipher: Cipher, chat: ChatRow, turn: int, piece: Piece) -> dict[str, object]:
    said = content.pack(Content(samples.without_names(piece.segments or ())))
    key_id, blob = cipher.seal(chat.place(TRAINING), said)
    return {
        "chat_uuid": chat.uuid,
        "platform": chat.ref.platform,
        "turn": turn,
        "message_id": piece.message_id,
        "platform_id": piece.platform_id,
        "role": piece.role,
        "pseudonym": piece.pseudonym,
        "content": blob,
        "key_id": key_id,
        "addressed": ",".join(sorted(piece.words.addressed)),
        "sent_at": piece.words.sent_at,
        "wording_id": piece.words.consent.wording_id if piece.words.consent else "",
        "model_version": piece.model_version,
    }


@dataclass(frozen=True)
class Withdrawn:
    """How many rows of the training log were removed for a person."""

    messages: int = 0
    ratings: int = 0


async def withdraw(
    connection: AsyncConnection, person: Person, pseudonym: str, chat: ChatRef | None = None
) -> Withdrawn:
    """Remove the turns in which a person speaks, in a chat and its threads, or everywhere.

    Of a turn that the person has only corrected or rated, that goes. Of all others in a chat in which the person
    has spoken, the answer goes, with those before it: it may hold what the person said before.
    """
    is_here = chats.c.platform == person.platform if chat is None else chat_rows.is_family(chat)
    in_chats = training_messages.c.chat_uuid.in_(select(chats.c.uuid).where(is_here))
    of_person = [training_messages.c.pseudonym == pseudonym]
    if chat is not None:
        of_person.append(in_chats)
    is_said = training_messages.c.role == TrainingRole.USER
    copied = select(training_messages.c.chat_uuid).where(*of_person, is_said)
    spoke = select(messages.c.chat_id).where(messages.c.author_id == person.id, messages.c.role == "user")
    of_answers = select(chats.c.id, chats.c.uuid).where(is_here, or_(chats.c.id.in_(spoke), chats.c.uuid.in_(copied)))
    rows = (await connection.execute(of_answers)).all()
    in_rows = messages.c.chat_id.in_([row.id for row in rows])
    # What answers the person is judged with what the person asked.
    is_to_others = in_rows & (messages.c.role == "bot") & ~passing.is_answer_to(person.id, in_rows)
    await connection.execute(update(messages).where(is_to_others).values(remembers_others=True))
    num_ratings = await ratings.withdraw(connection, pseudonym, None if chat is None else in_chats)
    turns = select(training_messages.c.turn).where(*of_person, is_said)
    number = await _delete(connection, training_messages.c.turn.in_(turns))
    is_copy = training_messages.c.chat_uuid.in_([row.uuid for row in rows])
    number += await _delete(connection, is_copy, training_messages.c.role.in_(samples.OURS))
    return Withdrawn(number + await _delete(connection, *of_person), num_ratings)


async def delete_messages(connection: AsyncConnection, chat: ChatRow, ids: Sequence[MessageId]) -> int:
    """Remove the turns of messages that were deleted, kept longer here than there; returns how many rows."""
    is_meant = (training_messages.c.chat_uuid == chat.uuid) & training_messages.c.platform_id.in_(ids)
    turns = select(training_messages.c.turn).where(is_meant)
    return await _delete(connection, training_messages.c.turn.in_(turns))


async def remove_chat(connection: AsyncConnection, chat_uuids: Sequence[str]) -> int:
    """Remove all turns of some chats; returns how many rows."""
    return await _delete(connection, training_messages.c.chat_uuid.in_(chat_uuids))


async def _delete(connection: AsyncConnection, *conditions: ColumnElement[bool]) -> int:
    """Remove copies, and by that the ratings of the answers among them; returns how many copies."""
    return (await connection.execute(delete(training_messages).where(*conditions))).rowcount


async def purge(connection: AsyncConnection, before: datetime, limit_turns: int) -> int:
    """Remove a few of the turns in which something was said before a time; returns how many rows."""
    old = select(training_messages.c.turn).where(training_messages.c.sent_at < before)
    turns = (await connection.execute(old.distinct().limit(limit_turns))).scalars().all()
    return await _delete(connection, training_messages.c.turn.in_(turns)) if turns else 0


# Read and judged again


async def turns_after(
    connection: AsyncConnection, cipher: Cipher, policy: Policy, turn: int, limit: int
) -> tuple[int | None, list[tuple[str, TrainableTurn]]]:
    """The next turns that may be trained on today, each with the rule that lets it; and where to go on, if anywhere."""
    numbers = select(training_messages.c.turn).where(training_messages.c.turn > turn).distinct()
    numbers = numbers.order_by(training_messages.c.turn).limit(limit)
    turns = (await connection.execute(numbers)).scalars().all()
    if not turns:
        return None, []
    return turns[-1], await judged(connection, cipher, policy, turns)


async def rated_or_corrected(connection: AsyncConnection, since: datetime) -> Sequence[int]:
    """The turns of the training log that somebody has rated or corrected from a time on."""
    is_corrected = (training_messages.c.role == TrainingRole.CORRECTION) & (training_messages.c.sent_at >= since)
    corrected = select(training_messages.c.turn).where(is_corrected)
    rated = select(training_messages.c.turn).join(training_ratings).where(training_ratings.c.given_at >= since)
    return sorted((await connection.execute(corrected.union(rated))).scalars())


async def judged(
    connection: AsyncConnection, cipher: Cipher, policy: Policy, turns: Collection[int]
) -> list[tuple[str, TrainableTurn]]:
    """Those of some turns that may be trained on today, each with the rule that lets it."""
    found = select(training_messages).where(training_messages.c.turn.in_(turns))
    rows = (await connection.execute(found.order_by(training_messages.c.turn, training_messages.c.id))).all()
    rated = await ratings.of_turns(connection, turns)
    private = await _private_chats(connection, {row.chat_uuid for row in rows})
    by_turn: defaultdict[int, list[AnyRow]] = defaultdict(list)
    for row in rated:
        by_turn[row.turn].append(row)
    reader = _Reader(cipher, policy, by_turn, await _authors(connection, [*rows, *rated]), private)
    verdicts = (reader.judged(list(group)) for _, group in groupby(rows, key=lambda row: int(row.turn)))
    return [each for each in verdicts if each is not None]


@dataclass(frozen=True)
class _Reader:
    """Makes turns of copies, as far as they may be trained on today.

    Attributes:
        rated: Rows of the ratings, by turn.
        authors: What whoever speaks or rates has decided by today, by pseudonym and chat.
        private: The chats of one person.
    """

    cipher: Cipher
    policy: Policy
    rated: Mapping[int, Sequence[AnyRow]]
    authors: Mapping[tuple[str, str], Author | None]
    private: frozenset[str]

    def judged(self, rows: Sequence[AnyRow]) -> tuple[str, TrainableTurn] | None:
        """A turn, with the rule that lets it be trained on; None if nothing does."""
        asked, answered, corrected, rejected = ([row for row in rows if row.role == role] for role in TrainingRole)
        verdict = judge(Purpose.TRAINING, [self._words(row) for row in (*asked, *answered)], self.policy)
        if not verdict.is_allowed or not asked:
            return None
        spoken = (*asked, *answered, *(row for row in (*corrected, *rejected) if self._may_pass(row)))
        turn = TrainableTurn(
            turn=rows[0].turn,
            chat_uuid=rows[0].chat_uuid,
            platform=rows[0].platform,
            is_shared=rows[0].chat_uuid not in self.private,
            messages=tuple(_message(self.cipher, row) for row in spoken),
            model_version=next((row.model_version for row in answered), None),
            ratings=ratings.trainable(self.policy, self.rated.get(rows[0].turn, ()), self.authors),
        )
        return verdict.rule, turn

    def _may_pass(self, row: AnyRow) -> bool:
        return judge(Purpose.TRAINING, [self._words(row)], self.policy).is_allowed

    def _words(self, row: AnyRow) -> Words:
        if row.role in samples.OURS:
            return samples.answer_words(row.platform, row.sent_at)
        author = self.authors.get((row.pseudonym, row.chat_uuid))
        return Words(
            platform=row.platform,
            sent_at=row.sent_at,
            addressed=samples.addressed_of(row.addressed),
            consent=author.consent if author else None,
            refuses_memory=author is not None and author.refuses_memory,
        )


def _message(cipher: Cipher, row: AnyRow) -> TrainableMessage:
    said = content.unpack(cipher.open(place(TRAINING, row.chat_uuid), row.content))
    role = TrainingRole(row.role)
    return TrainableMessage(row.message_id, role, row.pseudonym, said.segments, row.sent_at, row.rule)


async def _private_chats(connection: AsyncConnection, uuids: Collection[str]) -> frozenset[str]:
    found = select(chats.c.uuid).where(chats.c.uuid.in_(uuids), chats.c.is_private)
    return frozenset((await connection.execute(found)).scalars())


async def _authors(connection: AsyncConnection, rows: Sequence[AnyRow]) -> dict[tuple[str, str], Author | None]:
    """What the authors of some rows have decided by today, by pseudonym and chat."""
    known = await ledger.by_chat(connection, {row.pseudonym for row in rows if row.pseudonym})
    is_parent = (
        (_parent.c.platform == chats.c.platform)
        & (_parent.c.account == chats.c.account)
        & (_parent.c.chat == chats.c.chat)
        & _parent.c.thread.is_(None)
    )
    found = select(chats.c.uuid, _parent.c.uuid.label("parent")).join(_parent, is_parent)
    found = found.where(chats.c.uuid.in_({row.chat_uuid for row in rows}))
    parents = {row.uuid: row.parent for row in (await connection.execute(found)).all()}
    return {(row.pseudonym, row.chat_uuid): known.get((row.pseudonym, parents.get(row.chat_uuid, ""))) for row in rows}


async def refusals(connection: AsyncConnection, cipher: Cipher, policy: Policy) -> Counter[str]:
    """How many turns of the conversations each rule refuses; reads all of them."""
    refused: Counter[str] = Counter()
    for row in (await connection.execute(select(*COLUMNS))).all():
        for sample in await samples.of_turns(connection, cipher, chat_row(row), messages.c.turn.is_not(None)):
            if (rule := sample.rule(policy)) is not None:
                refused[rule] += 1
    return refused
