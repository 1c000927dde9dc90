"""What each route of the Discord stand-in's REST interface does.

Plain synchronous functions, so that a request takes effect wholly or not at all. Knows nothing of HTTP connections:
`discord_rest` has read the request, and checked who calls and how often.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from discord_forms import check_commands, check_emptiness, check_message
from discord_interactions import Interaction, Interactions
from discord_limits import Fault, Reply, invalid_form, refusal
from discord_state import (
    PRIVATE_THREAD,
    PUBLIC_THREAD,
    Attachment,
    BotAccount,
    Channel,
    Guild,
    Message,
    Permission,
    User,
)
from discord_world import Payload, World

MAX_FILE_BYTES = 10 << 20
NONCE_MEMORY_S = 300.0


@dataclass(eq=False)
class Request:
    """One request as it came in; `route` is the path below the API's base, `status` the answer's (0: lost)."""

    time_s: float
    bot: BotAccount | None
    method: str
    route: str
    query: dict[str, str]
    body: Any
    files: list[tuple[str, str, bytes]] = field(default_factory=list)
    status: int | None = None
    fault: Fault | None = None


@dataclass(frozen=True)
class Call:
    """A request on its way through a handler: who calls, and what the route's pattern found."""

    request: Request
    bot: BotAccount
    found: tuple[str, ...]

    @property
    def body(self) -> Payload:
        """The body's fields."""
        return self.request.body or {}


@dataclass(frozen=True)
class Route:
    """A method and path, the handler, and whether it takes a token and counts as writing messages."""

    method: str
    path: re.Pattern[str]
    handler: Callable[[Call], Reply]
    is_open: bool = False
    is_limited: bool = False


