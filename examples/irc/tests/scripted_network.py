"""A server with what ngIRCd lacks: accounts, by SASL, and tags that tell who is logged in. Says what a test lets it."""

import asyncio
import base64
from typing import Self

from mynah_irc import IrcAdapter, Login
from mynah_irc.protocol import parse_line

CAPS = "account-tag message-tags sasl=PLAIN,EXTERNAL server-time"


class ScriptedNetwork:
    """One server on this machine; `typed` is all that clients have sent."""

    def __init__(self, *, password: str = "", refusal: str = "", tokens: str = "CASEMAPPING=rfc1459") -> None:
        """Instead of letting anybody in, it says `refusal`, if there is one."""
        self._password, self._refusal, self._tokens = password, refusal, tokens
        self._writers: list[asyncio.StreamWriter] = []
        self.typed: list[str] = []
        self.replies: list[str] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    def adapter(self, password: str = "", **options) -> IrcAdapter:
        return IrcAdapter(Login("127.0.0.1", self.port, "mynah", password, has_tls=False), line_pace=None, **options)

    def feed(self, line: str) -> None:
        """Let everybody hear `line`."""
        for writer in self._writers:
            writer.write(f"{line}\r\n".encode())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while data := await reader.readline():
            line = parse_line(data)
            self.typed.append(data.decode().strip())
            for answer in self._answers(line.command, line.params):
                writer.write(f":irc.test {answer}\r\n".encode())
        writer.close()

    def _answers(self, command: str, params: tuple[str, ...]) -> list[str]:
        match command, params:
            case "CAP", ("LS", _):
                return [f"CAP * LS * :{CAPS}", "CAP * LS :echo-message"]
            case "CAP", ("REQ", names):
                return [f"CAP * ACK :{names} "]
            case "CAP", ("END",) if self._refusal:
                return [self._refusal]
            case "CAP", ("END",):
                return ["001 mynah :Welcome", f"005 mynah {self._tokens} :are supported", "422 mynah :no message"]
            case "AUTHENTICATE", ("PLAIN",):
                return ["AUTHENTICATE +"]
            case "AUTHENTICATE", (secret,):
                is_right = base64.b64decode(secret) == f"\0mynah\0{self._password}".encode()
                return ["900 * * mynah :logged in", "903 * :done"] if is_right else ["904 * :SASL failed"]
            case "PRIVMSG", _:
                return self.replies
            case "PING", (token,):
                return [f"PONG irc.test :{token}"]
            case _:
                return []
