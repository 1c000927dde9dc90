"""Who and what exists on the Discord stand-in: accounts, guilds, channels, messages, and how each is written as JSON.

Knows nothing of HTTP, sockets or who is allowed what beyond plain permissions: see `discord_world` for what happens
when something changes.
"""

import datetime
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

DISCORD_EPOCH_MS = 1_420_070_400_000
TEXT, DM, PUBLIC_THREAD, PRIVATE_THREAD = 0, 1, 11, 12
"""Kinds of channel, by Discord's numbers."""
REPLY, CHAT_INPUT_COMMAND = 19, 20
"""Kinds of message other than the plain 0."""
IS_EPHEMERAL, IS_LOADING, HAS_V2_COMPONENTS = 1 << 6, 1 << 7, 1 << 15
"""Message flags."""


class Permission(IntFlag):
    """The permissions that the stand-in checks."""

    ADMINISTRATOR = 1 << 3
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38


DEFAULT_PERMISSIONS = (
    Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.CREATE_PUBLIC_THREADS
    | Permission.SEND_MESSAGES_IN_THREADS
)
ALL_PERMISSIONS = Permission(sum(Permission))


class Snowflakes:
    """Ids that grow with time, as Discord's do."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, *, step: int = 1) -> int:
        """A new id; `step=1 << 22` also moves on the id's own clock, on which the shard of a guild depends."""
        now_ms = int(time.time() * 1000) - DISCORD_EPOCH_MS
        self._last = max(self._last + step, now_ms << 22)
        return self._last


def timestamp(time_s: float | None) -> str | None:
    """A wall clock time as Discord writes it."""
    return None if time_s is None else datetime.datetime.fromtimestamp(time_s, datetime.UTC).isoformat()


@dataclass(eq=False, repr=False)
class User:
    """A person, or the account of a bot."""

    id: int
    name: str
    is_bot: bool = False
    accepts_dms: bool = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.name!r}>"

    @property
    def mention(self) -> str:
        """What mentions this user within a text."""
        return f"<@{self.id}>"

    def payload(self) -> dict[str, Any]:
        """The user object."""
        return {
            "id": str(self.id),
            "username": self.name,
            "global_name": None if self.is_bot else self.name.title(),
            "discriminator": "0",
            "avatar": None,
            "bot": self.is_bot,
            "flags": 0,
            "public_flags": 0,
        }


@dataclass(eq=False, repr=False, kw_only=True)
class BotAccount(User):
    """A bot with its token, and with what its owner granted it in Discord's developer portal.

    `commands` holds what it registered: globally under None, for a guild under the guild's id; `syncs` has one entry
    for each bulk overwrite. `recommended_shards` is what /gateway/bot answers.
    """

    token: str
    application_id: int
    has_message_content: bool = False
    has_members: bool = False
    has_presences: bool = False
    recommended_shards: int = 1
    is_bot: bool = True
    is_revoked: bool = False
    commands: dict[int | None, list[dict[str, Any]]] = field(default_factory=dict)
    syncs: list[list[dict[str, Any]]] = field(default_factory=list)

    @property
    def application_flags(self) -> int:
        """The limited intents (of an app below the review threshold) as application flags."""
        return (self.has_presences << 13) | (self.has_members << 15) | (self.has_message_content << 19)

    def application_payload(self, owner: User) -> dict[str, Any]:
        """The application object."""
        return {
            "id": str(self.application_id),
            "name": self.name,
            "icon": None,
            "description": "",
            "bot_public": True,
            "bot_require_code_grant": False,
            "owner": owner.payload(),
            "team": None,
            "verify_key": "0" * 64,
            "flags": self.application_flags,
            "bot": self.payload(),
        }


@dataclass(eq=False)
class Member:
    """A user within a guild. The permissions come from a role of the member's own."""

    user: User
    role_id: int
    permissions: Permission
    nick: str | None = None

    def payload(self, *, with_user: bool = True) -> dict[str, Any]:
        """The member object; the one inside a message leaves out the user."""
        user = {"user": self.user.payload()} if with_user else {}
        return user | {
            "nick": self.nick,
            "roles": [str(self.role_id)],
            "joined_at": "2024-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
            "pending": False,
            "permissions": str(int(self.permissions)),
        }


@dataclass(eq=False, repr=False)
class Guild:
    """A server, with its members and channels by id."""

    id: int
    name: str
    owner: User
    members: dict[int, Member] = field(default_factory=dict)
    channels: dict[int, "Channel"] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Guild {self.id} {self.name!r}>"

    def payload(self) -> dict[str, Any]:
        """The guild object without what only the gateway adds."""
        everyone = _role(self.id, "@everyone", Permission(0))
        own = [_role(member.role_id, member.user.name, member.permissions) for member in self.members.values()]
        return {
            "id": str(self.id),
            "name": self.name,
            "owner_id": str(self.owner.id),
            "roles": [everyone, *own],
            "emojis": [],
            "stickers": [],
            "features": [],
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "system_channel_flags": 0,
        }

    def create_payload(self, viewer: BotAccount) -> dict[str, Any]:
        """GUILD_CREATE for `viewer`. Of the members only the bot itself, as without the members intent."""
        visible = [channel for channel in self.channels.values() if channel.can(viewer, Permission.VIEW_CHANNEL)]
        return self.payload() | {
            "joined_at": "2024-01-01T00:00:00+00:00",
            "large": False,
            "unavailable": False,
            "member_count": len(self.members),
            "members": [self.members[viewer.id].payload()],
            "channels": [channel.payload() for channel in visible if not channel.is_thread],
            "threads": [channel.payload() for channel in visible if channel.is_thread],
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }


