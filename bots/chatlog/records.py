"""What the chat log gives back: plain rows in the bots' own terms.

Knows nothing of tables or encryption.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bots.message import Addressed, Attachment, ChatRef, Mention, MessageId, Segment, User
from bots.policy import Purpose
from engine.speakers import Called, Piece


class QuestionState(StrEnum):
    """What becomes of a person's message."""

    WAITING = "waiting"  # to be answered
    ANSWERED = "answered"
    CONTEXT = "context"  # only quoted or overheard; never answered by itself
    COMMAND = "command"
    CANCELLED = "cancelled"
    FAILED = "failed"
    EXPIRED = "expired"


class AnswerState(StrEnum):
    """How far an answer of the bot has come."""

    WRITING = "writing"  # the model is at it
    WRITTEN = "written"  # the text is final, its delivery under way
    DELIVERED = "delivered"
    STOPPED = "stopped"  # a person stopped it; what was shown stays
    UNDELIVERED = "undelivered"
    SUPERSEDED = "superseded"  # another answer took its place
    FAILED = "failed"


# Answers that are part of the conversation.
SETTLED = frozenset({AnswerState.DELIVERED, AnswerState.STOPPED, AnswerState.UNDELIVERED})
# Answers that someone still works at, or was working at when the process ended.
UNSETTLED = frozenset({AnswerState.WRITING, AnswerState.WRITTEN})


class Trigger(StrEnum):
    """What makes the bot answer in a chat, beyond a message that is said to it."""

    ADDRESSED = "addressed"
    KEYWORDS = "keywords"
    EVERY = "every"


class FeedbackSource(StrEnum):
    """How a person rated an answer; one rating is kept per person, answer and source."""

    BUTTON = "button"
    REACTION = "reaction"


@dataclass(frozen=True)
class FeedbackCounts:
    """How many ratings were given in a time; of nobody in particular."""

    good: int
    bad: int

    @property
    def share_bad(self) -> float:
        """Of all; 0 if there are none."""
        return self.bad / max(1, self.good + self.bad)


@dataclass(frozen=True)
class ChatSettings:
    """What people set for a chat.

    Attributes:
        persona: System message; None for the default.
        plugins_off: Names of plugins that are not to act here.
    """

    persona: str | None = None
    trigger: Trigger = Trigger.ADDRESSED
    keywords: tuple[str, ...] = ()
    plugins_off: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LoggedMessage:
    """A person's message.

    Attributes:
        platform_id: None once the chat has moved: the ids of the old place mean nothing in the new one.
    """

    row_id: int
    author: User
    segments: tuple[Segment, ...]
    sent_at: datetime
    platform_id: MessageId | None
    reply_to: MessageId | None
    addressed: frozenset[Addressed]
    state: QuestionState

    @property
    def is_context(self) -> bool:
        """Whether it only stands beside what is answered."""
        return self.state is QuestionState.CONTEXT


@dataclass(frozen=True)
class LoggedPost:
    """One message that shows a part of an answer.

    Attributes:
        platform_id: None until the platform has acknowledged it.
        created_at: When it was about to be sent.
    """

    part: int
    nonce: str
    platform_id: MessageId | None
    created_at: datetime


@dataclass(frozen=True)
class LoggedTurn:
    """What people asked, and what the bot answered.

    Attributes:
        turn: Id of the turn, by which turns are ordered; stays when the answer is written anew.
        questions: At least one that is no context. What was quoted stands before what quotes it.
    """

    turn: int
    answer_id: int
    questions: tuple[LoggedMessage, ...]
    answer: tuple[Segment, ...]


@dataclass(frozen=True)
class LoggedAnswer:
    """An answer of the bot, with what it is shown in.

    Attributes:
        segments: None if no text was written yet, or if it was wiped.
        questions: As in a turn; may be empty if all of them were deleted.
        is_newest: Whether no later answer stands in the chat; failed ones do not count.
        is_private: Whether the chat is.
    """

    answer_id: int
    turn: int
    state: AnswerState
    segments: tuple[Segment, ...] | None
    questions: tuple[LoggedMessage, ...]
    posts: tuple[LoggedPost, ...]
    model_version: str | None
    is_newest: bool
    is_private: bool

    @property
    def is_under_way(self) -> bool:
        """Whether someone is still at it."""
        return self.state in UNSETTLED

    @property
    def question_ids(self) -> tuple[int, ...]:
        """What `ChatLog.begin_answer` wants to answer the same again."""
        return tuple(question.row_id for question in self.questions if not question.is_context)


@dataclass(frozen=True)
class Unfinished:
    """What a process that ended has left to do in a chat.

    Either an answer that was under way, or one person's messages that wait for one (then `answer_id` is None).

    Attributes:
        questions: As in a turn; empty if all of them were deleted meanwhile.
        state: WRITING or WRITTEN.
        segments: The answer's text, once it is WRITTEN.
    """

    chat: ChatRef
    is_private: bool
    questions: tuple[LoggedMessage, ...]
    answer_id: int | None = None
    state: AnswerState | None = None
    segments: tuple[Segment, ...] | None = None
    posts: tuple[LoggedPost, ...] = ()

    @property
    def question_ids(self) -> tuple[int, ...]:
        """What `ChatLog.begin_answer` wants."""
        return tuple(question.row_id for question in self.questions if not question.is_context)


