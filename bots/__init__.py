"""Chat events in, replies out: adapters, dispatch, conversations, the chat log.

Meets the engine at `TextEngine`; loads neither torch nor transformers, and does nothing on import.
"""

from bots.adapter import Adapter, Caps, Pace
from bots.commands import Command, CommandCall, CommandTable, Parameter
from bots.conversation import AnswerOptions, Conversation
from bots.dispatcher import Dispatcher, ServingRules
from bots.errors import (
    AccountError,
    AdapterClosedError,
    BotError,
    DatabaseError,
    ForbiddenError,
    MessageGoneError,
    MessageTooLongError,
    RateLimitedError,
    UnreachableError,
    UnsupportedError,
)
from bots.message import (
    Addressed,
    Attachment,
    Button,
    ButtonPressed,
    ChatMoved,
    ChatRef,
    Event,
    Mention,
    Message,
    MessageEdited,
    MessageId,
    MessagesDeleted,
    Quote,
    Reacted,
    Text,
    User,
)
from bots.replystream import ReplyStream
from bots.settings import BotSettings

__all__ = [
    "AccountError",
    "Adapter",
    "AdapterClosedError",
    "Addressed",
    "AnswerOptions",
    "Attachment",
    "BotError",
    "BotSettings",
    "Button",
    "ButtonPressed",
    "Caps",
    "ChatMoved",
    "ChatRef",
    "Command",
    "CommandCall",
    "CommandTable",
    "Conversation",
    "DatabaseError",
    "Dispatcher",
    "Event",
    "ForbiddenError",
    "Mention",
    "Message",
    "MessageEdited",
    "MessageGoneError",
    "MessageId",
    "MessageTooLongError",
    "MessagesDeleted",
    "Pace",
    "Parameter",
    "Quote",
    "RateLimitedError",
    "Reacted",
    "ReplyStream",
    "ServingRules",
    "Text",
    "UnreachableError",
    "UnsupportedError",
    "User",
]