def _role(role_id: int, name: str, permissions: Permission) -> dict[str, Any]:
    return {
        "id": str(role_id),
        "name": name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "position": 0,
        "permissions": str(int(permissions)),
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }


@dataclass(eq=False, repr=False)
class Channel:
    """A text channel, a thread or a direct conversation, with its messages by id in the order of their creation.

    `denied` takes permissions from users by id; a thread inherits its parent's.
    """

    id: int
    kind: int
    name: str
    guild: Guild | None = None
    parent: "Channel | None" = None
    owner: User | None = None
    recipients: tuple[User, ...] = ()
    denied: dict[int, Permission] = field(default_factory=dict)
    messages: dict[int, "Message"] = field(default_factory=dict)
    is_archived: bool = False

    def __repr__(self) -> str:
        return f"<Channel {self.id} {self.name!r}>"

    @property
    def is_thread(self) -> bool:
        """Whether this hangs below another channel."""
        return self.parent is not None

    def permissions(self, user: User) -> Permission:
        """What `user` may do here."""
        if self.guild is None:
            return ALL_PERMISSIONS if user in self.recipients else Permission(0)
        member = self.guild.members.get(user.id)
        if member is None:
            return Permission(0)
        if member.permissions & Permission.ADMINISTRATOR or user is self.guild.owner:
            return ALL_PERMISSIONS
        return member.permissions & ~(self.parent or self).denied.get(user.id, Permission(0))

    def can(self, user: User, permission: Permission) -> bool:
        """Whether `user` has all of `permission` here."""
        return permission in self.permissions(user)

    def payload(self, viewer: User | None = None) -> dict[str, Any]:
        """The channel object; a DM shows its viewer the other side as the recipient."""
        last_id = next(reversed(self.messages), None)
        base: dict[str, Any] = {
            "id": str(self.id),
            "type": self.kind,
            "last_message_id": None if last_id is None else str(last_id),
            "flags": 0,
        }
        if self.guild is None:
            return base | {"recipients": [user.payload() for user in self.recipients if user is not viewer]}
        base |= {"guild_id": str(self.guild.id), "name": self.name, "rate_limit_per_user": 0}
        return base | (self._thread_payload() if self.is_thread else self._text_payload())

    def _text_payload(self) -> dict[str, Any]:
        overwrites = [
            {"id": str(user_id), "type": 1, "allow": "0", "deny": str(int(denied))}
            for user_id, denied in self.denied.items()
        ]
        return {"position": 0, "permission_overwrites": overwrites, "nsfw": False, "parent_id": None, "topic": None}

    def _thread_payload(self) -> dict[str, Any]:
        assert self.parent is not None
        assert self.owner is not None
        created = timestamp(((self.id >> 22) + DISCORD_EPOCH_MS) / 1000)
        return {
            "parent_id": str(self.parent.id),
            "owner_id": str(self.owner.id),
            "message_count": len(self.messages),
            "member_count": 1,
            "total_message_sent": len(self.messages),
            "thread_metadata": {
                "archived": self.is_archived,
                "auto_archive_duration": 1440,
                "archive_timestamp": created,
                "locked": False,
                "create_timestamp": created,
            },
        }


@dataclass(frozen=True)
class Attachment:
    """A file that was uploaded with a message."""

    id: int
    filename: str
    content_type: str
    data: bytes
    url: str

    def payload(self) -> dict[str, Any]:
        """The attachment object."""
        return {
            "id": str(self.id),
            "filename": self.filename,
            "content_type": self.content_type,
            "size": len(self.data),
            "url": self.url,
            "proxy_url": self.url,
        }


@dataclass(frozen=True)
class Version:
    """What a message said at one time; `allowed_mentions` is as the client sent it, None where it sent none."""

    time_s: float
    content: str
    embeds: list[dict[str, Any]]
    components: list[dict[str, Any]]
    allowed_mentions: dict[str, Any] | None


