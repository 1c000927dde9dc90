"""The bots' one database: conversations, what may be trained on, people's rights and plugins' data; encrypted at rest.

Meets other packages at `ChatLog` and at the tables in `bots.chatlog.schema`; knows nothing of platforms.
"""

from bots.chatlog.files import FileCipher
from bots.chatlog.log import ChatLog
from bots.chatlog.records import (
    AnswerState,
    ChatSettings,
    ConsentEntry,
    ConsentSource,
    FeedbackCounts,
    FeedbackSource,
    Forgotten,
    LoggedAnswer,
    LoggedMessage,
    LoggedPost,
    LoggedTurn,
    LogStats,
    Notice,
    Person,
    QuestionState,
    Request,
    RequestState,
    Rotation,
    TrainableMessage,
    TrainableRating,
    TrainableTurn,
    TrainingCounts,
    TrainingRole,
    Trigger,
    Unfinished,
)
from bots.chatlog.retention import keep_retention
from bots.chatlog.settings import DatabaseSettings, PolicySettings
from bots.errors import DatabaseError

__all__ = [
    "AnswerState",
    "ChatLog",
    "ChatSettings",
    "ConsentEntry",
    "ConsentSource",
    "DatabaseError",
    "DatabaseSettings",
    "FeedbackCounts",
    "FeedbackSource",
    "FileCipher",
    "Forgotten",
    "LogStats",
    "LoggedAnswer",
    "LoggedMessage",
    "LoggedPost",
    "LoggedTurn",
    "Notice",
    "Person",
    "PolicySettings",
    "QuestionState",
    "Request",
    "RequestState",
    "Rotation",
    "TrainableMessage",
    "TrainableRating",
    "TrainableTurn",
    "TrainingCounts",
    "TrainingRole",
    "Trigger",
    "Unfinished",
    "keep_retention",
]
