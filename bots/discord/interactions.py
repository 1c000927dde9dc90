"""Commands that are being answered: while its token lives, what a command says goes where it was given.

Discord shows "thinking ..." from the acknowledgement on. The first thing said takes the place of that, and further
ones follow. Knows nothing of what commands do.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import discord

from bots.bounded import remember
from bots.budget import Clock
from bots.discord.calls import UPLOAD_TIMEOUT_S, Calls
from bots.discord.errors import ALREADY_ACKNOWLEDGED, InteractionOverError
from bots.discord.events import AnyInteraction, command_id
from bots.discord.files import check_size, upload
from bots.errors import BotError, ForbiddenError, MessageGoneError
from bots.message import MessageId

logger = logging.getLogger(__name__)

ACKNOWLEDGE_WITHIN_S = 2.5
"""Discord waits 3 s."""
ACKNOWLEDGE_AGAIN_S = 0.25
TOKEN_LIFE_S = 14 * 60.0
"""Discord lets it live for 15 minutes."""
MAX_COMMANDS = 1024

NOBODY = discord.AllowedMentions.none()

T = TypeVar("T")


async def acknowledge(interaction: AnyInteraction, *, is_ephemeral: bool = False) -> bool:
    """Tell Discord at once that an interaction arrived; False if that was not possible in time."""
    try:
        async with asyncio.timeout(ACKNOWLEDGE_WITHIN_S):
            return await _defer(interaction, is_ephemeral=is_ephemeral)
    except TimeoutError:
        logger.warning("an interaction was not acknowledged within %g s", ACKNOWLEDGE_WITHIN_S)
        return False


async def _defer(interaction: AnyInteraction, *, is_ephemeral: bool) -> bool:
    is_again = False
    while True:
        try:
            await interaction.response.defer(ephemeral=is_ephemeral)
        except (discord.HTTPException, RuntimeError) as exc:  # the latter once the connection is closed
            if is_again and getattr(exc, "code", None) == ALREADY_ACKNOWLEDGED:
                return True  # by our first try, whose answer was lost
            logger.warning("an interaction was not acknowledged: %s", exc)
            return False
        except (aiohttp.ClientError, OSError, BotError) as exc:
            logger.info("an interaction is acknowledged again: %s", exc)
            is_again = True
            await asyncio.sleep(ACKNOWLEDGE_AGAIN_S)
        else:
            return True


class LivePress:
    """One press of a button.

    Attributes:
        acknowledged: Set once Discord knows that it arrived, or never will; whatever is said of it waits for that.
    """

    def __init__(self, interaction: AnyInteraction) -> None:
        self.interaction, self.acknowledged = interaction, asyncio.Event()

    async def acknowledge(self) -> None:
        """Tell Discord that the press arrived."""
        try:
            await acknowledge(self.interaction)
        finally:
            self.acknowledged.set()


class LiveCommand:
    """One use of a command, for as long as it can be answered.

    Attributes:
        is_ephemeral: Whether only the person who gave the command sees the answer.
        is_for_one: Whether that is so, if only because nobody else is there.
    """

    def __init__(self, interaction: AnyInteraction, calls: Calls, *, is_ephemeral: bool, clock: Clock) -> None:
        self.is_ephemeral = is_ephemeral
        self.is_for_one = is_ephemeral or interaction.guild_id is None
        self._interaction, self._calls, self._clock = interaction, calls, clock
        self._ends_s = clock() + TOKEN_LIFE_S
        self._acknowledged = asyncio.Event()
        self._is_usable = False
        self._first: str | None = None
        self._num_said = 0

    async def acknowledge(self) -> None:
        """Tell Discord that the command arrived; whatever is said waits for that."""
        try:
            self._is_usable = await acknowledge(self._interaction, is_ephemeral=self.is_ephemeral)
        finally:
            self._acknowledged.set()

    async def say(self, content: str, view: discord.ui.View | None, *, claim: str) -> MessageId:
        """Answer; the first to do so replaces "thinking ...", and that again when it tries again.

        Raises:
            InteractionOverError: It is over.
        """
        self._first = self._first or claim
        if claim != self._first:
            return await self._say_more(content, view)
        try:
            return await self._say_first(content, view)
        except MessageGoneError:  # somebody has deleted it
            return await self._say_more(content, view)

    async def _say_first(self, content: str, view: discord.ui.View | None) -> MessageId:
        edit = self._interaction.edit_original_response
        message = await self._call(lambda: edit(content=content, view=view, allowed_mentions=NOBODY))
        self._num_said += 1
        return MessageId(str(message.id))

    async def _say_more(self, content: str, view: discord.ui.View | None) -> MessageId:
        send = self._interaction.followup.send
        shown = discord.utils.MISSING if view is None else view
        message = await self._call(
            lambda: send(content, wait=True, ephemeral=self.is_ephemeral, allowed_mentions=NOBODY, view=shown)
        )
        self._num_said += 1
        return MessageId(str(message.id))

    async def hand_over(self, name: str, data: bytes) -> None:
        """Answer with a file, in place of "thinking ..." if it is the first answer.

        Raises:
            InteractionOverError: It is over.
            UnsupportedError: It is too large.
        """
        check_size(name, data, self._interaction.filesize_limit)
        claim = f"file {name}"
        self._first = self._first or claim
        is_first = claim == self._first
        try:
            await self._call(lambda: self._upload(name, data, is_first=is_first), timeout_s=UPLOAD_TIMEOUT_S)
        except MessageGoneError:  # somebody has deleted what was to be replaced
            await self._call(lambda: self._upload(name, data, is_first=False), timeout_s=UPLOAD_TIMEOUT_S)
        self._num_said += 1

    async def _upload(self, name: str, data: bytes, *, is_first: bool) -> None:
        file = upload(name, data)
        if is_first:
            await self._interaction.edit_original_response(attachments=[file], allowed_mentions=NOBODY)
        else:
            send = self._interaction.followup.send
            await send(file=file, wait=True, ephemeral=self.is_ephemeral, allowed_mentions=NOBODY)

    async def edit(self, id: MessageId, content: str, view: discord.ui.View | None) -> None:
        """Change what was said.

        Raises:
            InteractionOverError: It is over.
        """
        edit = self._interaction.followup.edit_message
        await self._call(lambda: edit(int(id), content=content, view=view, allowed_mentions=NOBODY))

    async def delete(self, id: MessageId) -> None:
        """Take back what was said.

        Raises:
            InteractionOverError: It is over.
        """
        await self._call(lambda: self._interaction.followup.delete_message(int(id)))

    async def settle(self) -> None:
        """Take back "thinking ..." if nothing was said.

        Raises:
            InteractionOverError: It is over.
        """
        if not self._num_said:
            await self._call(self._interaction.delete_original_response)

    async def _call(self, work: Callable[[], Awaitable[T]], *, timeout_s: float | None = None) -> T:
        await self._acknowledged.wait()
        if not self._is_usable or self._clock() > self._ends_s:
            raise InteractionOverError("nothing more can be said through the command")
        try:
            return await self._calls.make(work, timeout_s=timeout_s)
        except InteractionOverError:
            self._is_usable = False
            raise


class LiveCommands:
    """All that may still be answered.

    What was said by one that is over can be changed as any other message of the channel; what only one person was
    to see is not said to all instead.
    """

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls, self._clock = calls, clock
        self._commands: dict[MessageId, LiveCommand] = {}
        self._posts: dict[MessageId, LiveCommand] = {}

    def begin(self, interaction: AnyInteraction, *, is_ephemeral: bool) -> LiveCommand | None:
        """Take note of a command; None if it came before."""
        id = command_id(interaction)
        if id in self._commands:
            return None
        command = LiveCommand(interaction, self._calls, is_ephemeral=is_ephemeral, clock=self._clock)
        return remember(self._commands, id, command, limit=MAX_COMMANDS)

    async def say(
        self, reply_to: MessageId | None, content: str, view: discord.ui.View | None = None, *, claim: str
    ) -> MessageId | None:
        """Answer the command `reply_to`; None if it has to be done in the channel.

        Raises:
            ForbiddenError: It would have to be, and is not for everyone.
        """
        command = self._commands.get(reply_to) if reply_to is not None else None
        if command is None:
            return None
        try:
            id = await command.say(content, view, claim=claim)
        except InteractionOverError as exc:
            if command.is_ephemeral:
                raise ForbiddenError("the command is over, and its answer was for one person only") from exc
            return None
        remember(self._posts, id, command)
        return id

    async def hand_over(self, reply_to: MessageId, name: str, data: bytes) -> bool:
        """Give a file to whoever gave the command `reply_to`; False if others would see it, or the command is over.

        Raises:
            UnsupportedError: It is too large.
        """
        command = self._commands.get(reply_to)
        if command is None or not command.is_for_one:
            return False
        try:
            await command.hand_over(name, data)
        except InteractionOverError:
            return False
        return True

    async def edit(self, id: MessageId, content: str, view: discord.ui.View | None) -> bool:
        """Change a message; False if no command said it."""
        return await self._through_post(id, lambda command: command.edit(id, content, view))

    async def delete(self, id: MessageId) -> bool:
        """Take a message back; False if no command said it."""
        return await self._through_post(id, lambda command: command.delete(id))

    async def _through_post(self, id: MessageId, work: Callable[[LiveCommand], Awaitable[None]]) -> bool:
        command = self._posts.get(id)
        if command is None:
            return False
        try:
            await work(command)
        except InteractionOverError:
            del self._posts[id]
            return False
        return True

    async def settle(self, id: MessageId) -> None:
        """Nothing more is going to be said about a message, which may be a command."""
        command = self._commands.get(id)
        if command is None:
            return
        try:
            await command.settle()
        except BotError as exc:
            logger.debug("a command is not settled: %s", exc)
