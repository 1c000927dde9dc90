"""The rows of what people think of answers, for training: copies beside the copies of the answers that they are of.

A rating holds no words, but tells of a person: the policy gate is asked before it is copied and again when it is read,
as for a message of that person. Rows go with the answer's copy, by themselves. Statements only: the caller brings the
transaction.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import ledger, people
from bots.chatlog.chats import ChatRow
from bots.chatlog.database import AnyRow
from bots.chatlog.ledger import Author
from bots.chatlog.records import FeedbackSource, TrainableRating, TrainingRole
from bots.chatlog.schema import feedback, training_messages, training_ratings
from bots.message import Addressed, MessageId
from bots.policy import Policy, Purpose, Words, judge

# A rating is given to a message of the bot.
RATES = frozenset({Addressed.REPLY})

_OF_ANSWER = training_messages.c.role == TrainingRole.BOT


# Kept in step


async def refresh(
    connection: AsyncConnection, policy: Policy, chat: ChatRow, answer_ids: Collection[int], now: datetime
) -> None:
    """Make the ratings of those answers of a chat that have copies what they have to be now."""
    is_copy = _OF_ANSWER & training_messages.c.message_id.in_(answer_ids)
    copies = select(training_messages.c.id).where(is_copy)
    await connection.execute(delete(training_ratings).where(training_ratings.c.copy_id.in_(copies)))
    found = select(feedback, training_messages.c.id.label("copy_id"))
    found = found.join(training_messages, training_messages.c.message_id == feedback.c.message_id).where(is_copy)
    given = (await connection.execute(found.order_by(feedback.c.id))).all()
    known = await ledger.authors(connection, chat.ref, {row.user_id for row in given}) if given else {}
    if rows := [values for row in given for values in _copies(policy, chat, row, known.get(row.user_id), now)]:
        await connection.execute(insert(training_ratings), rows)


def _copies(
    policy: Policy, chat: ChatRow, row: AnyRow, author: Author | None, now: datetime
) -> Iterable[dict[str, object]]:
    words = _words(chat.ref.platform, row.given_at, author)
    verdict = judge(Purpose.TRAINING, [words], policy)
    if verdict.is_allowed and author is not None and words.consent is not None:
        yield {
            "copy_id": row.copy_id,
            "pseudonym": author.pseudonym,
            "source": row.source,
            "score": row.score,
            "platform_id": row.platform_id,
            "given_at": row.given_at,
            "rule": verdict.rule,
            "wording_id": words.consent.wording_id,
            "kept_at": now,
        }


async def take_back(
    connection: AsyncConnection, chat: ChatRow, message_id: MessageId, user_id: str, source: FeedbackSource
) -> None:
    """Remove what a person thought of an answer that is kept longer here than in the conversation."""
    pseudonym = await people.find(connection, chat.ref.platform, user_id)
    in_chat = select(training_messages.c.id).where(training_messages.c.chat_uuid == chat.uuid)
    is_it = (training_ratings.c.pseudonym == pseudonym) & (training_ratings.c.source == source)
    is_it &= (training_ratings.c.platform_id == message_id) & training_ratings.c.copy_id.in_(in_chat)
    await connection.execute(delete(training_ratings).where(is_it))


async def withdraw(connection: AsyncConnection, pseudonym: str, in_chats: ColumnElement[bool] | None) -> int:
    """Remove a person's ratings of the copies that a condition means, or of all; returns how many."""
    is_theirs = training_ratings.c.pseudonym == pseudonym
    if in_chats is not None:
        is_theirs &= training_ratings.c.copy_id.in_(select(training_messages.c.id).where(in_chats))
    return (await connection.execute(delete(training_ratings).where(is_theirs))).rowcount


# Read and judged again


async def of_turns(connection: AsyncConnection, turns: Collection[int]) -> Sequence[AnyRow]:
    """All ratings of the answers in some turns of the training log."""
    of_copy = (training_messages.c.turn, training_messages.c.chat_uuid, training_messages.c.platform)
    found = select(training_ratings, *of_copy).join(training_messages)
    found = found.where(training_messages.c.turn.in_(turns)).order_by(training_ratings.c.id)
    return (await connection.execute(found)).all()


def trainable(
    policy: Policy, rows: Iterable[AnyRow], authors: Mapping[tuple[str, str], Author | None]
) -> tuple[TrainableRating, ...]:
    """What of the ratings of one answer may be trained on today; `authors` are by pseudonym and chat."""
    return merged(
        TrainableRating(row.pseudonym, row.score, FeedbackSource(row.source), row.given_at)
        for row in rows
        if _may_pass(policy, row, authors.get((row.pseudonym, row.chat_uuid)))
    )


def merged(ratings: Iterable[TrainableRating]) -> tuple[TrainableRating, ...]:
    """One rating per person, oldest first: who says the same twice has said it once, who says yes and no, nothing."""
    by_person: dict[str, list[TrainableRating]] = {}
    for rating in ratings:
        by_person.setdefault(rating.pseudonym, []).append(rating)
    agreeing = (given for given in by_person.values() if len({rating.score for rating in given}) == 1)
    newest = (max(given, key=_given_at) for given in agreeing)
    return tuple(sorted(newest, key=_given_at))


def _given_at(rating: TrainableRating) -> datetime:
    return rating.given_at


def _may_pass(policy: Policy, row: AnyRow, author: Author | None) -> bool:
    return judge(Purpose.TRAINING, [_words(row.platform, row.given_at, author)], policy).is_allowed


def _words(platform: str, given_at: datetime, author: Author | None) -> Words:
    """A rating as the gate sees it: nobody but a person can have agreed, so it is none of a bot."""
    return Words(
        platform=platform,
        sent_at=given_at,
        addressed=RATES,
        consent=author.consent if author else None,
        refuses_memory=author is not None and author.refuses_memory,
    )
