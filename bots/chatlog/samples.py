"""The turns of conversations as the policy gate sees them: what was asked, answered, corrected, and answered anew.

Only reads. What a turn quotes is judged with it; so is, by a mark on its row, what an answer was written with in
mind.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import content, ledger
from bots.chatlog.chats import ChatRow
from bots.chatlog.cipher import Cipher
from bots.chatlog.content import Content
from bots.chatlog.database import AnyRow
from bots.chatlog.ledger import Author
from bots.chatlog.places import CONTENT, CORRECTION
from bots.chatlog.records import AnswerState, QuestionState, TrainingRole
from bots.chatlog.schema import chats, corrections, messages
from bots.message import Addressed, Attachment, Mention, Segment
from bots.policy import Policy, Purpose, Verdict, Words, is_of_others, judge

# Answers that people have seen as they stand.
SHOWN = frozenset({AnswerState.DELIVERED, AnswerState.STOPPED})
# What the bot's own model wrote.
OURS = frozenset({TrainingRole.BOT, TrainingRole.REJECTED})
# Answers of a turn that people had written anew, the newest; who asks on and on would fill the log with one question.
MAX_REJECTED = 3
# A correction is given in a dialog that the bot opens for it.
CORRECTS = frozenset({Addressed.COMMAND})

ANSWER = (
    messages.c.id,
    messages.c.turn,
    messages.c.content,
    messages.c.sent_at,
    messages.c.model_version,
    messages.c.remembers_others,
    messages.c.replaces,
)

# What stands in copies where somebody was called by name.
SOMEONE = Mention("", "someone")


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
    """A turn: at least one question, the answer, corrections of it, and the answers that people had written anew.

    Attributes:
        quoted: How what the questions quote came about.
    """

    turn: int
    questions: tuple[Piece, ...]
    answer: Piece
    corrections: tuple[Piece, ...]
    rejected: tuple[Piece, ...] = ()
    quoted: tuple[Words, ...] = ()

    def verdict(self, policy: Policy) -> Verdict:
        """Whether the turn may be trained on."""
        # What the answer remembers speaks against the answer alone.
        answer = replace(self.answer.words, remembers_others=False)
        return judge(Purpose.TRAINING, [*(piece.words for piece in self.questions), *self.quoted, answer], policy)

    def pieces(self, policy: Policy) -> tuple[Piece, ...]:
        """What of a turn that may be trained on really may: an answer or a correction may not and yet spare it.

        What was rejected is so in comparison with the answer, and does not stand without it.
        """
        answer = _allowed((self.answer,), policy)
        rejected = _allowed(self.rejected, policy) if answer else ()
        return (*self.questions, *answer, *_allowed(self.corrections, policy), *rejected)

    def rule(self, policy: Policy) -> str | None:
        """What refuses the turn, or else its answer; None if nothing does."""
        for verdict in (self.verdict(policy), judge(Purpose.TRAINING, [self.answer.words], policy)):
            if not verdict.is_allowed:
                return verdict.rule
        return None


def _allowed(pieces: Iterable[Piece], policy: Policy) -> tuple[Piece, ...]:
    return tuple(piece for piece in pieces if judge(Purpose.TRAINING, [piece.words], policy).is_allowed)


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
    before = [
        (of, _answer(cipher, chat, row, TrainingRole.REJECTED)) for of, row in await _rejected(connection, answers)
    ]
    quoted = await _quoted(connection, chat, ids, asked)
    return [
        Sample(
            row.turn,
            questions,
            _answer(cipher, chat, row, TrainingRole.BOT),
            _of(row.id, later),
            _of(row.id, before),
            quoted.get(row.id, ()),
        )
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
        messages.c.reply_to,
        messages.c.is_forwarded,
    )
    is_asked = (messages.c.role == "user") & (messages.c.state != QuestionState.CONTEXT)
    found = columns.where(messages.c.answer_id.in_(answer_ids), is_asked).order_by(messages.c.id)
    return (await connection.execute(found)).all()


async def _rejected(connection: AsyncConnection, answers: Iterable[AnyRow]) -> list[tuple[int, AnyRow]]:
    """What people had asked to be answered anew, by the answer that stands now; oldest first."""
    found: list[tuple[int, AnyRow]] = []
    wanted = {row.replaces: row.id for row in answers if row.replaces is not None}
    for _ in range(MAX_REJECTED):
        is_one = messages.c.id.in_(wanted) & messages.c.is_comparable & (messages.c.state == AnswerState.SUPERSEDED)
        rows = (await connection.execute(select(*ANSWER).where(is_one))).all() if wanted else ()
        found += [(wanted[row.id], row) for row in rows]
        wanted = {row.replaces: wanted[row.id] for row in rows if row.replaces is not None}
    return sorted(found, key=lambda each: int(each[1].id))


async def _quoted(
    connection: AsyncConnection, chat: ChatRow, answer_ids: Sequence[int], asked: Iterable[AnyRow]
) -> Mapping[int, tuple[Words, ...]]:
    """How the context came about that stands beside each answer, or that its questions reply to."""
    quotes = {(row.answer_id, row.reply_to) for row in asked if row.reply_to is not None}
    is_meant = or_(
        messages.c.answer_id.in_(answer_ids), messages.c.platform_id.in_({reply_to for _, reply_to in quotes})
    )
    columns = select(messages.c.answer_id, messages.c.platform_id, messages.c.sent_at)
    found = columns.where(messages.c.chat_id == chat.id, messages.c.state == QuestionState.CONTEXT, is_meant)
    quoted: dict[int, tuple[Words, ...]] = {}
    for row in (await connection.execute(found)).all():
        words = Words(platform=chat.ref.platform, sent_at=row.sent_at, is_quoted=True)
        for answer_id in {row.answer_id, *(by for by, reply_to in quotes if reply_to == row.platform_id)}:
            quoted[answer_id] = (*quoted.get(answer_id, ()), words)
    return quoted


async def remembers_others(connection: AsyncConnection, chat: ChatRow, turn: int, asker_ids: Collection[str]) -> bool:
    """Whether an answer to some people that is begun now may hold words of others that may not be trained on.

    All that the chat has since its reset counts, whether or not it is in the model's window, as a chain of replies
    leads out of that. What the askers say themselves is judged with the turn.
    """
    reset_at = select(func.coalesce(chats.c.reset_at, 0)).where(chats.c.id == chat.id).scalar_subquery()
    in_chat = messages.c.chat_id == chat.id
    carries = in_chat & (messages.c.turn > reset_at) & (messages.c.turn != turn) & messages.c.remembers_others
    if (await connection.execute(select(messages.c.id).where(carries).limit(1))).first() is not None:
        return True
    is_context = messages.c.state == QuestionState.CONTEXT
    # A command is not remembered.
    is_said = (messages.c.role == "user") & or_(
        messages.c.state != QuestionState.COMMAND, messages.c.answer_id.is_not(None)
    )
    is_by_others = or_(messages.c.author_id.not_in(asker_ids), messages.c.is_forwarded, is_context)
    kinds = (messages.c.author_id, messages.c.is_forwarded, messages.c.state)
    found = select(*kinds, func.max(messages.c.sent_at).label("sent_at")).group_by(*kinds)
    found = found.where(in_chat, messages.c.id > reset_at, is_said, is_by_others)
    rows = (await connection.execute(found)).all()
    known = await ledger.authors(connection, chat.ref, {row.author_id for row in rows})
    return any(is_of_others(_remembered(chat, row, known.get(row.author_id))) for row in rows)


def _remembered(chat: ChatRow, row: AnyRow, author: Author | None) -> Words:
    """How something came about that an answer is written with in mind."""
    return Words(
        platform=chat.ref.platform,
        sent_at=row.sent_at,
        is_forwarded=row.is_forwarded,
        is_quoted=row.state == QuestionState.CONTEXT,
        consent=author.consent if author else None,
        refuses_memory=author is not None and author.refuses_memory,
    )


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
        is_person=said is None or said.is_person,
        is_forwarded=row.is_forwarded,
        is_deleted=said is None,
    )
    piece = _of_person(row.id, TrainingRole.USER, said, words, known.get(row.author_id))
    return replace(piece, platform_id=row.platform_id)


def _correction(cipher: Cipher, chat: ChatRow, row: AnyRow, known: Mapping[str, Author]) -> Piece:
    said = content.unpack(cipher.open(chat.place(CORRECTION), row.content))
    words = Words(platform=chat.ref.platform, sent_at=row.given_at, addressed=CORRECTS)
    return _of_person(row.message_id, TrainingRole.CORRECTION, said, words, known.get(row.user_id))


def _of_person(message_id: int, role: TrainingRole, said: Content | None, words: Words, author: Author | None) -> Piece:
    if author is not None:
        words = replace(words, consent=author.consent, refuses_memory=author.refuses_memory)
    return Piece(message_id, role, author.pseudonym if author else "", _segments(said), words)


def _answer(cipher: Cipher, chat: ChatRow, row: AnyRow, role: TrainingRole) -> Piece:
    said = None if row.content is None else content.unpack(cipher.open(chat.place(CONTENT), row.content))
    words = answer_words(chat.ref.platform, row.sent_at)
    words = replace(words, is_deleted=said is None, remembers_others=row.remembers_others)
    return Piece(row.id, role, "", _segments(said), words, row.model_version)


def _segments(said: Content | None) -> tuple[Segment, ...] | None:
    return None if said is None else said.segments


def answer_words(platform: str, sent_at: datetime) -> Words:
    """How an answer of ours came about."""
    return Words(platform=platform, sent_at=sent_at, is_ours=True)


def addressed_of(stored: str) -> frozenset[Addressed]:
    """What a column `addressed` says."""
    return frozenset(Addressed(word) for word in stored.split(",") if word)


def without_names(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """What was said, with nothing in it that leads to an account."""
    return tuple(_without_name(segment) for segment in segments)


def _without_name(segment: Segment) -> Segment:
    match segment:
        case Mention():
            return SOMEONE
        case Attachment():
            return replace(segment, locator="")
    return segment
