"""The way from anywhere in the process to a chat of any account that is being served.

Knows nothing of what is said.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bots.budget import Priority
from bots.errors import BotError
from bots.message import Button, ChatRef, MessageId
from bots.operators import Operators
from bots.outlet import Outlet

logger = logging.getLogger(__name__)


class Switchboard:
    """Which account is served through which outlet at the moment.

    Attributes:
        operators: Who runs the bot.
    """

    def __init__(self, operators: Operators) -> None:
        self.operators = operators
        self._outlets: dict[tuple[str, str], Outlet] = {}

    @contextmanager
    def connected(self, outlet: Outlet) -> Iterator[None]:
        """Let the account of `outlet` be reached."""
        account = (outlet.adapter.platform, outlet.adapter.account)
        self._outlets[account] = outlet
        try:
            yield
        finally:
            del self._outlets[account]

    def has_buttons(self, chat: ChatRef) -> bool:
        """Whether what is said there can have buttons."""
        outlet = self._outlets.get((chat.platform, chat.account))
        return outlet is not None and outlet.caps(chat).has_buttons

    async def say(self, chat: ChatRef, text: str, buttons: Sequence[Button] = ()) -> MessageId | None:
        """Post a message, in several if it is long, the last of them with the buttons; returns that one's id.

        None if the account is not served at the moment, or if the platform refuses it; that is logged.
        """
        outlet = self._outlets.get((chat.platform, chat.account))
        if outlet is None:
            logger.warning("nothing can be said in %s: its account is not served at the moment", chat.key)
            return None
        parts = outlet.in_parts(chat, text)
        shown = tuple(buttons) if outlet.caps(chat).has_buttons else ()
        id = None
        try:
            for number, part in enumerate(parts, start=1):
                last = shown if number == len(parts) else ()
                post = partial(outlet.adapter.send, chat, part, buttons=last)
                id = await outlet.until_accepted(chat, post, Priority.MESSAGE)
        except BotError as exc:
            logger.warning("a message did not reach %s: %s", chat.key, exc)
            return None
        return id

    async def tell_operators(self, text: str) -> int:
        """Say something to those who run the bot, where they want to be told and this process serves the account.

        Returns:
            In how many chats it was said. It is logged in any case.
        """
        logger.info("for the operators: %s", text)
        chats = [each for each in await self.operators.chats() if (each.platform, each.account) in self._outlets]
        return sum([await self.say(chat, text) is not None for chat in chats])
