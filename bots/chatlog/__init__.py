"""The bots' one database: conversations, chat settings and feedback, encrypted at rest.

Meets other packages at `ChatLog` and at the tables in `bots.chatlog.schema`; knows nothing of platforms.
"""

from bots.chatlog.log import ChatLog
from bots.chatlog.records import (
    AnswerState,
    ChatSettings,
    FeedbackSource,
    LoggedAnswer,
    LoggedMessage,
    LoggedPost,
    LoggedTurn,
    LogStats,
    QuestionState,
    Rotation,
    Trigger,
    Unfinished,
)
from bots.chatlog.retention import keep_retention
from bots.chatlog.settings import DatabaseSettings

__all__ = [
    "AnswerState",
    "ChatLog",
    "ChatSettings",
    "DatabaseSettings",
    "FeedbackSource",
    "LogStats",
    "LoggedAnswer",
    "LoggedMessage",
    "LoggedPost",
    "LoggedTurn",
    "QuestionState",
    "Rotation",
    "Trigger",
    "Unfinished",
    "keep_retention",
]
