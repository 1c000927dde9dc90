"""A bot and people on an IRC server, in the shape that the contract suite drives adapters in."""

import asyncio
import itertools
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

from bots.message import ChatRef
from ngircd import NETWORK, Ngircd

from mynah_irc import IrcAdapter, Login
from mynah_irc.protocol import Line, parse_line

ANSWER_WITHIN_S = 20.0
ROOM = "#birds"


class Person:
    """Somebody with a client. Its calls block: the server is another process, and answers at once."""

    _numbers = itertools.count()

    def __init__(self, port: int, nick: str) -> None:
        self.nick, self.lines = nick, list[Line]()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S)
        self._file = self._socket.makefile("rb")
        self._send(f"NICK {nick}", f"USER {nick} 0 * :{nick}")
        self.until(lambda line: line.command == "376")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def type(self, *commands: str) -> None:
        """Send lines, and wait until the server has done what they ask."""
        token = f"t{next(self._numbers)}"
        self._send(*commands, f"PING :{token}")
        self.until(lambda line: line.command == "PONG" and line.params[-1] == token)

    def _send(self, *commands: str) -> None:
        self._socket.sendall("".join(f"{command}\r\n" for command in commands).encode())

    def until(self, is_it: Callable[[Line], bool]) -> Line:
        """Read until a line comes that is the one."""
        while data := self._file.readline():
            assert len(data) <= 512, data
            self.lines.append(parse_line(data))
            if is_it(self.lines[-1]):
                return self.lines[-1]
        raise AssertionError(f"{self.nick} was thrown out: {self.lines[-1:]}")

    async def meanwhile(self, is_it: Callable[[Line], bool]) -> Line:
        """The same, while the bot goes on."""
        return await asyncio.to_thread(self.until, is_it)

    def say(self, target: str, text: str) -> None:
        self.type(f"PRIVMSG {target} :{text}")

    def heard(self, target: str | None = None, by: str = "mynah") -> list[str]:
        """What `by` has said up to now to `target`, or to this person."""
        self.type()
        said = [line for line in self.lines if line.command == "PRIVMSG" and line.nick == by]
        return [line.params[1] for line in said if line.params[0] == (target or self.nick)]


class IrcStage:
    """One bot, and Ann, who talks to it in private and is in a channel that it may join."""

    can_end, takes_files = False, False

    def __init__(self, server: Ngircd) -> None:
        self.server = server
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.ann = self.person("ann")
        self.ann.type(f"JOIN {ROOM}")
        self.chat = ChatRef("irc", f"mynah@{NETWORK}", "ann!~ann@127.0.0.1")
        self.room = self.others = ChatRef("irc", f"mynah@{NETWORK}", ROOM)
        self.adapter = self.new_adapter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def person(self, nick: str) -> Person:
        person = Person(self.server.port, nick)
        self._stack.callback(person.close)
        return person

    def login(self, **options: Any) -> Login:
        return Login(**({"host": "127.0.0.1", "port": self.server.port, "nick": "mynah", "has_tls": False} | options))

    def new_adapter(self, **options: Any) -> IrcAdapter:
        return IrcAdapter(**({"login": self.login(), "channels": [ROOM], "line_pace": None} | options))

    def say(self, text: str) -> None:
        """Write to the bot in private."""
        self.ann.say("mynah", text)

    def seen(self) -> str:
        """What Ann has from the bot in private."""
        return "\n".join(self.ann.heard())

    def handed(self) -> list[tuple[str, bytes]]:
        return []

    def is_silent_to_others(self) -> bool:
        return self.ann.heard(ROOM) == []
