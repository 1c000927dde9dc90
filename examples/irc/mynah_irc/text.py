"""What is said on IRC: a model's Markdown as lines of plain text, and what a line from a person means.

Pure: knows nothing of who says it and of how it travels.
"""

import functools
import re
from collections.abc import Callable, Collection, Iterator

from bots.markdown import parse, plain
from bots.message import Addressed
from markdown_it.token import Token

_LINE_ENDS = re.compile("\r\n?")
# CTCP, colours and all other formatting are among them; lone surrogates are no text at all.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FORMATTING = re.compile("\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6})?|[\x00-\x1f\x7f\u2060]")
_ORDER = re.compile(r"\A(?=[!.@&~$%?]\w)")
_GUARD = "\N{WORD JOINER}"
"""Stands, invisible, before what another bot in the channel would take for a command to it."""

_NICK_CHARS = r"[\w\[\]\\`^{|}-]"
_MARGIN = " " * 4


@functools.lru_cache(maxsize=512)  # a text is measured more often than it is sent
def rows_of(markdown: str, limit_bytes: int) -> tuple[str, ...]:
    """What `markdown` says, in lines of at most so many bytes that nothing obeys; blank ones are left out."""
    clean = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _LINE_ENDS.sub("\n", markdown)).replace("\t", _MARGIN)
    return tuple(piece for row in _rows(clean) for piece in cut(row, limit_bytes))


def length(markdown: str, limit_bytes: int) -> int:
    """The bytes that it takes, every line but the last one counted as a full one: so a limit bounds the lines."""
    rows = rows_of(markdown, limit_bytes)
    return (len(rows) - 1) * limit_bytes + len(rows[-1].encode()) if rows else 0


def cut(text: str, limit_bytes: int) -> Iterator[str]:
    """Pieces of at most so many bytes of UTF-8: cut at a space if one is near, else anywhere between characters."""
    while text:
        text = _ORDER.sub(_GUARD, text)
        head = text.encode()[:limit_bytes].decode(errors="ignore")  # without the half of a character at its end
        space = head.rfind(" ")
        end = space if len(head) < len(text) and 2 * space > len(head) else len(head)
        yield text[:end]
        text = text[end:].lstrip(" ")


def _rows(markdown: str) -> Iterator[str]:
    margins: list[str] = []  # what stands before a line, for each list item and quote that it is in
    cells: list[str] | None = None
    for token in parse(markdown):
        match token.type:
            case "blockquote_open":
                margins.append("> ")
            case "list_item_open":
                margins.append(f"{token.info}{token.markup} ")
            case "blockquote_close" | "list_item_close":
                margins.pop()
            case "tr_open":
                cells = []
            case "inline" if cells is not None:
                cells.append(plain(token.children or ()))
            case "inline" | "fence" | "code_block" | "hr" | "tr_close":
                said = _said(token) if cells is None else " | ".join(cells)
                cells = None
                for row in said.split("\n"):
                    if row.strip():
                        yield "".join(margins) + row
                        # The number or bullet of an item stands before its first line only.
                        margins = [each if each == "> " else " " * len(each) for each in margins]


def _said(token: Token) -> str:
    if token.type == "hr":
        return "---"
    return token.content if token.children is None else plain(token.children)


def meaning(text: str, nick: str, fold: Callable[[str], str], commands: Collection[str]) -> tuple[str, set[Addressed]]:
    """What a person's line says to the bot, and why it counts as said to it.

    Args:
        text: As it came.
        nick: The bot's.
        fold: Makes one spelling of all that the server takes for the same name.
        commands: The names of those that there are.

    Returns:
        The words, without formatting, a call of the bot at their beginning and white space around them. A command
        that was typed as `!name` begins with `/name`: clients keep what begins with a slash for themselves.
    """
    text = _FORMATTING.sub("", text).strip()
    reasons = set()
    name = re.escape(fold(nick))
    if call := re.match(rf"(?:@{name}(?!{_NICK_CHARS})[:,]?|{name}[:,])\s*", fold(text)):
        text = text[call.end() :]
    if call or re.search(rf"(?<!{_NICK_CHARS})@{name}(?!{_NICK_CHARS})", fold(text)):
        reasons.add(Addressed.MENTION)
    order = re.match(r"[!/]([A-Za-z]\w*)(?!\S)", text)
    if order and order[1].lower() in commands and (call or text[0] == "!"):
        text = f"/{text[1:]}"
        reasons.add(Addressed.COMMAND)
    return text, reasons


def as_typed(text: str, commands: Collection[str]) -> str:
    """The bot's own words, with `!name` where they name a command `/name`."""
    return re.sub(r"(?<![\w/])/([a-z]\w*)", lambda name: f"!{name[1]}" if name[1] in commands else name[0], text)
