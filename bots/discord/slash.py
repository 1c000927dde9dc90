"""Our commands as slash commands: what Discord is told of them, and what comes back as if it were typed.

Pure functions. discord.py's CommandTree is not used: it wants one function per command, written out with its
parameters, and ours are data; it would also put another task between a command and its acknowledgement.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bots.commands import Command, Kind, Parameter, as_typed
from bots.discord.content import Viewer
from bots.message import Mention, Segment, Text

MAX_COMMANDS, MAX_OPTIONS, MAX_SUMMARY, MAX_CHOICES, MAX_CHOICE = 100, 25, 100, 25, 100
"""Discord's limits: of commands, of a command's options, of letters in what says what one is for, of values that are
offered for one, and of letters in such a value."""
CHAT_INPUT = 1
"""Discord's number for a slash command."""
OPTION_TYPES: Mapping[Kind, int] = {
    Kind.TEXT: 3,
    Kind.INTEGER: 4,
    Kind.NUMBER: 10,
    Kind.BOOLEAN: 5,
    Kind.PERSON: 6,
}
IN_GUILDS, IN_DMS, GUILD_INSTALL = 0, 1, 0
"""Where a command can be used: with people who installed the app for themselves alone, the bot could not talk."""

_MENTIONED = r"<@!?(\d+)>"
"""A person in what is typed for a text: Discord's app makes it of a name that is picked there."""
_MARK = r"\0(\d+)\0"
"""A person in a command that is being put together: stands for a name, which is known only with all the others."""

Payload = dict[str, Any]


def payloads(commands: Iterable[Command]) -> list[Payload]:
    """What Discord is to show, for those that are listed: the first ones, where it does not take as many."""
    return [_payload(command) for command in commands if command.is_listed][:MAX_COMMANDS]


def _payload(command: Command) -> Payload:
    required_first = sorted(command.parameters, key=lambda parameter: not parameter.is_required)
    return {
        "type": CHAT_INPUT,
        "name": command.name,
        "description": _summary(command.summary, command.name),
        "options": [_option(parameter) for parameter in required_first[:MAX_OPTIONS]],
        "contexts": [IN_GUILDS, IN_DMS],
        "integration_types": [GUILD_INSTALL],
    }


def _option(parameter: Parameter) -> Payload:
    choices = parameter.choices if _has_menu(parameter) else ()
    return {
        "type": OPTION_TYPES[parameter.kind],
        "name": parameter.name,
        "description": _summary(parameter.summary, parameter.name),
        "required": parameter.is_required,
        "choices": [{"name": choice, "value": choice} for choice in choices],
        "autocomplete": bool(_offered(parameter)),
    }


def _has_menu(parameter: Parameter) -> bool:
    """Whether Discord can show all the choices; if not, they are offered as suggestions."""
    fits = len(parameter.choices) <= MAX_CHOICES and all(1 <= len(each) <= MAX_CHOICE for each in parameter.choices)
    return bool(parameter.choices) and parameter.kind is Kind.TEXT and fits


def _offered(parameter: Parameter) -> list[str]:
    """What may be offered while a value is typed."""
    if parameter.kind is not Kind.TEXT or _has_menu(parameter):
        return []
    return [each for each in parameter.choices or parameter.suggestions if 1 <= len(each) <= MAX_CHOICE]


def _summary(text: str, name: str) -> str:
    """Markdown means nothing there, and Discord wants some text."""
    return " ".join(text.replace("`", "").split())[:MAX_SUMMARY] or name