class Routes:
    """The routes, in `table`, over a world."""

    def __init__(self, world: World, interactions: Interactions) -> None:
        self.gateway_url = ""
        self._world, self._interactions = world, interactions
        self._nonces: dict[tuple[int, int, str], tuple[float, Message]] = {}
        self.table = self._table()

    def _table(self) -> list[Route]:
        channel, message = r"/channels/(\d+)", r"/channels/(\d+)/messages/(\d+)"
        commands = r"/applications/(\d+)(?:/guilds/(\d+))?/commands"
        webhook = r"/webhooks/(\d+)/([^/]+)"
        table: list[tuple[str, str, Callable[[Call], Reply]]] = [
            ("GET", "/gateway", lambda call: Reply(200, {"url": self.gateway_url})),
            ("GET", "/gateway/bot", self._gateway_bot),
            ("GET", "/users/@me", lambda call: Reply(200, call.bot.payload())),
            ("GET", r"/users/(\d+)", lambda call: Reply(200, self._user(call.found[0]).payload())),
            ("POST", "/users/@me/channels", self._open_dm),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/applications/@me", self._application),
            ("GET", commands, self._get_commands),
            ("PUT", commands, self._put_commands),
            ("GET", r"/guilds/(\d+)", lambda call: Reply(200, self._guild(call).payload())),
            ("GET", r"/guilds/(\d+)/members/(\d+)", self._get_member),
            ("GET", r"/guilds/(\d+)/channels", self._get_channels),
            ("GET", channel, lambda call: Reply(200, self._channel(call).payload(call.bot))),
            ("PATCH", channel, self._edit_channel),
            ("POST", channel + "/typing", self._type),
            ("POST", channel + "/threads", self._start_thread),
            ("POST", message + "/threads", self._start_thread),
            ("PUT", channel + "/thread-members/@me", self._join_thread),
            ("GET", channel + "/messages", self._history),
            ("GET", message, lambda call: Reply(200, self._shown(call, self._message(call)))),
            ("PUT", message + "/reactions/([^/]+)/@me", self._react),
            ("DELETE", message + "/reactions/([^/]+)/@me", self._unreact),
        ]
        writing = [
            ("POST", channel + "/messages", self._create),
            ("PATCH", message, self._edit),
            ("DELETE", message, self._delete),
            ("POST", channel + "/messages/bulk-delete", self._bulk_delete),
        ]
        by_token = [
            ("POST", webhook, self._follow_up),
            ("GET", webhook + "/messages/(@original|[0-9]+)", self._get_response),
            ("PATCH", webhook + "/messages/(@original|[0-9]+)", self._edit_response),
            ("DELETE", webhook + "/messages/(@original|[0-9]+)", self._delete_response),
        ]
        callback = re.compile(r"/interactions/(\d+)/([^/]+)/callback")
        return [
            *(Route(method, re.compile(path), handler) for method, path, handler in table),
            *(Route(method, re.compile(path), handler, is_limited=True) for method, path, handler in writing),
            *(Route(method, re.compile(path), handler, True, True) for method, path, handler in by_token),
            Route("POST", callback, self._callback, is_open=True),
        ]

    def _gateway_bot(self, call: Call) -> Reply:
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        shards = call.bot.recommended_shards
        return Reply(200, {"url": self.gateway_url, "shards": shards, "session_start_limit": limit})

    def _application(self, call: Call) -> Reply:
        return Reply(200, call.bot.application_payload(self._world.owner))

    def _open_dm(self, call: Call) -> Reply:
        channel = self._world.open_dm(self._user(call.body["recipient_id"]), call.bot)
        return Reply(200, channel.payload(call.bot))

    def _commands_place(self, call: Call) -> int | None:
        application_id, guild_id = call.found
        if int(application_id) != call.bot.application_id:
            raise refusal(50001)
        return None if guild_id is None else int(guild_id)

    def _get_commands(self, call: Call) -> Reply:
        return Reply(200, call.bot.commands.get(self._commands_place(call), []))

    def _put_commands(self, call: Call) -> Reply:
        place = self._commands_place(call)
        commands: list[Payload] = call.request.body
        check_commands(commands)
        known = {(each.get("type", 1), each["name"]): each["id"] for each in call.bot.commands.get(place, [])}
        in_guild = {} if place is None else {"guild_id": str(place)}
        call.bot.commands[place] = [
            {"description": ""}
            | command
            | in_guild
            | {
                "id": known.get((command.get("type", 1), command["name"])) or str(self._world.ids.next()),
                "application_id": str(call.bot.application_id),
                "version": str(self._world.ids.next()),
            }
            for command in commands
        ]
        call.bot.syncs.append(commands)
        return Reply(200, call.bot.commands[place])

    def _get_member(self, call: Call) -> Reply:
        member = self._guild(call).members.get(int(call.found[1]))
        if member is None:
            raise refusal(10007)
        return Reply(200, member.payload())

    def _get_channels(self, call: Call) -> Reply:
        channels = [each for each in self._guild(call).channels.values() if not each.is_thread]
        return Reply(200, [each.payload(call.bot) for each in channels])

    def _edit_channel(self, call: Call) -> Reply:
        channel = self._channel(call)
        if not channel.is_thread or channel.owner is not call.bot:
            raise refusal(50013)
        channel.name = call.body.get("name", channel.name)
        channel.is_archived = call.body.get("archived", channel.is_archived)
        self._world.update_channel(channel)
        return Reply(200, channel.payload(call.bot))

    def _type(self, call: Call) -> Reply:
        self._world.type_in(self._channel(call, Permission.SEND_MESSAGES), call.bot)
        return Reply(204)

    def _start_thread(self, call: Call) -> Reply:
        parent = self._channel(call, Permission.CREATE_PUBLIC_THREADS)
        starter = self._message(call) if len(call.found) > 1 else None
        if starter is not None and starter.thread is not None:
            raise refusal(160004)
        if not 1 <= len(call.body["name"]) <= 100:
            raise invalid_form("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
        kind = PUBLIC_THREAD if starter else call.body.get("type", PRIVATE_THREAD)
        thread = self._world.add_thread(parent, call.body["name"], call.bot, starter, kind)
        return Reply(201, thread.payload(call.bot))

    def _join_thread(self, call: Call) -> Reply:
        self._channel(call)
        return Reply(204)

    def _create(self, call: Call) -> Reply:
        channel = self._channel(call, Permission.SEND_MESSAGES)
        if not all(user.accepts_dms for user in channel.recipients):
            raise refusal(50007)
        if channel.is_archived:
            raise refusal(50083)
        check_message(call.body)
        nonce = str(call.body["nonce"]) if call.body.get("nonce") is not None else None
        if nonce is not None and call.body.get("enforce_nonce"):
            time_s, known = self._nonces.get((call.bot.id, channel.id, nonce), (float("-inf"), None))
            if known is not None and self._world.clock() - time_s < NONCE_MEMORY_S:
                return Reply(200, self._shown(call, known))
        message = self._world.post(
            channel,
            call.bot,
            call.body,
            files=self._files(call, channel),
            reply_to=self._reference(call, channel),
            nonce=nonce,
            flags=call.body.get("flags") or 0,
        )
        if nonce is not None:
            self._nonces[call.bot.id, channel.id, nonce] = self._world.clock(), message
        return Reply(200, self._shown(call, message))

    def _reference(self, call: Call, channel: Channel) -> Message | None:
        reference = call.body.get("message_reference")
        if reference is None:
            return None
        if not channel.can(call.bot, Permission.READ_MESSAGE_HISTORY):
            raise refusal(160002)
        message = channel.messages.get(int(reference["message_id"]))
        if message is None and reference.get("fail_if_not_exists", True):
            raise invalid_form("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
        return message

    def _files(self, call: Call, channel: Channel) -> list[Attachment]:
        if any(len(data) > MAX_FILE_BYTES for _, _, data in call.request.files):
            raise refusal(40005)
        return [self._world.add_file(channel, *each) for each in call.request.files]

    def _edit(self, call: Call) -> Reply:
        message = self._message(call)
        if message.author is not call.bot:
            raise refusal(50005)
        check_message(call.body, is_edit=True)
        if "attachments" in call.body:
            kept = {str(each.get("id")) for each in call.body["attachments"] or []}
            message.attachments = [each for each in message.attachments if str(each.id) in kept]
        message.attachments += self._files(call, message.channel)
        content = (call.body["content"] or "") if "content" in call.body else message.content
        embeds, components = (call.body.get(key, getattr(message, key)) for key in ("embeds", "components"))
        check_emptiness(content, embeds, components, message.attachments)
        self._world.edit(message, call.body, flags=call.body.get("flags"))
        return Reply(200, self._shown(call, message))

    def _delete(self, call: Call) -> Reply:
        message = self._message(call)
        if message.author is not call.bot:
            if message.channel.guild is None:
                raise refusal(50003)
            self._channel(call, Permission.MANAGE_MESSAGES)
        self._world.delete(message)
        return Reply(204)

    def _bulk_delete(self, call: Call) -> Reply:
        channel = self._channel(call, Permission.MANAGE_MESSAGES)
        ids = [int(each) for each in call.body["messages"]]
        if not 2 <= len(ids) <= 100:
            raise invalid_form("messages", "BASE_TYPE_BAD_LENGTH", "Must be between 2 and 100 in length.")
        found = [channel.messages[each] for each in ids if each in channel.messages]
        if found:
            self._world.delete(*found, is_bulk=True)
        return Reply(204)

    def _history(self, call: Call) -> Reply:
        channel, query = self._channel(call), call.request.query
        if not channel.can(call.bot, Permission.READ_MESSAGE_HISTORY):
            return Reply(200, [])
        limit = int(query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise invalid_form("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        before, after = int(query.get("before", 1 << 63)), int(query.get("after", 0))
        found = [each for each in channel.messages.values() if after < each.id < before and not each.is_ephemeral]
        chosen = found[:limit] if "after" in query else found[-limit:]
        return Reply(200, [self._shown(call, message) for message in reversed(chosen)])

    def _react(self, call: Call) -> Reply:
        self._channel(call, Permission.ADD_REACTIONS | Permission.READ_MESSAGE_HISTORY)
        self._world.react(call.bot, self._message(call), call.found[2])
        return Reply(204)

    def _unreact(self, call: Call) -> Reply:
        self._world.unreact(call.bot, self._message(call), call.found[2])
        return Reply(204)

    # Interactions.

    def _callback(self, call: Call) -> Reply:
        interaction_id, token = int(call.found[0]), call.found[1]
        interaction = next((each for each in self._interactions.all if each.token == token), None)
        files = self._files(call, interaction.channel) if interaction else []
        payload = self._interactions.answer(interaction_id, token, call.body, files)
        wants_payload = call.request.query.get("with_response", "").lower() in ("1", "true")
        return Reply(200, payload) if wants_payload else Reply(204)

    def _interaction(self, call: Call) -> Interaction:
        return self._interactions.of_token(int(call.found[0]), call.found[1])

    def _follow_up(self, call: Call) -> Reply:
        interaction = self._interaction(call)
        message = self._interactions.follow_up(interaction, call.body, self._files(call, interaction.channel))
        return Reply(200, message.payload(interaction.bot, has_content=True))

    def _response(self, call: Call) -> tuple[Interaction, Message]:
        interaction = self._interaction(call)
        return interaction, self._interactions.message(interaction, call.found[2])

    def _get_response(self, call: Call) -> Reply:
        interaction, message = self._response(call)
        return Reply(200, message.payload(interaction.bot, has_content=True))

    def _edit_response(self, call: Call) -> Reply:
        interaction, message = self._response(call)
        self._interactions.edit(message, call.body, self._files(call, interaction.channel))
        return Reply(200, message.payload(interaction.bot, has_content=True))

    def _delete_response(self, call: Call) -> Reply:
        _, message = self._response(call)
        self._world.delete(message)
        return Reply(204)

    # What routes name.

    def _user(self, user_id: str) -> User:
        user = self._world.users.get(int(user_id))
        if user is None:
            raise refusal(10013)
        return user

    def _guild(self, call: Call) -> Guild:
        guild = self._world.guilds.get(int(call.found[0]))
        if guild is None or call.bot.id not in guild.members:
            raise refusal(10004)
        return guild

    def _channel(self, call: Call, needed: Permission = Permission.VIEW_CHANNEL) -> Channel:
        """The channel that a route names, in which the bot must have a permission."""
        channel = self._world.channels.get(int(call.found[0]))
        if channel is None:
            raise refusal(10003)
        if not channel.can(call.bot, Permission.VIEW_CHANNEL):
            raise refusal(50001)
        if needed is Permission.SEND_MESSAGES and channel.is_thread:
            needed = Permission.SEND_MESSAGES_IN_THREADS
        if not channel.can(call.bot, needed):
            raise refusal(50013)
        return channel

    def _message(self, call: Call) -> Message:
        message = self._channel(call).messages.get(int(call.found[1]))
        if message is None or message.is_ephemeral:
            raise refusal(10008)
        return message

    def _shown(self, call: Call, message: Message) -> Payload:
        return message.payload(call.bot, has_content=call.bot.has_message_content)
