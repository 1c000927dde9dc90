"""The lines that IRC is made of: RFC 2812, with the tags of IRCv3 and what servers say of themselves (ISUPPORT).

Pure: knows nothing of sockets, and nothing of what a line means to the bot.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_LINE = 510
"""Bytes of a line, sender and all, without the line end; servers cut off the rest, or close the connection."""

_LINE = re.compile(r"(?:@(?P<tags>\S+) +)?(?::(?P<source>\S+) +)?(?P<command>\S+)(?P<rest>.*)", re.DOTALL)
_LINE_ENDS = re.compile("[\r\n\0]")
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CASES = {
    "ascii": str.maketrans(_UPPER, _UPPER.lower()),
    "strict-rfc1459": str.maketrans(_UPPER + "[]\\", _UPPER.lower() + "{}|"),
    "rfc1459": str.maketrans(_UPPER + "[]\\~", _UPPER.lower() + "{}|^"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line from the server. `source` is who it comes from: `nick!user@host`, or a server's name."""

    command: str
    params: tuple[str, ...] = ()
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def nick(self) -> str:
        """The name of the one it comes from."""
        return self.source.partition("!")[0]


def parse_line(data: bytes) -> Line:
    """Read a line, its end included; one that holds nothing has an empty command. What is not UTF-8 is replaced."""
    match = _LINE.fullmatch(data.decode(errors="replace").strip("\r\n"))
    if match is None:
        return Line("")
    middle, colon, trailing = match["rest"].partition(" :")
    tags = (tag.partition("=") for tag in (match["tags"] or "").split(";") if tag)
    params = (*middle.split(), trailing) if colon else tuple(middle.split())
    return Line(match["command"].upper(), params, match["source"] or "", {name: value for name, _, value in tags})


def encode_line(line: str) -> bytes:
    """A line as it is sent. The last gate: whatever `line` holds, it stays one line that the server takes."""
    return _LINE_ENDS.sub(" ", line).encode(errors="replace")[:MAX_LINE] + b"\r\n"


@dataclass(frozen=True)
class Server:
    """What a server says about itself, by the names of its ISUPPORT tokens (modern.ircdocs.horse)."""

    tokens: Mapping[str, str] = field(default_factory=dict)

    def fold(self, name: str) -> str:
        """A nick or channel in the one spelling that stands for all that the server takes for the same."""
        return name.translate(_CASES.get(self.tokens.get("CASEMAPPING", "rfc1459"), _CASES["ascii"]))

    def is_channel(self, name: str) -> bool:
        """Whether it is one, and no person."""
        return name.startswith(tuple(self.tokens.get("CHANTYPES", "#&")))

    def operators_in(self, names: str) -> set[str]:
        """The operators, half-operators included, among the nicks of a reply to NAMES."""
        modes, _, symbols = self.tokens.get("PREFIX", "(ov)@+").removeprefix("(").partition(")")
        ranks = {symbol for mode, symbol in zip(modes, symbols, strict=False) if mode in "qaoh"}
        return {self.fold(name.lstrip(symbols)) for name in names.split() if name[0] in ranks}
