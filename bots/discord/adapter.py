"""One account on Discord, as `bots.adapter` wants it.

Translates and decides nothing: what comes in is read by `intake`, and this module makes the calls.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import MappingProxyType
from typing import Any, Self

import aiohttp
import discord

from bots.adapter import Caps, Pace
from bots.budget import Clock
from bots.commands import Command
from bots.companion import companion
from bots.discord.buttons import has_buttons, rows_of
from bots.discord.calls import TIMEOUT_S, UPLOAD_TIMEOUT_S, Calls
from bots.discord.connection import HEARTBEAT_TIMEOUT_S, Connection
from bots.discord.content import Viewer
from bots.discord.errors import MAX_LENGTH, NoHistoryError, translated
from bots.discord.events import PLATFORM
from bots.discord.files import MAX_BYTES, check_size, fetch, upload
from bots.discord.inbox import Inbox
from bots.discord.intake import Intake
from bots.discord.interactions import NOBODY, LiveCommands
from bots.discord.markdown import length, render
from bots.discord.moderators import Moderators
from bots.discord.registration import Registration
from bots.discord.settings import DiscordSettings
from bots.errors import (
    AccountError,
    AdapterClosedError,
    BotError,
    ForbiddenError,
    MessageGoneError,
    MessageTooLongError,
    UnreachableError,
    UnsupportedError,
)
from bots.message import Attachment, Button, ButtonPressed, ChatRef, Event, Message, MessageId, User
from bots.split import split

logger = logging.getLogger(__name__)

START_WITHIN_S = 60.0
CLOSE_WITHIN_S = 5.0

ACCOUNT_PACE = Pace(limit=40, period_s=1.0, reserved=12)
"""Discord allows 50 a second to an account."""

HISTORY_LIMIT = 100
"""How many messages after a question are looked at: Discord gives so many at once."""

CAPS = Caps(
    can_edit=True,
    first_text_s=0.3,
    edit_lifetime_s=3000.0,  # an hour after it was sent, edits of a message are limited much more
    typing_s=9.0,
    max_length=MAX_LENGTH,
    length=length,
    has_buttons=True,
    nonce_lifetime_s=60.0,  # "the past few minutes", says the documentation
    can_show_queue=True,
    # Discord documents no numbers and wants bots to go by its answers; what people see is 5 calls in 5 s.
    pace=Pace(limit=4, period_s=5.0, interval_s=1.2, reserved=1),
)


class DiscordAdapter:
    """One bot on Discord."""

    def __init__(
        self,
        token: str,
        *,
        api_url: str = DiscordSettings.model_fields["api_url"].default,
        has_message_content: bool = False,
        commands: Mapping[str, Command] = MappingProxyType({}),
        heartbeat_timeout_s: float = HEARTBEAT_TIMEOUT_S,
        call_timeout_s: float = TIMEOUT_S,
        clock: Clock = time.monotonic,
    ) -> None:
        """Prepare; nothing is connected before the context is entered.

        Args:
            token: The bot's.
            api_url: The REST interface, with its path. All accounts of a process share one.
            has_message_content: Whether to ask for what messages say that do not call the bot.
            commands: What to show as slash commands, by name; may change at any time.
            heartbeat_timeout_s: For how long the gateway may say nothing.
            call_timeout_s: For how long a call may take.
            clock: In seconds; what the life of commands is measured by.
        """
        self._token, self._api_url, self._commands = token, api_url, commands
        self._has_message_content, self._heartbeat_timeout_s = has_message_content, heartbeat_timeout_s
        self._clock = clock
        self._calls = Calls(call_timeout_s)
        self._live = LiveCommands(self._calls, clock)
        self._inbox = Inbox()
        self._registration: Registration | None = None
        self._stack = AsyncExitStack()
        self._failure: BotError | None = None

    # Lifecycle.

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(START_WITHIN_S):
                    await self._start(stack)
            except TimeoutError as exc:
                raise UnreachableError(f"not connected within {START_WITHIN_S:g} s", may_be_done=False) from exc
            self._stack = stack.pop_all()
        return self

    async def _start(self, stack: AsyncExitStack) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._files = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        self._connection = connection = Connection(
            api_url=self._api_url,
            has_message_content=self._has_message_content,
            heartbeat_timeout_s=self._heartbeat_timeout_s,
        )
        stack.push_async_callback(_close, connection)
        await _log_in(connection, self._token)
        assert connection.user is not None
        self._viewer = Viewer(connection.user.id, connection.user.display_name, self._has_message_content)
        self._moderators = Moderators(connection, self._calls, self._clock)
        self._intake = Intake(connection, self._viewer, self._inbox, self._live, self._moderators, self._commands)
        connection.listen(self._intake)
        self._registration = Registration(connection, self._calls)
        await self.show_commands(tuple(self._commands.values()))
        await stack.enter_async_context(companion(self._stay_connected(connection)))
        await self._intake.ready.wait()
        if self._failure is not None:
            raise self._failure

    async def _stay_connected(self, connection: Connection) -> None:
        """Take events in until the connection is closed, by us or for good."""
        try:
            await connection.connect()
            self._failure = UnreachableError("the connection to the gateway was closed")
        except Exception as exc:  # whatever a malformed event makes discord.py raise
            error = exc if isinstance(exc, BotError) else translated(exc)
            if error is None:
                logger.exception("the connection to Discord has failed")
            self._failure = error or UnreachableError(f"discord.py has failed: {exc!r}")
        finally:
            self._calls.is_over = True
            self._inbox.end(self._failure)
            self._intake.ready.set()

    async def __aexit__(self, *exc_info: object) -> None:
        self._calls.is_over = True
        self._inbox.end(None)
        await self._stack.aclose()

    # What is known without a call.

    @property
    def platform(self) -> str:
        """`discord`."""
        return PLATFORM

    @property
    def account(self) -> str:
        """The bot's user id."""
        return str(self._viewer.id)

    @property
    def pace(self) -> Pace | None:
        """What Discord allows to one account."""
        return ACCOUNT_PACE

    def caps(self, chat: ChatRef) -> Caps:  # noqa: ARG002  # all kinds of channels are alike in this
        """The same everywhere."""
        return CAPS

    # What comes in.

    async def events(self) -> AsyncIterator[Event]:
        """Yield what people do. Ends with an error if the connection has failed for good: open a new adapter."""
        async for event in self._inbox.events():
            yield event

    async def settled(self, message: Message) -> None:
        """Take "thinking ..." away where a command has no answer."""
        await self._live.settle(message.id)

    async def read(self, attachment: Attachment, limit_bytes: int) -> bytes:
        """Fetch the beginning of a file from Discord's servers."""
        return await self._calls.make(
            lambda: fetch(self._files, attachment.locator, limit_bytes, api_url=self._api_url)
        )

    async def is_moderator(self, chat: ChatRef, user: User) -> bool:
        """Whether `user` may delete messages in the channel or manage the server."""
        return await self._moderators.is_one(_place(chat), int(user.id))

    async def tell(self, press: ButtonPressed, text: str) -> None:
        """Show `text` to the person alone."""
        live = self._intake.press(press.press_id)
        if live is None or not text:
            return
        await live.acknowledged.wait()
        send = live.interaction.followup.send
        try:
            for part in split(text, MAX_LENGTH, length):
                content = _rendered(part)
                await self._calls.make(partial(send, content, ephemeral=True, allowed_mentions=NOBODY))
        except BotError as exc:
            logger.info("a person was not told what came of a press: %s", exc)

    # What goes out.

    async def typing(self, chat: ChatRef) -> None:
        """Show that the bot is writing."""
        channel = self._channel(chat)

        async def show() -> None:
            await channel.typing()

        await self._calls.make(show)

    async def draft(self, chat: ChatRef, text: str) -> None:
        """There are no drafts."""

    async def send(
        self,
        chat: ChatRef,
        text: str,
        *,
        reply_to: MessageId | None = None,
        buttons: Sequence[Button] = (),
        nonce: str = "",
    ) -> MessageId:
        """Post one message; what answers a command goes where that was given, as long as Discord allows it."""
        content, view = _rendered(text), rows_of(buttons)
        said = await self._live.say(reply_to, content, view, claim=nonce or content)
        return said or await self._post(chat, content, reply_to, view, nonce)

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:
        """Post one message; only the person who gave a command sees what it answers, unless it is for all."""
        content = _rendered(text)
        if await self._live.say(reply_to, content, claim=content) is None:
            await self._post(chat, content, reply_to, None, "")

    async def answers_after(self, chat: ChatRef, after: MessageId, text: str) -> list[MessageId]:
        """Look for it in the channel's history, where the bot may read that."""
        if not after.isdecimal():
            return []
        history = self._channel(chat).history(after=discord.Object(int(after)), limit=HISTORY_LIMIT)
        try:
            messages = await self._calls.make(lambda: _all_of(history))
        except ForbiddenError:
            return []
        ours = (each for each in messages if each.author.id == self._viewer.id)
        said = render(text)
        return [MessageId(str(each.id)) for each in ours if has_buttons(each) or each.content == said]

    async def edit(self, chat: ChatRef, id: MessageId, text: str, *, buttons: Sequence[Button] = ()) -> None:
        """Replace text and buttons of a message."""
        content, view = _rendered(text), rows_of(buttons)
        if not await self._live.edit(id, content, view):
            message = self._channel(chat).get_partial_message(int(id))
            await self._calls.make(lambda: message.edit(content=content, view=view, allowed_mentions=NOBODY))

    async def delete(self, chat: ChatRef, id: MessageId) -> None:
        """Take a message back."""
        self._intake.expect_deletion(id)
        with suppress(MessageGoneError):
            if not await self._live.delete(id):
                await self._calls.make(self._channel(chat).get_partial_message(int(id)).delete)

    async def show_commands(self, commands: Sequence[Command]) -> None:
        """Register them as slash commands. Before there is a connection, nothing is done: opening does it."""
        if self._registration is not None:
            await self._registration.show(commands)

    async def hand_over(self, chat: ChatRef, name: str, data: bytes, *, reply_to: MessageId) -> None:
        """Post a file in a direct conversation, or as an answer that only the person who gave the command sees."""
        channel = self._channel(chat)
        if await self._live.hand_over(reply_to, name, data):
            return
        if not await self._is_direct(_place(chat)):
            raise UnsupportedError("others would see the file here; ask for it in a direct message")
        check_size(name, data, MAX_BYTES)
        # Sending again, after an answer that was lost, makes no second message.
        nonce = hashlib.blake2s(f"{reply_to}/{name}".encode(), digest_size=12).hexdigest()
        reference = _reference(chat, reply_to)
        options: dict[str, Any] = {"nonce": nonce} if reference is None else {"nonce": nonce, "reference": reference}

        async def post() -> None:
            await channel.send(file=upload(name, data), allowed_mentions=NOBODY, **options)

        with suppress(MessageGoneError):  # it was there, and was deleted since
            await self._calls.make(post, timeout_s=UPLOAD_TIMEOUT_S)

    async def _is_direct(self, channel_id: int) -> bool:
        """Whether one person alone talks with the bot there."""
        channel: object = self._connection.get_channel(channel_id)
        if channel is None:
            try:
                channel = await self._calls.make(lambda: self._connection.fetch_channel(channel_id))
            except ForbiddenError:  # nobody keeps us out of a direct conversation
                return False
        return isinstance(channel, discord.DMChannel)

    async def _post(
        self, chat: ChatRef, content: str, reply_to: MessageId | None, view: discord.ui.View | None, nonce: str
    ) -> MessageId:
        wanted = {"reference": _reference(chat, reply_to), "view": view, "nonce": nonce}
        options: dict[str, Any] = {name: value for name, value in wanted.items() if value not in (None, "")}
        while True:
            try:
                return await self._post_once(chat, content, options)
            except NoHistoryError:  # where the bot may not read back, it may not point back either
                if options.pop("reference", None) is None:
                    raise
            except MessageGoneError:  # what was posted with this nonce was deleted since
                if options.pop("nonce", None) is None:
                    raise

    async def _post_once(self, chat: ChatRef, content: str, options: Mapping[str, Any]) -> MessageId:
        channel = self._channel(chat)
        message = await self._calls.make(lambda: channel.send(content, allowed_mentions=NOBODY, **options))
        return MessageId(str(message.id))

    def _channel(self, chat: ChatRef) -> discord.PartialMessageable:
        """The channel or thread, whether discord.py knows it or not."""
        if self._calls.is_over:
            raise AdapterClosedError("the connection to Discord was closed")
        return self._connection.get_partial_messageable(_place(chat))


