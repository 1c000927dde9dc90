"""What Discord accepts as a message or a command, as far as the stand-in checks it.

Plain functions over request bodies; a body that breaks a rule raises the refusal.
"""

import re
from typing import Any

from discord_limits import invalid_form, refusal
from discord_state import HAS_V2_COMPONENTS, walk_components

MAX_CONTENT, MAX_CUSTOM_ID, MAX_LABEL, MAX_NONCE, MAX_V2_TEXT = 2000, 100, 80, 25, 4000
EMBED_LIMITS = {"title": 256, "description": 4096}
MAX_EMBEDS, MAX_EMBED_TEXT, MAX_FIELDS = 10, 6000, 25
ACTION_ROW, BUTTON, TEXT_DISPLAY = 1, 2, 10
SELECTS = (3, 5, 6, 7, 8)
MAX_COMMANDS, OPTION_TYPES, TYPED_OPTIONS = 100, tuple(range(1, 12)), (3, 4, 10)
"""Text, whole numbers and numbers are typed; other kinds of option are picked from what there is."""
CONTENT_KEYS = ("content", "embeds", "attachments", "sticker_ids", "components")


def check_message(body: dict[str, Any], *, is_edit: bool = False) -> None:
    """Refuse what is no message; an edit may leave out everything."""
    content = body.get("content") or ""
    _check_length("content", content, MAX_CONTENT)
    _check_length("nonce", str(body.get("nonce") or ""), MAX_NONCE)
    has_v2 = bool((body.get("flags") or 0) & HAS_V2_COMPONENTS)
    if has_v2 and (content or body.get("embeds")):
        raise invalid_form(
            "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", "The 'content' field cannot be used"
        )
    if not is_edit and not any(body.get(key) for key in CONTENT_KEYS):
        raise refusal(50006)
    _check_embeds(body.get("embeds") or [])
    _check_components(body.get("components") or [], has_v2=has_v2)


def check_emptiness(content: str, *others: Any) -> None:
    """Refuse an edit that would leave nothing."""
    if not content and not any(others):
        raise refusal(50006)


def _check_length(path: str, text: str, limit: int, *, least: int = 0) -> None:
    if len(text) > limit:
        raise invalid_form(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
    if len(text) < least:
        raise invalid_form(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {limit} in length.")


def _check_embeds(embeds: list[dict[str, Any]]) -> None:
    if len(embeds) > MAX_EMBEDS:
        raise invalid_form("embeds", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_EMBEDS} or fewer in length.")
    total = 0
    for index, embed in enumerate(embeds):
        for key, limit in EMBED_LIMITS.items():
            _check_length(f"embeds.{index}.{key}", embed.get(key) or "", limit)
        fields = embed.get("fields") or []
        if len(fields) > MAX_FIELDS:
            raise invalid_form(f"embeds.{index}.fields", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FIELDS} or fewer.")
        texts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
        texts += [part for each in fields for part in (each["name"], each["value"])]
        total += sum(len(text or "") for text in texts)
    if total > MAX_EMBED_TEXT:
        raise invalid_form("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _check_components(components: list[dict[str, Any]], *, has_v2: bool) -> None:
    if not has_v2:
        if len(components) > 5:
            raise invalid_form("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        if any(row["type"] != ACTION_ROW for row in components):
            raise invalid_form("components.0.type", "BASE_TYPE_CHOICES", "Value of field 'type' must be one of (1,).")
    ids: set[str] = set()
    v2_text = 0
    for component in walk_components(components):
        _check_component(component)
        if custom_id := component.get("custom_id"):
            if custom_id in ids:
                raise invalid_form("components", "COMPONENT_CUSTOM_ID_DUPLICATED", "Custom id cannot be duplicated")
            ids.add(custom_id)
        v2_text += len(component["content"]) if component["type"] == TEXT_DISPLAY else 0
    if v2_text > MAX_V2_TEXT:
        raise invalid_form("components", "COMPONENT_MAX_TOTAL_TEXT", f"Must be {MAX_V2_TEXT} or fewer in length.")


def _check_component(component: dict[str, Any]) -> None:
    _check_length("components.custom_id", component.get("custom_id") or "", MAX_CUSTOM_ID)
    if component["type"] == BUTTON:
        _check_length("components.label", component.get("label") or "", MAX_LABEL)
        if component["style"] not in (5, 6) and not component.get("custom_id"):
            raise invalid_form("components.custom_id", "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED", "A custom id is required")
    if component["type"] == ACTION_ROW:
        kinds = [each["type"] for each in component["components"]]
        if not 1 <= len(kinds) <= (1 if set(kinds) & set(SELECTS) else 5):
            raise invalid_form("components.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")


def check_commands(commands: list[dict[str, Any]]) -> None:
    """Refuse a set of commands of which one breaks the rules."""
    names = [(command.get("type", 1), command["name"]) for command in commands]
    if len(set(names)) < len(names):
        raise invalid_form("0.name", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
    if sum(kind == 1 for kind, _ in names) > MAX_COMMANDS:
        raise refusal(30032)
    for index, command in enumerate(commands):
        _check_length(f"{index}.name", command["name"], 32, least=1)
        if command.get("type", 1) == 1:
            _check_chat_input(str(index), command)


def _check_chat_input(path: str, command: dict[str, Any]) -> None:
    """A command, a group below it, or an option: all have a name and a description."""
    if not re.fullmatch(r"[-_'\w]{1,32}", command["name"]) or command["name"] != command["name"].lower():
        raise invalid_form(f"{path}.name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    _check_length(f"{path}.description", command.get("description") or "", 100, least=1)
    for key in ("options", "choices"):
        if len(command.get(key) or []) > 25:
            raise invalid_form(f"{path}.{key}", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    _check_options(path, command.get("options") or [])


def _check_options(path: str, options: list[dict[str, Any]]) -> None:
    names, needs = [option["name"] for option in options], [bool(option.get("required")) for option in options]
    if len(set(names)) < len(names):
        raise invalid_form(f"{path}.options", "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", "Option names must be unique")
    if needs != sorted(needs, reverse=True):
        complaint = "Required options must be placed before non-required options"
        raise invalid_form(f"{path}.options", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", complaint)
    for index, option in enumerate(options):
        at = f"{path}.options.{index}"
        if option.get("type") not in OPTION_TYPES:
            raise invalid_form(f"{at}.type", "BASE_TYPE_CHOICES", f"Value must be one of {OPTION_TYPES}.")
        _check_chat_input(at, option)
        _check_values(at, option)


def _check_values(path: str, option: dict[str, Any]) -> None:
    """What is offered for an option: a menu, or what the bot says while it is typed, or nothing."""
    choices, has_autocomplete = option.get("choices") or [], bool(option.get("autocomplete"))
    if (choices or has_autocomplete) and option["type"] not in TYPED_OPTIONS:
        raise invalid_form(f"{path}.choices", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Only for what is typed")
    if choices and has_autocomplete:
        complaint = "Choices cannot be used with autocomplete"
        raise invalid_form(f"{path}.autocomplete", "APPLICATION_COMMAND_OPTIONS_CHOICES_AUTOCOMPLETE", complaint)
    for index, choice in enumerate(choices):
        for key in ("name", "value"):
            _check_length(f"{path}.choices.{index}.{key}", str(choice[key]), 100, least=1)