@dataclass(eq=False, repr=False)
class Message:
    """A message with all that it ever said. `time_s` of its versions is on the wall clock."""

    id: int
    channel: Channel
    author: User
    versions: list[Version]
    kind: int = 0
    flags: int = 0
    attachments: list[Attachment] = field(default_factory=list)
    reply_to: "Message | None" = None
    forwarded: "Message | None" = None
    mentioned: list[User] = field(default_factory=list)
    mentions_everyone: bool = False
    nonce: str | None = None
    application_id: int | None = None
    interaction: dict[str, Any] | None = None
    reactions: dict[str, list[User]] = field(default_factory=dict)
    thread: Channel | None = None
    is_deleted: bool = False

    def __repr__(self) -> str:
        return f"<Message {self.id} by {self.author.name}: {self.content[:60]!r}>"

    @property
    def content(self) -> str:
        """The newest text."""
        return self.versions[-1].content

    @property
    def contents(self) -> list[str]:
        """All texts, oldest first."""
        return [version.content for version in self.versions]

    @property
    def embeds(self) -> list[dict[str, Any]]:
        """The newest embeds."""
        return self.versions[-1].embeds

    @property
    def components(self) -> list[dict[str, Any]]:
        """The newest components."""
        return self.versions[-1].components

    @property
    def is_ephemeral(self) -> bool:
        """Whether only the user of an interaction sees it."""
        return bool(self.flags & IS_EPHEMERAL)

    @property
    def is_loading(self) -> bool:
        """Whether this is a deferred response that shows "thinking..."."""
        return bool(self.flags & IS_LOADING)

    def custom_ids(self) -> list[str]:
        """The custom ids of all buttons and menus, in order."""
        return [item["custom_id"] for item in walk_components(self.components) if "custom_id" in item]

    def is_readable(self, viewer: User, *, has_content: bool) -> bool:
        """Whether Discord shows `viewer` the content: by intent, in DMs, when mentioned, of its own messages."""
        is_own = self.author is viewer or self.application_id == getattr(viewer, "application_id", 0)
        return has_content or self.channel.guild is None or is_own or viewer in self.mentioned

    def payload(self, viewer: User, *, has_content: bool, with_reference: bool = True) -> dict[str, Any]:
        """The message object as `viewer` gets it over REST."""
        is_readable = self.is_readable(viewer, has_content=has_content)
        payload: dict[str, Any] = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "type": self.kind,
            "author": self.author.payload(),
            "content": self.content if is_readable else "",
            "timestamp": timestamp(self.versions[0].time_s),
            "edited_timestamp": timestamp(self.versions[-1].time_s) if len(self.versions) > 1 else None,
            "tts": False,
            "pinned": False,
            "flags": self.flags,
            "mention_everyone": self.mentions_everyone,
            "mentions": [user.payload() for user in self.mentioned],
            "mention_roles": [],
            "attachments": [attachment.payload() for attachment in self.attachments] if is_readable else [],
            "embeds": self.embeds if is_readable else [],
            "components": self.components if is_readable else [],
        }
        return payload | self._optional_payload(viewer, has_content=has_content, with_reference=with_reference)

    def _optional_payload(self, viewer: User, *, has_content: bool, with_reference: bool) -> dict[str, Any]:
        payload: dict[str, Any] = {}
        if self.forwarded is not None:
            snapshot = self.forwarded.payload(viewer, has_content=has_content, with_reference=False)
            payload["message_reference"] = self._reference(self.forwarded) | {"type": 1}
            payload["message_snapshots"] = [{"message": snapshot}]
        if self.reactions:
            payload["reactions"] = [self._reaction(emoji, users, viewer) for emoji, users in self.reactions.items()]
        if self.nonce is not None:
            payload["nonce"] = self.nonce
        if self.application_id is not None:
            payload["application_id"] = str(self.application_id)
        if self.interaction is not None:
            payload |= {"webhook_id": str(self.application_id), "interaction_metadata": self.interaction}
        if self.thread is not None:
            payload["thread"] = self.thread.payload()
        if self.reply_to is not None:
            payload["message_reference"] = self._reference(self.reply_to)
            if with_reference:
                gone = self.reply_to.is_deleted
                resolved = self.reply_to.payload(viewer, has_content=has_content, with_reference=False)
                payload["referenced_message"] = None if gone else resolved
        return payload

    def _reference(self, target: "Message") -> dict[str, Any]:
        guild = {"guild_id": str(self.channel.guild.id)} if self.channel.guild else {}
        return {"type": 0, "message_id": str(target.id), "channel_id": str(target.channel.id)} | guild

    def _reaction(self, emoji: str, users: Collection[User], viewer: User) -> dict[str, Any]:
        return {
            "emoji": emoji_payload(emoji),
            "count": len(users),
            "count_details": {"burst": 0, "normal": len(users)},
            "me": viewer in users,
            "me_burst": False,
            "burst_colors": [],
        }


def emoji_payload(emoji: str) -> dict[str, Any]:
    """A character, or `name:id` of a guild's own emoji, as an object."""
    name, _, emoji_id = emoji.partition(":")
    return {"id": emoji_id or None, "name": name}


def walk_components(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All components, each before what it holds."""
    for component in components:
        yield component
        yield from walk_components(component.get("components", []))
        for key in ("accessory", "component"):
            if key in component:
                yield from walk_components([component[key]])
