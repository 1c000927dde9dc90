"""A bot on IRC, as `bots.adapter` wants it.

IRC acknowledges nothing, but a server answers in order: a PING behind what was sent comes back once all of that was
looked at, and what it has to say against it comes before. So a message counts as accepted when that PONG is here.

A nick is no identity: whoever comes first has it. People are known by the account that the server says they are
logged in to (`account:NAME`), else by `nick!user@host`; a private chat belongs to nick and identity together, so
that who takes somebody's nick takes over neither rights nor conversations.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Self
from uuid import uuid4

from bots.adapter import Caps, Pace
from bots.bounded import remember
from bots.budget import Budget, Priority
from bots.commands import Command
from bots.companion import companion
from bots.errors import (
    AdapterClosedError,
    BotError,
    ForbiddenError,
    MessageGoneError,
    MessageTooLongError,
    UnreachableError,
    UnsupportedError,
)
from bots.message import Addressed, Attachment, Button, ButtonPressed, ChatRef, Event, Message, MessageId, Text, User

from mynah_irc.connection import FOREIGN, Connection, Login, NickTakenError, connected, refusal, translated
from mynah_irc.protocol import MAX_LINE, Line
from mynah_irc.text import as_typed, cut, length, meaning, rows_of

logger = logging.getLogger(__name__)

PLATFORM = "irc"
LINE_PACE = Pace(limit=4, period_s=4.0)
"""Servers throw out who sends more than about a line a second for long."""

MAX_ROWS = 4
"""Lines of one message."""

USER_AND_HOST = 12 + 64
"""Bytes that stand for us before what others get from us, at most; our own may change at any time."""

PING_EVERY_S, ANSWER_WITHIN_S = 20.0, 20.0
"""So a dead connection is noticed within 60 s, a message that is being sent included."""

REJOIN_AFTER_S = 30.0
MAX_WAITING = 10_000
"""Events that may wait; whoever takes them waits for the database alone, so more is a flood."""

_NOT_JOINED = frozenset({"403", "405", "437", "471", "473", "474", "475", "476", "477", "489"})
_ACTION = "\x01ACTION "
CLOSED = "the connection was closed"


class IrcAdapter:
    """One nick on one server."""

    def __init__(
        self,
        login: Login,
        channels: Sequence[str] = (),
        *,
        commands: Mapping[str, Command] = MappingProxyType({}),
        had: set[str] | None = None,
        line_pace: Pace | None = LINE_PACE,
        ping_every_s: float = PING_EVERY_S,
        answer_within_s: float = ANSWER_WITHIN_S,
        rejoin_after_s: float = REJOIN_AFTER_S,
    ) -> None:
        """Prepare; nothing is connected before the context is entered.

        Args:
            login: Where, and as whom.
            channels: To join.
            commands: What people can ask for with `!name`; may change at any time.
            had: The nicks that earlier adapters have had, and this one adds its own: where their connection died,
                the server may go on for minutes to take them for present.
            line_pace: What the server lets us send; None says that it has no limit.
            ping_every_s: How often to see whether the connection is alive, and to join what we are not in.
            answer_within_s: How long that may take.
            rejoin_after_s: How long to stay away after having been removed from a channel.
        """
        self._login, self._channels, self._commands = login, channels, commands
        self._had = set() if had is None else had
        self._line_pace, self._budget = line_pace, Budget(line_pace)
        self._ping_every_s, self._answer_within_s, self._rejoin_after_s = ping_every_s, answer_within_s, rejoin_after_s
        self._stack = AsyncExitStack()
        self._inbox: asyncio.Queue[Event | None] = asyncio.Queue()
        self._is_over = False
        self._failure: BotError | None = None
        self._link: Connection
        self._account: str
        self._turn = asyncio.Lock()
        self._heard: list[Line] = []
        self._awaited: tuple[str, asyncio.Future[BotError | None]] | None = None
        self._absent: dict[str, float] = {}
        self._nicks: dict[str, str] = {}
        self._authors: dict[MessageId, str] = {}

    # Opening and closing.

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._link = link = await stack.enter_async_context(self._logged_in())
            self._account = f"{link.server.fold(link.nick)}@{link.server.tokens.get('NETWORK') or self._login.host}"
            self._absent = {link.server.fold(channel): 0.0 for channel in self._channels}
            await stack.enter_async_context(companion(self._take_all()))
            if mode := link.server.tokens.get("BOT"):
                await self._exchange(f"MODE {link.nick} +{mode}")
            await self._look_after_all()
            await stack.enter_async_context(companion(self._stay()))
            self._stack = stack.pop_all()
        return self

    @asynccontextmanager
    async def _logged_in(self) -> AsyncIterator[Connection]:
        try:
            async with connected(self._login) as link:
                self._had.add(self._login.nick)
                yield link
        except NickTakenError as exc:
            if self._login.nick not in self._had:
                raise
            raise UnreachableError(f"{exc}, or wait until our last connection is over", may_be_done=False) from exc

    async def __aexit__(self, *exc_info: object) -> None:
        self._end(None)
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    def _end(self, error: BotError | None) -> None:
        """Let `events` end, and whatever waits for the server."""
        if self._is_over:
            return
        self._is_over, self._failure = True, error
        self._inbox.put_nowait(None)
        self._answer(error or AdapterClosedError(CLOSED))

    def _answer(self, error: BotError | None) -> None:
        """Let who waits for the server go on."""
        if self._awaited is not None and not self._awaited[1].done():
            self._awaited[1].set_result(error)

    async def _stay(self) -> None:
        """See again and again that the connection is alive, and that we are where we should be."""
        try:
            while True:
                await asyncio.sleep(self._ping_every_s)
                await self._look_after_all()
        except BotError as exc:
            logger.debug("the connection is over: %s", exc)  # `events` says so

    async def _look_after_all(self) -> None:
        due = [channel for channel, due_s in self._absent.items() if due_s <= time.monotonic()]
        await self._exchange(*(f"JOIN {channel}" for channel in due))

    # What is known without asking.

    @property
    def platform(self) -> str:
        """`irc`."""
        return PLATFORM

    @property
    def account(self) -> str:
        """The nick that we came with, and the network, or the server if it does not name one."""
        return self._account

    @property
    def pace(self) -> Pace | None:
        """What servers let through; a message of several lines takes longer."""
        return self._line_pace

    def caps(self, chat: ChatRef) -> Caps:
        """Plain messages, and nothing else; the longer our name and the chat's, the less a line holds."""
        room = self._room(self._target(chat))
        return Caps(max_length=MAX_ROWS * room, length=partial(length, limit_bytes=room))

    def _is_private(self, chat: ChatRef) -> bool:
        return not self._link.server.is_channel(chat.chat)

    def _target(self, chat: ChatRef) -> str:
        return chat.chat.partition("!")[0] if self._is_private(chat) else chat.chat

    def _room(self, target: str) -> int:
        """Bytes of text in a line that others get from us."""
        return MAX_LINE - len(f":{self._link.nick}!@ PRIVMSG {target} :".encode()) - USER_AND_HOST

    # What comes in.

    async def events(self) -> AsyncIterator[Event]:
        """Yield what people say. Ends with an error if the connection is lost: open a new adapter."""
        while (event := await self._inbox.get()) is not None:
            yield event
        if self._failure is not None:
            raise self._failure

    async def _take_all(self) -> None:
        try:
            while not self._is_over:
                self._take(await self._link.read())
        except FOREIGN as exc:
            self._end(translated(exc))

    def _take(self, line: Line) -> None:
        match line.command, line.params:
            case "PRIVMSG", (target, text):
                self._hear(line, target, text)
            case "PING", (*_, token):
                self._link.write(f"PONG :{token}")
            case "PONG", (*_, token) if self._awaited is not None and token == self._awaited[0]:
                self._answer(None)
            case "NICK", (nick, *_) if self._is_us(line.nick):
                self._link.nick = nick
            case "JOIN", (channel, *_) if self._is_us(line.nick):
                self._absent.pop(self._link.server.fold(channel), None)
            case "PART", (channel, *_) if self._is_us(line.nick):
                self._stay_away(channel, "we were taken out")
            case "KICK", (channel, nick, *why) if self._is_us(nick):
                self._stay_away(channel, " ".join(["kicked by", line.nick, *why]))
            case "ERROR", (*_, why):
                self._end(UnreachableError(why))
            case _ if line.command.isdigit():
                self._heard.append(line)
                self._take_reply(line)

    def _take_reply(self, line: Line) -> None:
        match line.params:
            case (_, channel, *_, why) if line.command in _NOT_JOINED:
                if self._link.server.fold(channel) in self._absent:
                    self._stay_away(channel, why)

    def _is_us(self, nick: str) -> bool:
        return self._link.server.fold(nick) == self._link.server.fold(self._link.nick)

    def _stay_away(self, channel: str, why: str) -> None:
        logger.warning("not in %s for now: %s", channel, why)
        self._absent[self._link.server.fold(channel)] = time.monotonic() + self._rejoin_after_s

    def _hear(self, line: Line, target: str, text: str) -> None:
        """Take what somebody said; notices are none of it, as no program may answer those."""
        server, is_private = self._link.server, self._is_us(target)
        if "!" not in line.source or self._is_us(line.nick) or not (is_private or server.is_channel(target)):
            return
        if text.startswith("\x01") and not text.startswith(_ACTION):
            return  # asks the program, and not the bot
        text = text.replace(_ACTION, f"* {line.nick} ", 1)
        text, reasons = meaning(text, self._link.nick, server.fold, self._commands)
        if is_private:
            reasons = reasons - {Addressed.MENTION} | {Addressed.DIRECT}
        if not text and Addressed.MENTION not in reasons:
            return
        if self._inbox.qsize() >= MAX_WAITING:
            logger.error("a message was dropped: they come faster than they are taken")
            return
        author = self._author(line)
        id = MessageId(uuid4().hex)
        remember(self._authors, id, line.nick)
        place = f"{server.fold(line.nick)}!{author.id.rpartition('!')[2]}" if is_private else server.fold(target)
        self._inbox.put_nowait(
            Message(
                id,
                ChatRef(PLATFORM, self._account, place),
                author,
                (Text(text),) if text else (),
                datetime.now(UTC),
                addressed=frozenset(reasons),
                is_private=is_private,
            )
        )

    def _author(self, line: Line) -> User:
        fold, (_, _, host) = self._link.server.fold, line.source.partition("!")
        account = line.tags.get("account")
        id = f"account:{fold(account)}" if account else f"{fold(line.nick)}!{host}"
        remember(self._nicks, id, line.nick)
        return User(PLATFORM, id, line.nick, is_bot="bot" in line.tags)

    async def is_moderator(self, chat: ChatRef, user: User) -> bool:
        """Whether `user` is an operator of the channel at this moment, by the nick that was last used."""
        if self._is_private(chat):
            return True
        try:
            replies = await self._exchange(f"NAMES {chat.chat}")
        except BotError as exc:
            logger.warning("it is not known who looks after %s: %s", chat.key, exc)
            return False
        server, nick = self._link.server, self._nicks.get(user.id, "")
        names = [reply.params[3] for reply in replies if reply.command == "353" and len(reply.params) == 4]
        return server.fold(nick) in server.operators_in(" ".join(names))

    async def settled(self, message: Message) -> None:
        """Nothing is left over."""

    async def read(self, attachment: Attachment, limit_bytes: int) -> bytes:  # noqa: ARG002
        """There are no files."""
        raise UnsupportedError("IRC has no files")

    async def tell(self, press: ButtonPressed, text: str) -> None:
        """There are no buttons."""

    # What goes out.

    async def typing(self, chat: ChatRef) -> None:
        """Nobody would see it."""

    async def draft(self, chat: ChatRef, text: str) -> None:
        """There are no drafts."""

    async def send(
        self,
        chat: ChatRef,
        text: str,
        *,
        reply_to: MessageId | None = None,
        buttons: Sequence[Button] = (),  # noqa: ARG002  # there are none
        nonce: str = "",  # noqa: ARG002  # nor does IRC have a use for it
    ) -> MessageId:
        """Say `text`, a line after the other. In a channel, what answers a message begins with its author's nick."""
        return await self._say(chat, text, text, reply_to)

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:
        """Say `text`, with commands as they are typed here: `!help`.

        It is a message, too: of a NOTICE that does not arrive, a server says nothing.
        """
        await self._say(chat, text, as_typed(text, self._commands), reply_to)

    async def _say(self, chat: ChatRef, text: str, shown: str, reply_to: MessageId | None) -> MessageId:
        """Say `shown`; `text` is what counts for the limit."""
        target = self._target(chat)
        room = self._room(target)
        num_bytes, limit = length(text, room), MAX_ROWS * room
        if num_bytes > limit:
            raise MessageTooLongError(num_bytes, limit)
        rows = list(rows_of(shown, room))
        if rows and not self._is_private(chat) and reply_to in self._authors:
            rows[:1] = cut(f"{self._authors[reply_to]}: {rows[0]}", room)
        for reply in await self._exchange(*(f"PRIVMSG {target} :{row}" for row in rows)):
            if any(self._link.server.fold(each) == target for each in reply.params[1:]) and (error := refusal(reply)):
                raise error
        return MessageId(uuid4().hex)

    async def answers_after(self, chat: ChatRef, after: MessageId, text: str) -> list[MessageId]:  # noqa: ARG002
        """Nobody is shown what was said before."""
        return []

    async def edit(self, chat: ChatRef, id: MessageId, text: str, *, buttons: Sequence[Button] = ()) -> None:  # noqa: ARG002
        """Nothing can be changed."""
        self._see_it_is_open()
        raise MessageGoneError("what was said on IRC stays as it is")

    async def delete(self, chat: ChatRef, id: MessageId) -> None:  # noqa: ARG002
        """Nothing can be taken back."""
        self._see_it_is_open()
        raise ForbiddenError("what was said on IRC stays as it is")

    async def show_commands(self, commands: Sequence[Command]) -> None:
        """There is no menu."""

    async def hand_over(self, chat: ChatRef, name: str, data: bytes, *, reply_to: MessageId) -> None:  # noqa: ARG002
        """There are no files."""
        raise UnsupportedError("IRC has no files")

    def _see_it_is_open(self) -> None:
        if self._is_over:
            raise AdapterClosedError(CLOSED)

    async def _exchange(self, *lines: str) -> list[Line]:
        """Send `lines`; returns what the server replied until it had looked at all of them."""
        async with self._turn:
            self._heard = []
            for line in lines:
                async with self._budget.turn("", None, Priority.MESSAGE):
                    await self._put(line)
            token = secrets.token_hex(8)
            self._awaited = token, asyncio.get_running_loop().create_future()
            await self._put(f"PING :{token}", self._awaited[1])
            return self._heard

    async def _put(self, line: str, answered: asyncio.Future[BotError | None] | None = None) -> None:
        """Send a line, and wait until the server takes it, and for its answer; one that does not come ends it all."""
        self._see_it_is_open()
        try:
            async with asyncio.timeout(self._answer_within_s):
                self._link.write(line)
                await self._link.drain()
                error = await answered if answered is not None else None
        except FOREIGN as exc:
            self._see_it_is_open()
            self._end(translated(exc))
            raise translated(exc) from exc
        if error is not None:
            raise error
