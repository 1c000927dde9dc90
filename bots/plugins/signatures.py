"""What a handler wants, read from its annotations, and the call that gives it that.

A parameter whose type is one of those that are available is filled in. In the handler of a command, all others are
what people type behind it: `str`, `int`, `float`, `bool`, `Literal[...]` of texts, an enum of texts, and `Mention` for
a person. `Annotated[int, "how many sides"]` says what it is, and `Annotated[str, "a colour", ("red", "blue")]` what to
suggest while it is typed; anything else is fine, too. `in_` is typed as `in`, which is no name in Python.
"""

import inspect
import types
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from bots.commands import Kind, Parameter, Value
from bots.message import Mention

Handler = Callable[..., Awaitable[Any]]

_KINDS: dict[type, Kind] = {
    str: Kind.TEXT,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    bool: Kind.BOOLEAN,
    Mention: Kind.PERSON,
}


@dataclass(frozen=True)
class Signature:
    """A handler, and what it is called with.

    Attributes:
        summary: The first line of its docstring.
        parameters: What people type.
        names: What the handler calls each of them.
    """

    handler: Handler
    filled: Mapping[str, type]
    parameters: tuple[Parameter, ...]
    enums: Mapping[str, type[StrEnum]]
    names: Mapping[str, str]
    summary: str

    def call(self, available: Mapping[type, Any], arguments: Mapping[str, Value] | None = None) -> Awaitable[Any]:
        """Call it with what is available, and with what people typed."""
        typed = {
            self.names[name]: self.enums[name](str(value)) if name in self.enums else value
            for name, value in (arguments or {}).items()
        }
        return self.handler(**{name: available[kind] for name, kind in self.filled.items()}, **typed)


def read_signature(handler: Handler, available: Collection[type], *, has_arguments: bool = False) -> Signature:
    """Read what `handler` wants.

    Args:
        handler: An async function or bound method.
        available: The types that can be filled in.
        has_arguments: Whether people type something, too.

    Raises:
        TypeError: It is not async, or wants something that there is not; says which parameter.
    """
    name = getattr(handler, "__qualname__", repr(handler))
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"{name} is no async function; write `async def`")
    hints = get_type_hints(handler, include_extras=True)
    filled: dict[str, type] = {}
    parameters: list[Parameter] = []
    enums: dict[str, type[StrEnum]] = {}
    names: dict[str, str] = {}
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{name}: the parameter {parameter} cannot be given by name; write it without * and /")
        hint = hints.get(parameter.name)
        if isinstance(hint, type) and hint in available:
            filled[parameter.name] = hint
        elif hint is None or not has_arguments:
            raise TypeError(f"{name}: {_wrong(parameter.name, hint, available, has_arguments=has_arguments)}")
        else:
            typed, enum = _typed(name, parameter, hint)
            parameters.append(typed)
            names[typed.name] = parameter.name
            if enum is not None:
                enums[typed.name] = enum
    summary = (inspect.getdoc(handler) or "").partition("\n")[0].rstrip(".")
    return Signature(handler, filled, tuple(parameters), enums, names, summary)


def _wrong(name: str, hint: object, available: Collection[type], *, has_arguments: bool) -> str:
    names = sorted(kind.__name__ for kind in available)
    if has_arguments:
        names += ["str", "int", "float", "bool", "Literal", "StrEnum", "Mention"]
    found = "has no type" if hint is None else f"is a {getattr(hint, '__name__', hint)}"
    return f"the parameter {name} {found}; what can be filled in is {', '.join(names)}"


def _typed(handler: str, parameter: inspect.Parameter, hint: Any) -> tuple[Parameter, type[StrEnum] | None]:
    """What people type for one parameter."""
    called = parameter.name.rstrip("_")
    summary, suggestions = called.replace("_", " "), ()
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        summary = next((note for note in notes if isinstance(note, str)), summary)
        suggestions = next((note for note in notes if isinstance(note, tuple)), suggestions)
    hint = _without_none(hint)
    choices, enum = _choices(hint)
    kind = Kind.TEXT if choices else _KINDS.get(hint)
    if kind is None:
        raise TypeError(f"{handler}: {_wrong(parameter.name, hint, (), has_arguments=True)}")
    is_required = parameter.default is inspect.Parameter.empty
    return Parameter(called, summary, kind, is_required, choices, suggestions), enum


def _without_none(hint: Any) -> Any:
    """`str | None` is a text that may be left out."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [each for each in get_args(hint) if each is not types.NoneType]
        if len(rest) == 1:
            return rest[0]
    return hint


def _choices(hint: Any) -> tuple[tuple[str, ...], type[StrEnum] | None]:
    if get_origin(hint) is Literal and all(isinstance(each, str) for each in get_args(hint)):
        return get_args(hint), None
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return tuple(each.value for each in hint), hint
    return (), None
