"""Commands: how one is described, found in what people type, and given its arguments.

Knows nothing of adapters, and nothing of what any command does: those come from plugins. An adapter may list the
commands in a menu of its own; what reaches the dispatcher is the typed form, which `as_typed` writes.
"""

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bots.conversation import Conversation
from bots.message import Mention, Message
from engine.generation import TextEngine

MAX_NAME = 32
"""Discord and Telegram take no longer ones."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_YES, _NO = frozenset({"yes", "on", "true", "1"}), frozenset({"no", "off", "false", "0"})


class Permission(StrEnum):
    """Who may use a command; each includes those after it."""

    EVERYONE = "everyone"
    CHAT_ADMIN = "chat admin"
    OPERATOR = "operator"


class Kind(StrEnum):
    """What an argument is."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    PERSON = "person"


Value = str | int | float | bool | Mention


@dataclass(frozen=True)
class Parameter:
    """One argument of a command; the last one takes all the text that is left.

    Attributes:
        choices: The only values it takes, if there are any; for text alone.
        suggestions: Values to offer while it is typed; others are fine, too.
    """

    name: str
    summary: str
    kind: Kind = Kind.TEXT
    is_required: bool = False
    choices: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """For instance `[text]`, or `<text>` if it cannot be left out."""
        return f"<{self.name}>" if self.is_required else f"[{self.name}]"


class Control(Protocol):
    """What a command can do about the answers of its chat."""

    def stop(self) -> bool:
        """End the answer under way as it stands; False if there is none."""
        ...

    async def retry(self) -> bool:
        """Have the last question answered anew; False if there is none."""
        ...


@dataclass(frozen=True)
class CommandCall:
    """One use of a command: what its function gets.

    Attributes:
        arguments: By parameter name, those that were given.
        message: The command as it was given: who, where, when, in reply to what.
        commands: Those that the person can use here, by name.
        is_operator: Whether the person runs this bot.
        hand_over: Gives the person a file, by its name and what it holds; raises UnsupportedError where others would
            see it or where there are no files.
    """

    arguments: Mapping[str, Value]
    message: Message
    conversation: Conversation
    engine: TextEngine
    control: Control
    commands: Mapping[str, "Command"]
    is_operator: bool
    hand_over: Callable[[str, bytes], Awaitable[None]]


@dataclass(frozen=True)
class Command:
    """What people type, what it does, and how menus and `/help` describe it.

    Attributes:
        run: Returns what to tell the person, if anything. None for the command whose argument is a message
            to the model.
        permission: Who may use it.
        shows_without_arguments: Whether everyone may use it without arguments, as that only shows something.
        cooldown_s: How long a person has to wait until using it again in a chat, in seconds.
        is_immediate: Acts at once, instead of after the messages before it.
        is_public: Whether all in the chat are to see what it says, where a platform could show it to one alone.
        is_listed: Whether menus and `/help` show it.
        is_unconditional: Whether nothing may keep people from it: no hook gets to see it, and no list keeps out.
        plugin: Who brought it.
    """

    name: str
    summary: str
    run: Callable[[CommandCall], Awaitable[str | None]] | None
    parameters: tuple[Parameter, ...] = ()
    permission: Permission = Permission.EVERYONE
    shows_without_arguments: bool = False
    cooldown_s: float = 0.0
    is_immediate: bool = False
    is_public: bool = False
    is_listed: bool = True
    is_unconditional: bool = False
    plugin: str = ""

    def __post_init__(self) -> None:
        """Refuse what a platform would refuse.

        Raises:
            ValueError: A name is not good; says which.
        """
        for name in (self.name, *(parameter.name for parameter in self.parameters)):
            if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
                raise ValueError(f"{name!r} is no name: a-z, 0-9 and _, a letter first, at most {MAX_NAME} long")

    @property
    def usage(self) -> str:
        """For instance `/persona [text]`."""
        return " ".join([f"/{self.name}", *(parameter.usage for parameter in self.parameters)])

    def is_free(self, *, has_arguments: bool) -> bool:
        """Whether everyone may use it like that."""
        return self.permission is Permission.EVERYONE or (self.shows_without_arguments and not has_arguments)


class CommandTable(Mapping[str, Command]):
    """The commands that there are at the moment, by name, in the order in which they came."""

    def __init__(self, commands: Iterable[Command] = ()) -> None:
        self._commands: dict[str, Command] = {}
        for command in commands:
            self.add(command)

    def add(self, command: Command) -> None:
        """Let people use `command`.

        Raises:
            ValueError: There is one of that name.
        """
        taken = self._commands.get(command.name)
        if taken is not None:
            owner = f" by the plugin {taken.plugin}" if taken.plugin else ""
            raise ValueError(f"the command /{command.name} is taken{owner}; give yours another name")
        self._commands[command.name] = command

    def remove(self, command: Command) -> None:
        """Let people use it no more; does nothing if it is not there."""
        if self._commands.get(command.name) is command:
            del self._commands[command.name]

    def __getitem__(self, name: str) -> Command:
        return self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._commands))

    def __len__(self) -> int:
        return len(self._commands)


@dataclass(frozen=True)
class Invocation:
    """A text that was meant as a command.

    Attributes:
        command: None if there is none of that name.
    """

    name: str
    rest: str
    command: Command | None = None