async def _all_of(history: AsyncIterator[discord.Message]) -> list[discord.Message]:
    return [message async for message in history]


async def _log_in(connection: Connection, token: str) -> None:
    try:
        await connection.login(token)
    except Exception as exc:  # an answer that is not Discord's makes discord.py raise anything
        error = exc if isinstance(exc, BotError) else translated(exc)
        if isinstance(error, AccountError | UnreachableError):
            raise error from exc
        reason = f"{error or repr(exc)}; is DISCORD_API_URL right?"
        raise UnreachableError(reason, may_be_done=False) from exc


async def _close(connection: Connection) -> None:
    """Say goodbye, if Discord listens."""
    try:
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await connection.close()
    except TimeoutError:
        logger.info("Discord did not say goodbye")
    await connection.http.close()


def _place(chat: ChatRef) -> int:
    return int(chat.thread or chat.chat)


def _reference(chat: ChatRef, reply_to: MessageId | None) -> discord.MessageReference | None:
    """What a message points at; a command is nothing to point at."""
    if reply_to is None or not reply_to.isdecimal():
        return None
    return discord.MessageReference(message_id=int(reply_to), channel_id=_place(chat), fail_if_not_exists=False)


def _rendered(text: str) -> str:
    """As Discord is to get it.

    Raises:
        MessageTooLongError: It is over the limit.
    """
    num_characters = length(text)
    if num_characters > MAX_LENGTH:
        raise MessageTooLongError(num_characters, MAX_LENGTH)
    return render(text)
