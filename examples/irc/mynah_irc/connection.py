"""The connection to a server: opening it, logging in, and what can go wrong, in our words.

Knows nothing of chats and messages.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import gaierror

from bots.errors import AccountError, BotError, ForbiddenError, RateLimitedError, UnreachableError

from mynah_irc.protocol import Line, Server, encode_line, parse_line

PROGRAM = "mynah"
START_WITHIN_S = 30.0
CLOSE_WITHIN_S = 2.0
SLOW_DOWN_S = 10.0
MAX_RECEIVED_LINE = 16_384
"""Bytes; tags may have 8191."""

WANTED = frozenset({"account-tag", "message-tags"})
"""What to ask of the server: who is logged in, and who is a bot."""

FOREIGN = (OSError, EOFError, asyncio.LimitOverrunError, UnicodeError)
"""All that asyncio's streams raise; a timeout is an OSError, and a host name that is none a UnicodeError."""


class NickTakenError(AccountError):
    """Somebody has the nick."""


@dataclass(frozen=True)
class Login:
    """An account: where, and as whom. `password` is tried as the server's, and by SASL as the nick's."""

    host: str
    port: int
    nick: str
    password: str = field(default="", repr=False)
    has_tls: bool = True


class Connection:
    """Lines in, lines out.

    Attributes:
        nick: What the server calls us.
        server: What it says about itself.
        granted: What it does that we have asked for.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.nick, self.server, self.granted = "", Server(), frozenset[str]()

    async def read(self) -> Line:
        """The next line. Raises one of `FOREIGN` if there is none."""
        return parse_line(await self._reader.readuntil(b"\n"))

    def write(self, line: str) -> None:
        """Send a line, without waiting until it is gone."""
        self._writer.write(encode_line(line))

    async def drain(self) -> None:
        """Wait until the server takes more."""
        await self._writer.drain()

    async def log_in(self, login: Login) -> None:
        """Register, with all that the server offers of what we want."""
        if login.password:
            self.write(f"PASS :{login.password}")
        for command in ("CAP LS 302", f"NICK {login.nick}", f"USER {PROGRAM} 0 * :{PROGRAM}"):
            self.write(command)
        offered: set[str] = set()
        while True:
            line = await self.read()
            self._negotiate(line, login, offered)
            match line.command, line.params:
                case "PING", (*_, token):
                    self.write(f"PONG :{token}")
                case "001", (nick, *_):
                    self.nick = nick
                case "005", (_, *tokens, _):
                    said = (token.partition("=") for token in tokens)
                    self.server = Server({**self.server.tokens, **{name: value for name, _, value in said}})
                case (("376" | "422"), _):  # the end of what it says at first
                    return
                case _ if error := login_refusal(line, login):
                    raise error

    def _negotiate(self, line: Line, login: Login, offered: set[str]) -> None:
        """Do the next step of what has to be agreed on before the server lets us in."""
        match line.command, line.params:
            case "CAP", (_, "LS", *more, names):
                offered |= {name.partition("=")[0] for name in names.split()}
                wanted = offered & (WANTED | ({"sasl"} if login.password else set()))
                if "*" not in more:
                    self.write(f"CAP REQ :{' '.join(sorted(wanted))}" if wanted else "CAP END")
            case "CAP", (_, "ACK", names):
                self.granted = frozenset(names.split())
                self.write("AUTHENTICATE PLAIN" if "sasl" in self.granted else "CAP END")
            case "AUTHENTICATE", ("+",):
                secret = f"\0{login.nick}\0{login.password}".encode()
                self.write(f"AUTHENTICATE {base64.b64encode(secret).decode()}")
            case ("CAP", (_, "NAK", *_)) | ("903", _):
                self.write("CAP END")


@asynccontextmanager
async def connected(login: Login) -> AsyncIterator[Connection]:
    """A connection that is logged in; closed at the end.

    Raises:
        AccountError: The server refuses the account.
        UnreachableError: It does not answer.
    """
    writer = None
    try:
        try:
            async with asyncio.timeout(START_WITHIN_S):
                reader, writer = await asyncio.open_connection(
                    login.host, login.port, ssl=login.has_tls or None, limit=MAX_RECEIVED_LINE
                )
                connection = Connection(reader, writer)
                await connection.log_in(login)
        except FOREIGN as exc:
            raise translated(exc) from exc
        yield connection
    finally:
        if writer is not None:
            await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    with suppress(*FOREIGN):
        async with asyncio.timeout(CLOSE_WITHIN_S):
            writer.write(encode_line("QUIT"))
            writer.close()
            await writer.wait_closed()
    writer.transport.abort()


def login_refusal(line: Line, login: Login) -> BotError | None:
    """What `line` says against `login`, if anything."""
    text = line.params[-1] if line.params else ""
    match line.command:
        case "433" | "436" | "437":
            return NickTakenError(f"the nick {login.nick} is in use ({text}); set IRC_NICK to another one")
        case "432" | "468":
            return AccountError(f"the server takes no such nick as {login.nick} ({text}); set IRC_NICK to another one")
        case "464" | "902" | "904" | "905" | "906" | "908":
            return AccountError(f"the server refuses the password ({text}); see IRC_PASSWORD and IRC_NICK")
        case "463" | "465" | "466":
            return AccountError(f"the server does not let us in ({text}); ask those who run it")
        case "ERROR" if "password" in text.lower():  # there are servers that say so in no other way
            return AccountError(f"the server refuses the password ({text}); see IRC_PASSWORD")
        case "ERROR":
            return UnreachableError(text, may_be_done=False)
    return None


def refusal(line: Line) -> BotError | None:
    """What a reply to something that was sent says against it, if anything."""
    text = " ".join(line.params[1:])
    if line.command in {"263", "439"}:
        return RateLimitedError(SLOW_DOWN_S)
    is_error = line.command.isdigit() and (400 <= int(line.command) < 600 or line.command == "716")
    return ForbiddenError(f"IRC: {text}") if is_error else None


def translated(error: Exception) -> BotError:
    """One of `FOREIGN`, in our words."""
    return next(TRANSLATIONS[kind](error) for kind in type(error).__mro__ if kind in TRANSLATIONS)


def _not_reached(error: Exception) -> BotError:
    return UnreachableError(str(error), may_be_done=False)


TRANSLATIONS: Mapping[type, Callable[[Exception], BotError]] = {
    ConnectionRefusedError: _not_reached,
    gaierror: _not_reached,
    ssl.SSLCertVerificationError: _not_reached,
    TimeoutError: lambda _: UnreachableError("no answer in time"),
    OSError: lambda error: UnreachableError(str(error) or type(error).__name__),
    EOFError: lambda _: UnreachableError("the server has closed the connection"),
    asyncio.LimitOverrunError: lambda _: UnreachableError("the server sends lines without an end"),
    UnicodeError: lambda error: AccountError(f"IRC_SERVER names no host: {error}"),
}
"""By class; one that is not here counts as the nearest class above it that is."""
