"""Which messages the bot answers: what the platform says of a message, and what the chat has asked for.

Plain rules over plain data.
"""

import re

from bots.chatlog import ChatSettings, Trigger
from bots.message import Addressed, Message


def addressed(message: Message, settings: ChatSettings, *, was_called_into_thread: bool) -> frozenset[Addressed]:
    """Why `message` counts as said to the bot; empty if it does not.

    Other bots are never answered: two that answer each other would not stop.
    """
    if message.author.is_bot:
        return frozenset()
    reasons = set(message.addressed)
    if was_called_into_thread and _says_something(message):
        reasons.add(Addressed.THREAD)
    if settings.trigger is Trigger.EVERY and _says_something(message):
        reasons.add(Addressed.EVERY)
    if settings.trigger is Trigger.KEYWORDS and _holds_one_of(settings.keywords, message.text):
        reasons.add(Addressed.KEYWORD)
    return frozenset(reasons)


def _says_something(message: Message) -> bool:
    """Not so where the platform hides what people say from bots that they did not call."""
    return bool(message.segments)


def _holds_one_of(keywords: tuple[str, ...], text: str) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in keywords)