@dataclass(frozen=True)
class LogStats:
    """How much the log holds.

    Attributes:
        database: Where, without a password.
        revision: The format of its tables.
        questions: People's messages by state.
        answers: The bot's by state.
        others: Rows of the other tables, by name.
        keys: Encrypted rows by key id.
    """

    database: str
    revision: str
    chats: int
    questions: dict[QuestionState, int]
    answers: dict[AnswerState, int]
    posts: int
    feedback: int
    others: dict[str, int]
    keys: dict[str, int]
    oldest: datetime | None


@dataclass(frozen=True)
class Rotation:
    """What a change of keys did."""

    key_id: str
    num_rows: int
    dropped_key_ids: tuple[str, ...]


# Consent


class ConsentSource(StrEnum):
    """How a person's decision came about."""

    COMMAND = "command"
    BUTTON = "button"
    CONSOLE = "console"
    FORGET = "forget"  # it ended with all else that was kept of the person
    OPERATOR = "operator"


@dataclass(frozen=True)
class Person:
    """Someone's account on a platform."""

    platform: str
    id: str


@dataclass(frozen=True)
class ConsentEntry:
    """One decision of a person, as the ledger has it.

    Attributes:
        chat_uuid: The chat that it is for, by the name that it has in the log only.
        wording_id: Of the text that was in force when it was made.
    """

    pseudonym: str
    chat_uuid: str
    purpose: Purpose
    is_granted: bool
    wording_id: str
    at: datetime
    source: ConsentSource


# Training

# A person without a name: in prompts a tag, as when the model was asked.
SOMEBODY = Called("somebody")


class TrainingRole(StrEnum):
    """Who speaks in what may be trained on, in the order in which a turn has it."""

    USER = "user"
    BOT = "bot"
    CORRECTION = "correction"  # what a person says that the bot should have said
    REJECTED = "rejected"  # what the bot had said before it was asked to answer the same anew


@dataclass(frozen=True)
class TrainableMessage:
    """One message of a turn that may be trained on.

    Attributes:
        message_id: What `TrainingLog.note_model` knows it by; a correction has that of the answer.
        pseudonym: Who wrote it; empty for the bot.
        segments: Mentions in them name no id.
        rule: What let it in.
    """

    message_id: int
    role: TrainingRole
    pseudonym: str
    segments: tuple[Segment, ...]
    sent_at: datetime
    rule: str

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What it says, without files; who is called by name is somebody: the copy does not know who."""
        said = (SOMEBODY if isinstance(segment, Mention) else segment for segment in self.segments)
        return tuple(
            each if isinstance(each, Called) else each.text for each in said if not isinstance(each, Attachment)
        )


@dataclass(frozen=True)
class TrainableRating:
    """What one person who has agreed to training thinks of the answer in a turn.

    Attributes:
        score: 1 or -1.
        source: How it was given; the newer way, if by two that agree.
    """

    pseudonym: str
    score: int
    source: FeedbackSource
    given_at: datetime


@dataclass(frozen=True)
class TrainableTurn:
    """What people asked, what the bot answered, and perhaps what it should or should not have answered.

    Attributes:
        chat_uuid: Tells turns of one chat from those of others, and nothing else.
        is_shared: Whether several people may speak there, so that the model saw a tag before each.
        messages: In the order of `TrainingRole`.
        model_version: What wrote the answer.
        ratings: Of the answer, at most one per person; oldest first.
    """

    turn: int
    chat_uuid: str
    platform: str
    is_shared: bool
    messages: tuple[TrainableMessage, ...]
    model_version: str | None
    ratings: tuple[TrainableRating, ...] = ()


@dataclass(frozen=True)
class TrainingCounts:
    """How much may be trained on.

    Attributes:
        passing: Turns of the training log by the rule that lets them be trained on today.
        refused: Turns of the conversations by the rule that refuses them, or their answers alone.
        ratings: Of the answers in the turns that pass, each person's as one.
    """

    passing: dict[str, int]
    refused: dict[str, int]
    ratings: int


@dataclass(frozen=True)
class Forgotten:
    """What was removed of a person.

    Attributes:
        messages: Of the person.
        answers: Of the bot, to them.
        feedback: By the person, or on those answers; the same for `corrections`.
        training_messages: Of all turns in which the person speaks.
        training_ratings: By the person.
        chats: Private ones, with their settings.
        consents: That were in force, and are withdrawn.
        model_versions: Models that have seen words of the person, and cannot unlearn them.
    """

    messages: int = 0
    answers: int = 0
    posts: int = 0
    feedback: int = 0
    corrections: int = 0
    training_messages: int = 0
    training_ratings: int = 0
    plugin_data: int = 0
    requests: int = 0
    chats: int = 0
    consents: int = 0
    model_versions: tuple[str, ...] = ()


# Mail between the bots and the programs beside them


class RequestState(StrEnum):
    """What became of a request."""

    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Request:
    """Something that a person has asked for, and that another program does."""

    id: int
    kind: str
    chat_key: str
    user: Person
    asked_at: datetime
    state: RequestState
    changed_at: datetime
    note: str


@dataclass(frozen=True)
class Notice:
    """Something that another program has to tell."""

    id: int
    text: str
    created_at: datetime
