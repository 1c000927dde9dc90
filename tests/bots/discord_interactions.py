"""Commands, buttons and forms on the Discord stand-in: what goes out when a person uses one, and what comes back.

An interaction lives twice: it must be acknowledged within seconds, and its token is good for minutes after that.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from discord_forms import check_emptiness, check_message
from discord_limits import refusal
from discord_state import (
    ALL_PERMISSIONS,
    CHAT_INPUT_COMMAND,
    IS_EPHEMERAL,
    IS_LOADING,
    Attachment,
    BotAccount,
    Channel,
    Message,
    User,
    walk_components,
)
from discord_world import Changes, Payload, World

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
"""Kinds of interaction."""
REPLY, DEFERRED_REPLY, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
"""Kinds of answer to one."""
SUB_COMMAND, SUB_COMMAND_GROUP, USER_OPTION, CHANNEL_OPTION, ATTACHMENT_OPTION = 1, 2, 6, 7, 11
"""Kinds of option."""
PLAIN_OPTIONS: dict[int, tuple[type, ...]] = {3: (str,), 4: (int,), 5: (bool,), 10: (int, float)}
"""Kinds of option whose value comes as it is: text, whole numbers, yes or no, and numbers."""
MAX_NUMBER = 2**53


@dataclass(eq=False)
class Interaction:
    """One use of a command, component or form, and all that the bot made of it.

    `original` is the message that @original means. `choices` and `modal` are the answers of kinds 8 and 9.
    """

    id: int
    token: str
    kind: int
    bot: BotAccount
    user: User
    channel: Channel
    data: Payload
    sent_s: float
    message: Message | None = None
    ack_kind: int | None = None
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    choices: list[Payload] | None = None
    modal: Payload | None = None
    is_ephemeral: bool = False

    @property
    def responses(self) -> list[Message]:
        """The messages that the bot answered with, the original first."""
        own = self.original is not None and self.original is not self.message
        return ([self.original] if own and self.original else []) + self.followups


@dataclass(frozen=True)
class Ack:
    """How long a bot took to acknowledge an interaction, and by which kind of answer."""

    interaction: Interaction
    latency_s: float
    kind: int


class Interactions:
    """All interactions, by token."""

    def __init__(self, world: World, changes: Changes, *, ttl_s: float, token_ttl_s: float) -> None:
        self.ttl_s, self.token_ttl_s = ttl_s, token_ttl_s
        self.all: list[Interaction] = []
        self.acks: list[Ack] = []
        self._world, self._changes = world, changes

    def unacknowledged(self) -> list[Interaction]:
        """The interactions whose time ran out without an answer: people saw "did not respond"."""
        now_s = self._world.clock()
        return [each for each in self.all if each.ack_kind is None and now_s - each.sent_s > self.ttl_s]

    # What people do.

    def press(self, user: User, message: Message, custom_id: str, values: Iterable[str] | None) -> Interaction:
        """Press a button, or choose `values` from a menu."""
        for component in walk_components(message.components):
            if component.get("custom_id") == custom_id:
                break
        else:
            raise LookupError(f"no component {custom_id!r} in {message}, only {message.custom_ids()}")
        if component.get("disabled"):
            raise LookupError(f"component {custom_id!r} in {message} is disabled")
        data: Payload = {"custom_id": custom_id, "component_type": component["type"], "id": component.get("id", 1)}
        if values is not None:
            data["values"] = list(values)
        assert isinstance(message.author, BotAccount)
        return self._send(COMPONENT, user, message.channel, message.author, data, message=message)

    def invoke(
        self, user: User, channel: Channel, bot: BotAccount, name: str, options: dict[str, Any], *, focused: str | None
    ) -> Interaction:
        """Use a slash command, whose `name` includes those of its groups; `focused` asks for completions only."""
        command, *path = name.split(" ")
        registered = self._find_command(bot, channel, command, kind=1)
        resolved: Payload = {}
        filled = self._fill(registered.get("options") or [], path, options, focused, channel, resolved)
        data = {"id": registered["id"], "name": command, "type": 1, "options": filled, "resolved": resolved}
        if "guild_id" in registered:
            data["guild_id"] = registered["guild_id"]
        return self._send(COMMAND if focused is None else AUTOCOMPLETE, user, channel, bot, data)

    def invoke_on(self, user: User, message: Message, bot: BotAccount, name: str) -> Interaction:
        """Use a command of a message's context menu, which shows the bot the content of that message."""
        registered = self._find_command(bot, message.channel, name, kind=3)
        resolved = {"messages": {str(message.id): message.payload(bot, has_content=True)}}
        data = {"id": registered["id"], "name": name, "type": 3, "target_id": str(message.id), "resolved": resolved}
        return self._send(COMMAND, user, message.channel, bot, data)

    def submit(self, interaction: Interaction, values: dict[str, Any]) -> Interaction:
        """Fill the form that answered an interaction, by custom id, and send it off."""
        if interaction.modal is None:
            raise LookupError(f"no form answered {interaction}")
        data = {
            "custom_id": interaction.modal["custom_id"],
            "components": [_filled(component, values) for component in interaction.modal["components"]],
        }
        user, channel, bot = interaction.user, interaction.channel, interaction.bot
        return self._send(MODAL_SUBMIT, user, channel, bot, data, message=interaction.message)

    def _find_command(self, bot: BotAccount, channel: Channel, name: str, kind: int) -> Payload:
        guild_id = channel.guild.id if channel.guild else None
        for commands in (bot.commands.get(guild_id, []), bot.commands.get(None, [])):
            for command in commands:
                if command["name"] == name and command.get("type", 1) == kind:
                    return command
        raise LookupError(f"{bot.name} has registered no command {name!r} of type {kind}")

    def _fill(
        self,
        schema: list[Payload],
        path: list[str],
        options: dict[str, Any],
        focused: str | None,
        channel: Channel,
        resolved: Payload,
    ) -> list[Payload]:
        by_name = {option["name"]: option for option in schema}
        if path:
            option = by_name[path[0]]
            inner = self._fill(option.get("options") or [], path[1:], options, focused, channel, resolved)
            return [{"name": path[0], "type": option["type"], "options": inner}]
        missing = [name for name, option in by_name.items() if option.get("required") and name not in options]
        if focused is None and missing:
            raise LookupError(f"options {missing} are required")
        filled = []
        for name, value in options.items():
            kind = by_name[name]["type"]
            if focused is None:
                _check_value(by_name[name], value)
            option = {"name": name, "type": kind, "value": self._resolve(kind, value, channel, resolved)}
            filled.append(option | ({"focused": True} if name == focused else {}))
        return filled

    def _resolve(self, kind: int, value: Any, channel: Channel, resolved: Payload) -> Any:
        if kind == USER_OPTION:
            resolved.setdefault("users", {})[str(value.id)] = value.payload()
            if channel.guild is not None and value.id in channel.guild.members:
                member = channel.guild.members[value.id].payload(with_user=False)
                del member["deaf"], member["mute"]  # Discord leaves them out here
                resolved.setdefault("members", {})[str(value.id)] = member
        elif kind == CHANNEL_OPTION:
            shown = value.payload() | {"permissions": str(int(ALL_PERMISSIONS))}
            resolved.setdefault("channels", {})[str(value.id)] = shown
        elif kind == ATTACHMENT_OPTION:
            value = self._world.add_file(channel, *value)
            resolved.setdefault("attachments", {})[str(value.id)] = value.payload()
        else:
            return value
        return str(value.id)

    def _send(
        self, kind: int, user: User, channel: Channel, bot: BotAccount, data: Payload, message: Message | None = None
    ) -> Interaction:
        token = secrets.token_urlsafe(24)
        interaction = Interaction(
            self._world.ids.next(), token, kind, bot, user, channel, data, self._world.clock(), message
        )
        self.all.append(interaction)
        self._world.sink(bot, "INTERACTION_CREATE", channel.guild, lambda _: self._event(interaction))
        self._changes.notify()
        return interaction

    def _event(self, interaction: Interaction) -> Payload:
        channel, user, bot = interaction.channel, interaction.user, interaction.bot
        shown = channel.payload(bot) | {"permissions": str(int(channel.permissions(user)))}
        event: Payload = {
            "id": str(interaction.id),
            "application_id": str(bot.application_id),
            "type": interaction.kind,
            "data": interaction.data,
            "token": interaction.token,
            "version": 1,
            "channel_id": str(channel.id),
            "channel": shown,
            "app_permissions": str(int(channel.permissions(bot))),
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(channel.guild.id) if channel.guild else "0"},
            "context": 0 if channel.guild else 1,
            "attachment_size_limit": 10 << 20,
        }
        if interaction.message is not None:
            event["message"] = interaction.message.payload(bot, has_content=True)
        if channel.guild is None:
            return event | {"user": user.payload()}
        guild = {"id": str(channel.guild.id), "locale": "en-US", "features": []}
        member = channel.guild.members[user.id].payload()
        return event | {"guild_id": guild["id"], "guild": guild, "guild_locale": "en-US", "member": member}

    # What bots answer.

    def answer(self, interaction_id: int, token: str, body: Payload, files: list[Attachment]) -> Payload:
        """The first answer to an interaction. Returns what `with_response` wants."""
        interaction = next((each for each in self.all if each.token == token and each.id == interaction_id), None)
        latency_s = self._world.clock() - interaction.sent_s if interaction else 0.0
        if interaction is None or (interaction.ack_kind is None and latency_s > self.ttl_s):
            raise refusal(10062)
        if interaction.ack_kind is not None:
            raise refusal(40060)
        kind, data = body["type"], body.get("data") or {}
        resource = self._apply_answer(interaction, kind, data, files)
        interaction.ack_kind = kind
        self.acks.append(Ack(interaction, latency_s, kind))
        self._changes.notify()
        return self._callback_payload(interaction, resource)

    def _apply_answer(
        self, interaction: Interaction, kind: int, data: Payload, files: list[Attachment]
    ) -> Message | None:
        flags = data.get("flags") or 0
        interaction.is_ephemeral = bool(flags & IS_EPHEMERAL)
        if kind == REPLY:
            check_message(data)
            interaction.original = self._post(interaction, data, files, flags)
        elif kind == DEFERRED_REPLY:
            interaction.original = self._post(interaction, {}, [], flags | IS_LOADING)
        elif kind in (DEFERRED_UPDATE, UPDATE):
            interaction.original = interaction.message
            if kind == UPDATE and interaction.message is not None:
                self.edit(interaction.message, data, files)
                return interaction.message
            return None
        elif kind == CHOICES:
            interaction.choices = data["choices"]
        elif kind == MODAL:
            interaction.modal = data
        return interaction.original

    def _callback_payload(self, interaction: Interaction, message: Message | None) -> Payload:
        shown: Payload = {"id": str(interaction.id), "type": interaction.kind}
        if message is None:
            return {"interaction": shown}
        shown["response_message_id"] = str(message.id)
        shown["response_message_loading"] = message.is_loading
        shown["response_message_ephemeral"] = message.is_ephemeral
        resource = {"type": interaction.ack_kind, "message": message.payload(interaction.bot, has_content=True)}
        return {"interaction": shown, "resource": resource}

    def _post(self, interaction: Interaction, body: Payload, files: list[Attachment], flags: int) -> Message:
        metadata = {
            "id": str(interaction.id),
            "type": interaction.kind,
            "user": interaction.user.payload(),
            "authorizing_integration_owners": {},
        }
        return self._world.post(
            interaction.channel,
            interaction.bot,
            body,
            files=files,
            kind=CHAT_INPUT_COMMAND if interaction.kind == COMMAND else 0,
            flags=flags,
            application_id=interaction.bot.application_id,
            interaction=metadata,
        )

    def of_token(self, application_id: int, token: str) -> Interaction:
        """The acknowledged interaction whose token lets a webhook post."""
        interaction = next((each for each in self.all if each.token == token), None)
        is_known = interaction is not None and interaction.bot.application_id == application_id
        if interaction is None or not is_known or interaction.ack_kind is None:
            raise refusal(10015)
        if self._world.clock() - interaction.sent_s > self.token_ttl_s:
            raise refusal(50027)
        return interaction

    def follow_up(self, interaction: Interaction, body: Payload, files: list[Attachment]) -> Message:
        """A further message. The first one after "thinking..." takes that one's place."""
        check_message(body)
        if interaction.original is not None and interaction.original.is_loading:
            return self.edit(interaction.original, body, files)
        message = self._post(interaction, body, files, body.get("flags") or 0)
        interaction.followups.append(message)
        return message

    def message(self, interaction: Interaction, message_id: str) -> Message:
        """One of an interaction's messages, by id or as @original."""
        known = [*interaction.responses, *([interaction.message] if interaction.message else [])]
        found = interaction.original
        if message_id != "@original":
            found = next((each for each in known if str(each.id) == message_id), None)
        if found is None or found.is_deleted:
            raise refusal(10008)
        return found

    def edit(self, message: Message, body: Payload, files: list[Attachment]) -> Message:
        """Edit a response. The first edit of "thinking..." is what notifies the people whom it mentions."""
        check_message(body, is_edit=True)
        was_loading = message.is_loading
        kept = message.attachments if "attachments" not in body else []
        content = (body["content"] or "") if "content" in body else message.content
        check_emptiness(
            content, body.get("embeds", message.embeds), body.get("components", message.components), kept, files
        )
        message.attachments = [*kept, *files]
        self._world.edit(message, body, flags=message.flags & ~IS_LOADING | (body.get("flags") or 0))
        if was_loading:
            self._world.note_pings(message)
        return message


def _check_value(option: Payload, value: Any) -> None:
    """Fail where Discord's own client would not let a person send a value."""
    kinds = PLAIN_OPTIONS.get(option["type"])
    choices = [choice["value"] for choice in option.get("choices") or []]
    is_kind = kinds is None or (isinstance(value, kinds) and (kinds == (bool,) or not isinstance(value, bool)))
    is_small = isinstance(value, str) or kinds is None or abs(value) <= MAX_NUMBER
    if not is_kind or not is_small or (choices and value not in choices):
        raise LookupError(f"{value!r} is no value for {option}")


def _filled(component: Payload, values: dict[str, Any]) -> Payload:
    """A form's component as it comes back, without what only its display needs."""
    shown: Payload = {"type": component["type"], "id": component.get("id", 1)}
    if "custom_id" in component:
        value = values.get(component["custom_id"], "")
        key = "values" if isinstance(value, list) else "value"
        return shown | {"custom_id": component["custom_id"], key: value}
    if "components" in component:
        shown["components"] = [_filled(each, values) for each in component["components"]]
    if "component" in component:
        shown["component"] = _filled(component["component"], values)
    return shown
