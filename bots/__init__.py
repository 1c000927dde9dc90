"""Chat events in, replies out: adapters, dispatch, conversations.

Meets the engine at `TextEngine`; loads neither torch nor transformers, and does nothing on import.
"""

from bots.adapter import Adapter, Caps
from bots.commands import COMMANDS, Command, CommandCall, Parameter
from bots.conversation import AnswerOptions, Conversation
from bots.dispatcher import Dispatcher
from bots.errors import AdapterClosedError, BotError, MessageTooLongError, RateLimitedError
from bots.message import Addressed, ChatRef, Message, MessageId, User
from bots.replystream import ReplyStream
from bots.settings import BotSettings

__all__ = [
    "COMMANDS",
    "Adapter",
    "AdapterClosedError",
    "Addressed",
    "AnswerOptions",
    "BotError",
    "BotSettings",
    "Caps",
    "ChatRef",
    "Command",
    "CommandCall",
    "Conversation",
    "Dispatcher",
    "Message",
    "MessageId",
    "MessageTooLongError",
    "Parameter",
    "RateLimitedError",
    "ReplyStream",
    "User",
]