def parse(text: str, commands: Mapping[str, Command]) -> Invocation | str:
    """Tell commands from what is meant for the model.

    Returns:
        The command that `text` calls, or the text for the model. `//` at the start stands for one slash
        that the model is to see.
    """
    if text.startswith("//"):
        return text[1:]
    if not text.startswith("/"):
        return text
    name, *rest = text[1:].split(maxsplit=1)[:2] or [""]
    command, argument = commands.get(name.lower()), rest[0].strip() if rest else ""
    if command is not None and command.run is None and argument:
        return argument
    return Invocation(name.lower(), argument, command)


class ArgumentError(ValueError):
    """What was typed behind a command is not what it takes; says so to the person."""


def arguments_of(command: Command, rest: str, mentions: Sequence[Mention] = ()) -> dict[str, Value]:
    """The arguments in what stands behind a command.

    Args:
        command: Which.
        rest: In order, separated by spaces; quotes hold a text with spaces together. Where a command takes several,
            each can be given by name, too: `words:"one, two"`.
        mentions: The people who are mentioned in it.

    Raises:
        ArgumentError: One is missing, or is not what it should be.
    """
    given = _words(command.parameters, rest, mentions)
    values = {}
    for parameter in command.parameters:
        if parameter.name in given:
            values[parameter.name] = _value(parameter, given[parameter.name], mentions)
        elif parameter.is_required:
            raise ArgumentError(f"Please say more: {command.usage}, where {parameter.name} is {parameter.summary}.")
    return values


def as_typed(command: Command, given: Mapping[str, str]) -> str:
    """A command with its arguments as it would be typed: what `parse` and `arguments_of` read."""
    if len(command.parameters) <= 1:
        return " ".join([f"/{command.name}", *given.values()])
    words = [f"{name}:{_quoted(given[name])}" for name in (p.name for p in command.parameters) if name in given]
    return " ".join([f"/{command.name}", *words])


def explain_unknown(name: str, commands: Mapping[str, Command]) -> str:
    """What to tell whoever typed a command that does not exist."""
    listed = [command.name for command in commands.values() if command.is_listed]
    nearest = difflib.get_close_matches(name, listed, n=1)
    suggestion = f"Did you mean /{nearest[0]}?" if nearest else "/help lists what there is."
    return f"There is no command /{name}. {suggestion} To say it to me, begin with two slashes: //{name}"


_BY_NAME = re.compile(r"([a-z][a-z0-9_]*):\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=\s|$)', re.DOTALL)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _words(parameters: Sequence[Parameter], rest: str, mentions: Sequence[Mention]) -> dict[str, str]:
    if len(parameters) <= 1:
        return {parameter.name: rest for parameter in parameters if rest}
    words: dict[str, str] = {}
    open_ones = {parameter.name: parameter for parameter in parameters}
    while rest and open_ones:
        by_name = _BY_NAME.match(rest)
        if by_name is not None and by_name[1] in open_ones:
            name, rest = by_name[1], rest[by_name.end() :]
        else:
            name = next(iter(open_ones))
        parameter = open_ones.pop(name)
        is_last = parameter is parameters[-1] and not _is_before_another(rest, open_ones)
        words[name], rest = _next_word(rest, mentions, is_last=is_last)
    return words


def _is_before_another(rest: str, open_ones: Mapping[str, Parameter]) -> bool:
    """Whether a quoted text is followed by an argument by name."""
    quoted = _QUOTED.match(rest)
    by_name = _BY_NAME.match(rest[quoted.end() :].lstrip()) if quoted is not None else None
    return by_name is not None and by_name[1] in open_ones


def _next_word(rest: str, mentions: Sequence[Mention], *, is_last: bool) -> tuple[str, str]:
    """The text of one argument, and what stands behind it."""
    quoted = _QUOTED.match(rest)
    if quoted is not None and not (is_last and quoted.end() < len(rest)):
        return re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL), rest[quoted.end() :].lstrip()
    if is_last:
        return rest, ""
    for mention in sorted(mentions, key=lambda mention: -len(mention.name)):  # names may hold spaces
        if rest.startswith(called := f"@{mention.name}"):
            return called, rest[len(called) :].lstrip()
    word = rest.split(maxsplit=1)[0] if rest else ""
    return word, rest[len(word) :].lstrip()


def _value(parameter: Parameter, text: str, mentions: Sequence[Mention]) -> Value:
    match parameter.kind:
        case Kind.TEXT:
            return _text(parameter, text)
        case Kind.INTEGER:
            return _number(parameter, text, int, "a whole number")
        case Kind.NUMBER:
            return _number(parameter, text, float, "a number")
        case Kind.BOOLEAN:
            if text.lower() not in _YES | _NO:
                raise ArgumentError(f"{parameter.name} is {parameter.summary}: yes or no, and {text!r} is neither.")
            return text.lower() in _YES
        case Kind.PERSON:
            for mention in mentions:
                if text == f"@{mention.name}":
                    return mention
            raise ArgumentError(f"{parameter.name} is {parameter.summary}: please mention somebody, with an @.")


def _text(parameter: Parameter, text: str) -> str:
    if not parameter.choices:
        return text
    for choice in parameter.choices:
        if text.casefold() == choice.casefold():
            return choice
    raise ArgumentError(f"{text!r} is nothing I know. Please take one of: {', '.join(parameter.choices)}.")


def _number(parameter: Parameter, text: str, kind: Callable[[str], Value], what: str) -> Value:
    try:
        value = kind(text)
    except (ValueError, OverflowError):
        value = float("nan")
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  # the usual test for NaN
        raise ArgumentError(f"{parameter.name} is {parameter.summary}: {what}, and {text!r} is none.")
    return value