def differences(wanted: Sequence[Payload], registered: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the commands that Discord does not have as wanted, or that it has and should not."""
    there = {command["name"]: _essence(command) for command in registered if command.get("type", 1) == CHAT_INPUT}
    here = {command["name"]: _essence(command) for command in wanted}
    return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))


def _essence(command: Mapping[str, Any]) -> Payload:
    """What counts of a command, whether Discord writes the defaults out or not."""
    return {
        "description": command.get("description"),
        "contexts": sorted(command.get("contexts") or [IN_GUILDS, IN_DMS]),
        "integration_types": sorted(command.get("integration_types") or [GUILD_INSTALL]),
        "options": [
            {
                "type": option["type"],
                "name": option["name"],
                "description": option["description"],
                "required": bool(option.get("required")),
                "choices": [(choice["name"], choice["value"]) for choice in option.get("choices") or ()],
                "autocomplete": bool(option.get("autocomplete")),
            }
            for option in command.get("options") or ()
        ],
    }


def typed(data: Mapping[str, Any], commands: Mapping[str, Command], viewer: Viewer) -> tuple[Segment, ...]:
    """The command as it would be typed, with the people who were chosen for it or are mentioned in its texts.

    Args:
        data: What Discord says of its use.
        commands: Those that there are, by name.
        viewer: The bot's own account, which is nobody who could be mentioned.
    """
    given = {option["name"]: _value(option) for option in data.get("options") or ()}
    command = commands.get(data["name"])
    if command is None:
        text = " ".join([f"/{data['name']}", *given.values()])
    else:
        text = as_typed(command, {each.name: given[each.name] for each in command.parameters if given.get(each.name)})
    people = _people(re.findall(_MARK, text), data.get("resolved") or {}, viewer)
    return tuple(_segments(text, people, viewer))


def _segments(text: str, people: Mapping[str, Mention], viewer: Viewer) -> Iterator[Segment]:
    words = ""
    for number, part in enumerate(re.split(_MARK, text)):
        if number % 2 == 0:
            words += part
        elif part == str(viewer.id):
            words += f"@{people[part].name}"
        else:
            if words:
                yield Text(words)
            yield people[part]
            words = ""
    if words:
        yield Text(words)


def _value(option: Mapping[str, Any]) -> str:
    """What would be typed for it, with a mark in place of each person."""
    value = option.get("value", "")
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value).replace("\0", "")
    if option.get("type") == OPTION_TYPES[Kind.PERSON]:
        return f"\0{text}\0"
    return re.sub(_MENTIONED, "\0\\1\0", text)


def _people(ids: Iterable[str], resolved: Mapping[str, Any], viewer: Viewer) -> dict[str, Mention]:
    """Those people by id, under names that tell them apart."""
    names = {user_id: _name(user_id, resolved, viewer) for user_id in ids}
    if len(set(names.values())) < len(names):
        names = {user_id: f"{name} ({user_id})" for user_id, name in names.items()}
    return {user_id: Mention(user_id, name) for user_id, name in names.items()}


def _name(user_id: str, resolved: Mapping[str, Any], viewer: Viewer) -> str:
    """What people see, as far as it can stand between quotes as it is; of whom Discord tells nothing more, the id."""
    user = (resolved.get("users") or {}).get(user_id) or {}
    member = (resolved.get("members") or {}).get(user_id) or {}
    own = viewer.name if user_id == str(viewer.id) else ""
    name = member.get("nick") or user.get("global_name") or user.get("username") or own
    return " ".join(name.replace('"', "'").replace("\\", "/").split()) or user_id


def is_for_everyone(data: Mapping[str, Any], commands: Mapping[str, Command]) -> bool:
    """Whether all in the chat are to see what the command answers; not if it is only asked how things are."""
    command = commands.get(data["name"])
    if command is None:
        return False
    only_shows = command.shows_without_arguments and not data.get("options")
    return command.is_public and not only_shows


def suggestions(data: Mapping[str, Any], commands: Mapping[str, Command]) -> list[str]:
    """What to offer for the option that is being typed."""
    command = commands.get(data["name"])
    focused = next((option for option in data.get("options") or () if option.get("focused")), None)
    if command is None or focused is None:
        return []
    so_far = str(focused.get("value", "")).casefold()
    for parameter in command.parameters:
        if parameter.name == focused["name"]:
            return [each for each in _offered(parameter) if so_far in each.casefold()][:MAX_CHOICES]
    return []
