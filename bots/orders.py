"""One use of a command: whether the person may, how often, with which arguments, and what is said of it.

Knows nothing of when a command's turn has come.
"""

import logging
from collections.abc import Collection
from functools import partial

from bots.bounded import remember
from bots.commands import (
    ArgumentError,
    Command,
    CommandCall,
    Control,
    Invocation,
    Permission,
    arguments_of,
    explain_unknown,
)
from bots.conversation import Conversation
from bots.message import ChatRef, Mention, Message
from bots.operators import Operators
from bots.outlet import Outlet
from bots.plugins.guard import HandlerFailedError
from bots.plugins.hooks import Veto
from bots.plugins.host import PluginHost
from engine.generation import TextEngine

logger = logging.getLogger(__name__)

MAX_COOLDOWNS = 10_000

ONLY_ADMINS = "Only those who look after this chat can do that."
ONLY_OPERATORS = "Only those who run this bot can do that."
FAILED = "Something went wrong on my side; it was logged. Please try again."


class Orders:
    """Carries out the commands of one account."""

    def __init__(self, plugins: PluginHost, operators: Operators, engine: TextEngine, outlet: Outlet) -> None:
        self._plugins, self._operators, self._engine, self._outlet = plugins, operators, engine, outlet
        self._free_again_s: dict[tuple[str, ChatRef, str], float] = {}

    async def carry_out(
        self, invocation: Invocation, message: Message, conversation: Conversation, control: Control
    ) -> str | None:
        """Do what a command asks for; returns what to tell the person, if anything."""
        off = await self._plugins.off_in(message.chat)
        said = await self._carry_out(invocation, message, conversation, control, off)
        is_unconditional = invocation.command is not None and invocation.command.is_unconditional
        if said and not is_unconditional:
            shown = await self._plugins.hooks.before_send.fold(said, lambda text: (message.chat, text), off)
            said = shown.say if isinstance(shown, Veto) else shown
        return said

    async def _carry_out(
        self,
        invocation: Invocation,
        message: Message,
        conversation: Conversation,
        control: Control,
        off: Collection[str],
    ) -> str | None:
        command = invocation.command
        is_operator = self._operators.include(message.author)
        usable = {
            name: each
            for name, each in self._plugins.commands.items()
            if each.plugin not in off and (is_operator or each.permission is not Permission.OPERATOR)
        }
        if command is None:
            return explain_unknown(invocation.name, usable)
        if command.plugin in off:
            return f"/{command.name} is switched off in this chat."
        refused = await self._refusal(command, message, is_operator=is_operator, has_arguments=bool(invocation.rest))
        if refused:
            return refused
        if command.run is None:
            return f"Please say more: {command.usage}."
        mentions = [segment for segment in message.segments if isinstance(segment, Mention)]
        try:
            arguments = arguments_of(command, invocation.rest, mentions)
        except ArgumentError as exc:
            return str(exc)
        if (wait_s := self._wait_s(command, message)) > 0:
            return f"Not so fast: /{command.name} is yours again in {wait_s:.0f} s."
        call = CommandCall(
            arguments,
            message,
            conversation,
            self._engine,
            control,
            usable,
            is_operator,
            partial(self._hand_over, message),
        )
        try:
            return await command.run(call)
        except HandlerFailedError:
            return FAILED

    async def _refusal(
        self, command: Command, message: Message, *, is_operator: bool, has_arguments: bool
    ) -> str | None:
        if is_operator or command.is_free(has_arguments=has_arguments):
            return None
        if command.permission is Permission.OPERATOR:
            return ONLY_OPERATORS
        if message.is_private or await self._outlet.adapter.is_moderator(message.chat, message.author):
            return None
        return ONLY_ADMINS

    def _wait_s(self, command: Command, message: Message) -> float:
        """How long the person has to wait; if not at all, the time begins to run."""
        if not command.cooldown_s:
            return 0.0
        key, now_s = (command.name, message.chat, message.author.id), self._outlet.clock()
        wait_s = self._free_again_s.get(key, now_s) - now_s
        if wait_s <= 0:
            remember(self._free_again_s, key, now_s + command.cooldown_s, limit=MAX_COOLDOWNS)
        return wait_s

    async def _hand_over(self, message: Message, name: str, data: bytes) -> None:
        await self._outlet.hand_over(message.chat, name, data, reply_to=message.id)
