"""The turns of conversations as the policy gate sees them: what was asked, what was answered, what was corrected.

Only reads. What a turn merely quotes is no part of it here: other people's words are never trained on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import content, ledger
from bots.chatlog.chats import ChatRow
from bots.chatlog.cipher import Cipher
from bots.chatlog.content import Content
from bots.chatlog.database import AnyRow
from bots.chatlog.ledger import Author
from bots.chatlog.places import CONTENT, CORRECTION
from bots.chatlog.records import AnswerState, QuestionState, TrainingRole
from bots.chatlog.schema import corrections, messages
from bots.message import Addressed, Mention, Segment
from bots.policy import Policy, Purpose, Verdict, Words, judge

# Answers that people have seen as they stand.
SHOWN = frozenset({AnswerState.DELIVERED, AnswerState.STOPPED})
# A correction is given in a dialog that the bot opens for it.
CORRECTS = frozenset({Addressed.COMMAND})

ANSWER = (
    messages.c.id,
    messages.c.turn,
    messages.c.content,
    messages.c.sent_at,
    messages.c.model_version,
)


@dataclass(frozen=True)
class Piece:
    """One message of a sample; `segments` are None if they were wiped."""

    message_id: int
    role: TrainingRole
    pseudonym: str
    segments: tuple[Segment, ...] | None
    words: Words
    model_version: str | None = None
    platform_id: str | None = None


@dataclass(frozen=True)
class Sample:
    """A turn: at least one question, the answer, and corrections of it."""

    turn: int
    said: tuple[Piece, ...]
    corrections: tuple[Piece, ...]

    def verdict(self, policy: Policy) -> Verdict:
        """Whether the turn may be trained on."""
        return judge(Purpose.TRAINING, [piece.words for piece in self.said], policy)

    def corrected(self, policy: Policy) -> tuple[Piece, ...]:
        """The corrections that may be trained on: one that may not does not take the turn with it."""
        return tuple(c for c in self.corrections if judge(Purpose.TRAINING, [c.words], policy).is_allowed)


async def of_turns(
    connection: AsyncConnection, cipher: Cipher, chat: ChatRow, condition: ColumnElement[bool]
) -> list[Sample]:
    """The turns of a chat whose answers fulfil a condition and were shown."""
    is_shown = (messages.c.chat_id == chat.id) & (messages.c.role == "bot") & messages.c.state.in_(SHOWN)
    found = select(*ANSWER).where(is_shown, condition).order_by(messages.c.id)
    answers = (await connection.execute(found)).all()
    ids = [row.id for row in answers]
    if not ids:
        return []
    asked, corrected = await _questions(connection, ids), await _corrections(connection, ids)
    people = {row.author_id for row in asked} | {row.user_id for row in corrected}
    known = await ledger.authors(connection, chat.ref, people)
    pieces = [(row.answer_id, _question(cipher, chat, row, known)) for row in asked]
    later = [(row.message_id, _correction(cipher, chat, row, known)) for row in corrected]
    return [
        Sample(row.turn, (*questions, _answer(cipher, chat, row)), _of(row.id, later))
        for row in answers
        if (questions := _of(row.id, pieces))
    ]


def _of(answer_id: int, pieces: Iterable[tuple[int, Piece]]) -> tuple[Piece, ...]:
    return tuple(piece for of, piece in pieces if of == answer_id)


async def _questions(connection: AsyncConnection, answer_ids: Sequence[int]) -> Sequence[AnyRow]:
    columns = select(
        messages.c.id,
        messages.c.answer_id,
        messages.c.author_id,
        messages.c.content,
        messages.c.sent_at,
        messages.c.addressed,
        messages.c.platform_id,
    )
    is_asked = (messages.c.role == "user") & (messages.c.state != QuestionState.CONTEXT)
    found = columns.where(messages.c.answer_id.in_(answer_ids), is_asked).order_by(messages.c.id)
    return (await connection.execute(found)).all()


async def _corrections(connection: AsyncConnection, answer_ids: Sequence[int]) -> Sequence[AnyRow]:
    found = select(corrections).where(corrections.c.message_id.in_(answer_ids)).order_by(corrections.c.id)
    return (await connection.execute(found)).all()


def _question(cipher: Cipher, chat: ChatRow, row: AnyRow, known: Mapping[str, Author]) -> Piece:
    said = None if row.content is None else content.unpack(cipher.open(chat.place(CONTENT), row.content))
    words = Words(
        platform=chat.ref.platform,
        sent_at=row.sent_at,
        addressed=addressed_of(row.addressed),
        is_from_bot=said is not None and said.is_bot,
        is_deleted=said is None,
    )
    piece = _of_person(row.id, TrainingRole.USER, said, words, known.get(row.author_id))
    return replace(piece, platform_id=row.platform_id)


def _correction(cipher: Cipher, chat: ChatRow, row: AnyRow, known: Mapping[str, Author]) -> Piece:
    said = content.unpack(cipher.open(chat.place(CORRECTION), row.content))
    words = Words(platform=chat.ref.platform, sent_at=row.given_at, addressed=CORRECTS)
    return _of_person(row.message_id, TrainingRole.CORRECTION, said, words, known.get(row.user_id))


def _of_person(message_id: int, role: TrainingRole, said: Content | None, words: Words, author: Author | None) -> Piece:
    words = replace(words, consent=author.consent if author else None)
    return Piece(message_id, role, author.pseudonym if author else "", _segments(said), words)


def _answer(cipher: Cipher, chat: ChatRow, row: AnyRow) -> Piece:
    said = None if row.content is None else content.unpack(cipher.open(chat.place(CONTENT), row.content))
    words = answer_words(chat.ref.platform, row.sent_at, is_deleted=said is None)
    return Piece(row.id, TrainingRole.BOT, "", _segments(said), words, row.model_version)


def _segments(said: Content | None) -> tuple[Segment, ...] | None:
    return None if said is None else said.segments


def answer_words(platform: str, sent_at: datetime, *, is_deleted: bool = False) -> Words:
    """How an answer of ours came about."""
    return Words(platform=platform, sent_at=sent_at, is_ours=True, is_deleted=is_deleted)


def addressed_of(stored: str) -> frozenset[Addressed]:
    """What a column `addressed` says."""
    return frozenset(Addressed(word) for word in stored.split(",") if word)


def without_ids(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """What was said, with nothing in it that leads to an account."""
    return tuple(replace(s, user_id="") if isinstance(s, Mention) else s for s in segments)
