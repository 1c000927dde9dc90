"""The menu of commands that Telegram shows beside the text field.

Knows nothing of what commands do.
"""

from collections.abc import Iterable

from telegram import Bot, BotCommand

from bots.commands import Command

MAX_SUMMARY = 256


def menu_of(commands: Iterable[Command]) -> tuple[BotCommand, ...]:
    """The entries for those that are listed; Markdown means nothing there."""
    return tuple(
        BotCommand(command.name, command.summary.replace("`", "")[:MAX_SUMMARY])
        for command in commands
        if command.is_listed
    )


async def is_current(bot: Bot, menu: tuple[BotCommand, ...]) -> bool:
    """Whether Telegram has it already. Setting it is limited far more than asking."""
    return tuple(await bot.get_my_commands()) == menu


async def update_menu(bot: Bot, menu: tuple[BotCommand, ...]) -> bool:
    """Set it if Telegram has another one; returns whether it had."""
    if await is_current(bot, menu):
        return False
    await bot.set_my_commands(menu)
    return True
