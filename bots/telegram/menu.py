"""The menu of commands that Telegram shows beside the text field.

Knows nothing of what commands do.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from telegram import Bot, BotCommand

from bots.commands import Command
from bots.errors import AdapterClosedError, BotError

logger = logging.getLogger(__name__)

MAX_COMMANDS, MAX_SUMMARY = 100, 256

Entries = tuple[BotCommand, ...]


def menu_of(commands: Iterable[Command]) -> Entries:
    """The entries for those that are listed, the first ones if Telegram does not take as many."""
    listed = [command for command in commands if command.is_listed]
    return tuple(BotCommand(command.name, _summary(command)) for command in listed[:MAX_COMMANDS])


def _summary(command: Command) -> str:
    """Markdown means nothing there, and Telegram wants some text."""
    return " ".join(command.summary.replace("`", "").split())[:MAX_SUMMARY] or command.name


async def is_current(bot: Bot, menu: Entries) -> bool:
    """Whether Telegram has it already. Setting it is limited far more than asking."""
    return tuple(await bot.get_my_commands()) == menu


class Menu:
    """The menu of one bot. What was asked for last is what it shows in the end."""

    def __init__(self, bot: Bot, call: Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]]) -> None:
        """`call` makes a call, and raises BotError for what goes wrong."""
        self._bot, self._call = bot, call
        self._changing = asyncio.Lock()
        self._wanted: Entries = ()
        self._shown: Entries | None = None

    async def show(self, commands: Iterable[Command]) -> None:
        """Set it if Telegram has another one; the bot can do without, so this never fails."""
        self._wanted = menu_of(commands)
        try:
            async with self._changing:
                # By now something newer may be wanted; whoever waited with that has less to do then.
                await self._set(self._wanted)
        except AdapterClosedError:
            logger.debug("the command menu is left as it is: the bot was closed")
        except BotError as exc:
            logger.warning("the command menu of @%s could not be set: %s", self._bot.username, exc)

    async def _set(self, wanted: Entries) -> None:
        if wanted == self._shown:
            return
        if not await self._call(lambda: is_current(self._bot, wanted)):
            await self._call(lambda: self._bot.set_my_commands(wanted))
            logger.info("the command menu of @%s is up to date again", self._bot.username)
        self._shown = wanted
