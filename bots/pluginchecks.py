"""What `--check` finds out about plugins: they are loaded as a start would load them, and unloaded again.

Knows nothing of any one plugin.
"""

from collections.abc import Mapping

from bots.bot import BotRules, open_bot
from bots.chatlog import ChatLog, DatabaseSettings
from bots.checks import Finding
from bots.commands import Command
from bots.errors import DatabaseError
from engine.errors import EngineClosedError
from engine.generation import Generation, GenerationRequest


class _NoModel:
    """The engine of a bot that is not going to answer."""

    version = "none"

    async def submit(self, request: GenerationRequest) -> Generation:  # noqa: ARG002
        raise EngineClosedError("this is only a check; no model is loaded")


async def check_plugins(rules: BotRules, database: DatabaseSettings) -> tuple[Mapping[str, Command], list[Finding]]:
    """The commands that the bot would have, and what is to be said of each plugin that was named."""
    try:
        async with ChatLog.open(database) as log, open_bot(_NoModel(), log, rules) as bot:
            listing = bot.plugins.listing()
            commands = dict(bot.plugins.commands)
    except DatabaseError:  # which is reported by itself
        return {}, []
    return commands, [
        Finding(f"plugin {each.name}", each.problem is None, each.problem or f"loads, from {each.where}")
        for each in listing
        if each.where or each.problem
    ]
