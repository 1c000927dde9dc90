"""Our commands as slash commands: what Discord is told of them, and what comes back as if it were typed.

Pure functions. discord.py's CommandTree is not used: it wants one function per command, written out with its
parameters, and ours are data; it would also put another task between a command and its acknowledgement.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bots.commands import Command, Parameter

MAX_SUMMARY, MAX_SUGGESTIONS = 100, 25
CHAT_INPUT, STRING = 1, 3
"""Discord's numbers for a slash command, and for an option that takes text."""
IN_GUILDS, IN_DMS, GUILD_INSTALL = 0, 1, 0
"""Where a command can be used: with people who installed the app for themselves alone, the bot could not talk."""

_FOR_EVERYONE = frozenset({"ask", "reset"})

Payload = dict[str, Any]


def payloads(commands: Iterable[Command]) -> list[Payload]:
    """What Discord is to show, for those that are listed."""
    return [_payload(command) for command in commands if command.is_listed]


def _payload(command: Command) -> Payload:
    return {
        "type": CHAT_INPUT,
        "name": command.name,
        "description": _summary(command.summary),
        "options": [_option(parameter) for parameter in command.parameters],
        "contexts": [IN_GUILDS, IN_DMS],
        "integration_types": [GUILD_INSTALL],
    }


def _option(parameter: Parameter) -> Payload:
    return {
        "type": STRING,
        "name": parameter.name,
        "description": _summary(parameter.summary),
        "required": parameter.is_required,
        "choices": [{"name": str(choice), "value": str(choice)} for choice in parameter.choices],
        "autocomplete": bool(parameter.suggestions) and not parameter.choices,
    }


def _summary(text: str) -> str:
    """Markdown means nothing there."""
    return text.replace("`", "")[:MAX_SUMMARY]


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


def typed(data: Mapping[str, Any], commands: Mapping[str, Command]) -> str:
    """The command as it would be typed, arguments in the order of its parameters."""
    given = {option["name"]: str(option.get("value", "")) for option in data.get("options") or ()}
    command = commands.get(data["name"])
    order = [parameter.name for parameter in command.parameters] if command else list(given)
    return " ".join([f"/{data['name']}", *(given[name] for name in order if given.get(name))])


def is_for_everyone(data: Mapping[str, Any], commands: Mapping[str, Command]) -> bool:
    """Whether all in the chat are to see what the command answers: what is said there, and what changes there."""
    command = commands.get(data["name"])
    changes_chat = command is not None and command.is_for_moderators and bool(data.get("options"))
    return changes_chat or data["name"] in _FOR_EVERYONE


def suggestions(data: Mapping[str, Any], commands: Mapping[str, Command]) -> list[str]:
    """What to offer for the option that is being typed."""
    command = commands.get(data["name"])
    focused = next((option for option in data.get("options") or () if option.get("focused")), None)
    if command is None or focused is None:
        return []
    so_far = str(focused.get("value", "")).casefold()
    for parameter in command.parameters:
        if parameter.name == focused["name"]:
            return [each for each in parameter.suggestions if so_far in each.casefold()][:MAX_SUGGESTIONS]
    return []
