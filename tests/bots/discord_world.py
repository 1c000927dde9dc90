"""What happens on the Discord stand-in: messages are posted, edited and deleted, and each bot that may see it is told.

Both what people do and what bots do over REST ends here. Knows nothing of HTTP: events go to `World.sink`, and what
a client may do is checked before.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from discord_state import (
    DEFAULT_PERMISSIONS,
    DM,
    PUBLIC_THREAD,
    REPLY,
    TEXT,
    Attachment,
    BotAccount,
    Channel,
    Guild,
    Member,
    Message,
    Permission,
    Snowflakes,
    User,
    Version,
    emoji_payload,
)

Payload = dict[str, Any]
Render = Callable[[bool], Payload]
"""Writes an event, given whether the session that gets it may read the content of messages."""
Sink = Callable[[BotAccount, str, Guild | None, Render], None]
T = TypeVar("T")
LOOK_AGAIN_S = 0.05


class Changes:
    """Lets a test wait for something to become true without guessing how long that takes."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Something changed: whoever waits looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], T], timeout_s: float) -> T:
        """What `condition` returned once it was true.

        It is looked at upon each change on the server and, as it may be about the client, every `LOOK_AGAIN_S` too.
        """
        async with asyncio.timeout(timeout_s):
            while not (value := condition()):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), LOOK_AGAIN_S)
        return value


@dataclass(frozen=True)
class Ping:
    """A message of a bot that notified someone: `everyone`, `here`, the ids of users and roles, and `reply`."""

    message: Message
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Typing:
    """A bot showed that it is typing. `time_s` is on the server's clock."""

    time_s: float
    bot: BotAccount
    channel: Channel


class World:
    """All that exists, and the only place that changes it."""

    def __init__(self, changes: Changes, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.ids = Snowflakes()
        self.users: dict[int, User] = {}
        self.bots: list[BotAccount] = []
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.files: dict[int, Attachment] = {}
        self.deleted: list[Message] = []
        self.pings: list[Ping] = []
        self.typings: list[Typing] = []
        self.files_url = ""
        self.sink: Sink = lambda *_: None
        self._changes = changes
        self.owner = self.add_user("owner")

    def add_user(self, name: str) -> User:
        """A new person."""
        user = User(self.ids.next(), name)
        self.users[user.id] = user
        return user

    def add_bot(self, token: str, name: str, **granted: Any) -> BotAccount:
        """A new bot."""
        bot = BotAccount(self.ids.next(), name, token=token, application_id=self.ids.next(), **granted)
        self.users[bot.id] = bot
        self.bots.append(bot)
        return bot

    def bot_of(self, token: str) -> BotAccount | None:
        """The bot with that token, if it is still good."""
        return next((bot for bot in self.bots if bot.token == token and not bot.is_revoked), None)

    def add_guild(self, name: str, members: Iterable[User]) -> Guild:
        """A new guild, which the next one follows on the next shard."""
        guild = Guild(self.ids.next(step=1 << 22), name, self.owner)
        self.guilds[guild.id] = guild
        for user in [self.owner, *members]:
            self.add_member(guild, user, DEFAULT_PERMISSIONS)
        return guild

    def add_member(self, guild: Guild, user: User, permissions: Permission) -> Member:
        """Let `user` into the guild, or give it other permissions there."""
        known = guild.members.get(user.id)
        member = Member(user, known.role_id if known else self.ids.next(), permissions)
        guild.members[user.id] = member
        if isinstance(user, BotAccount):
            self.sink(user, "GUILD_CREATE", guild, lambda _: guild.create_payload(user))
        self._changes.notify()
        return member

    def add_channel(self, guild: Guild, name: str, denied: dict[User, Permission]) -> Channel:
        """A new text channel."""
        ids = {user.id: permissions for user, permissions in denied.items()}
        channel = Channel(self.ids.next(), TEXT, name, guild, denied=ids)
        self._install(channel)
        self.tell(channel, "CHANNEL_CREATE", lambda bot, _: channel.payload(bot))
        return channel

    def add_thread(self, parent: Channel, name: str, owner: User, starter: Message | None, kind: int) -> Channel:
        """A new thread; one that starts from a message has that message's id."""
        thread_id = starter.id if starter else self.ids.next()
        thread = Channel(thread_id, kind, name, parent.guild, parent, owner)
        self._install(thread)
        if starter is not None:
            starter.thread = thread
        self.tell(thread, "THREAD_CREATE", lambda bot, _: thread.payload(bot) | {"newly_created": True})
        return thread

    def update_channel(self, channel: Channel) -> None:
        """Tell the bots that a channel is not what it was."""
        event = "THREAD_UPDATE" if channel.kind >= PUBLIC_THREAD else "CHANNEL_UPDATE"
        self.tell(channel, event, lambda bot, _: channel.payload(bot))

    def open_dm(self, user: User, bot: BotAccount) -> Channel:
        """The one direct conversation of these two."""
        for channel in self.channels.values():
            if channel.kind == DM and set(channel.recipients) == {user, bot}:
                return channel
        channel = Channel(self.ids.next(), DM, "", recipients=(user, bot))
        self._install(channel)
        return channel

    def _install(self, channel: Channel) -> None:
        self.channels[channel.id] = channel
        if channel.guild is not None:
            channel.guild.channels[channel.id] = channel
        self._changes.notify()

    def tell(self, channel: Channel, event: str, render: Callable[[BotAccount, bool], Payload]) -> None:
        """Send an event to every bot that sees the channel."""
        for bot in self.bots:
            if channel.can(bot, Permission.VIEW_CHANNEL):
                self.sink(bot, event, channel.guild, partial(render, bot))
        self._changes.notify()

    def add_file(self, channel: Channel, filename: str, content_type: str, data: bytes) -> Attachment:
        """An uploaded file, which can be downloaded from now on."""
        file_id = self.ids.next()
        url = f"{self.files_url}/{channel.id}/{file_id}/{filename}"
        self.files[file_id] = Attachment(file_id, filename, content_type, data, url)
        return self.files[file_id]

    def post(
        self,
        channel: Channel,
        author: User,
        body: Payload,
        *,
        files: Iterable[Attachment] = (),
        reply_to: Message | None = None,
        **details: Any,
    ) -> Message:
        """A new message, as the body of a request describes it; `details` are further fields of the `Message`."""
        message = Message(self.ids.next(), channel, author, [version_of(body)], attachments=list(files), **details)
        message.reply_to = reply_to
        if reply_to is not None:
            message.kind = REPLY
        self.note_pings(message)
        channel.messages[message.id] = message
        self.announce(message)
        return message

    def note_pings(self, message: Message) -> None:
        """Work out whom a new message mentions, and note whom a bot's message notifies."""
        targets = mention_targets(message)
        self._settle_mentions(message, targets)
        if message.author.is_bot and targets:
            self.pings.append(Ping(message, targets))

    def _settle_mentions(self, message: Message, targets: Iterable[str]) -> None:
        ids = {int(target) for target in targets if target.isdecimal()}
        message.mentioned = [user for user in self.users.values() if user.id in ids]
        if "reply" in targets and message.reply_to is not None and message.reply_to.author not in message.mentioned:
            message.mentioned.append(message.reply_to.author)
        message.mentions_everyone = not {"everyone", "here"}.isdisjoint(targets)

    def announce(self, message: Message) -> None:
        """Send MESSAGE_CREATE; again, where Discord sends an event twice."""
        if not message.is_ephemeral:
            self.tell(message.channel, "MESSAGE_CREATE", lambda bot, content: self._event(message, bot, content))
        self._changes.notify()

    def edit(self, message: Message, body: Payload, *, flags: int | None = None) -> None:
        """Give a message a new version; what `body` does not name stays. An edit mentions, but notifies nobody."""
        message.versions.append(version_of(body, message.versions[-1]))
        was_reply_mentioned = message.reply_to is not None and message.reply_to.author in message.mentioned
        targets = {each for each in mention_targets(message) if each != "reply"}
        self._settle_mentions(message, targets | ({"reply"} if was_reply_mentioned else set()))
        if flags is not None:
            message.flags = flags
        if not message.is_ephemeral:
            self.tell(message.channel, "MESSAGE_UPDATE", lambda bot, content: self._event(message, bot, content))
        self._changes.notify()

    def delete(self, *messages: Message, is_bulk: bool = False) -> None:
        """Take messages of one channel away."""
        for message in messages:
            message.is_deleted = True
            message.channel.messages.pop(message.id, None)
            self.deleted.append(message)
        channel = messages[0].channel
        place = _place(channel)
        if is_bulk:
            ids = [str(message.id) for message in messages]
            self.tell(channel, "MESSAGE_DELETE_BULK", lambda *_: place | {"ids": ids})
        else:
            for message in messages:
                self.tell(channel, "MESSAGE_DELETE", lambda *_, message=message: place | {"id": str(message.id)})

    def react(self, user: User, message: Message, emoji: str) -> None:
        """Put a reaction below a message, once per user."""
        users = message.reactions.setdefault(emoji, [])
        if user not in users:
            users.append(user)
            self._tell_reaction("MESSAGE_REACTION_ADD", user, message, emoji)

    def unreact(self, user: User, message: Message, emoji: str) -> None:
        """Take a user's reaction away again."""
        users = message.reactions.get(emoji, [])
        if user in users:
            users.remove(user)
            if not users:
                del message.reactions[emoji]
            self._tell_reaction("MESSAGE_REACTION_REMOVE", user, message, emoji)

    def type_in(self, channel: Channel, bot: BotAccount) -> None:
        """Note that a bot shows that it is typing."""
        self.typings.append(Typing(self.clock(), bot, channel))
        self._changes.notify()

    def _tell_reaction(self, event: str, user: User, message: Message, emoji: str) -> None:
        payload = _place(message.channel) | {
            "user_id": str(user.id),
            "message_id": str(message.id),
            "message_author_id": str(message.author.id),
            "emoji": emoji_payload(emoji),
            "burst": False,
            "type": 0,
        }
        guild = message.channel.guild
        if guild is not None and user.id in guild.members and event.endswith("ADD"):
            payload["member"] = guild.members[user.id].payload()
        self.tell(message.channel, event, lambda *_: payload)

    def _event(self, message: Message, bot: BotAccount, has_content: bool) -> Payload:
        """The message object as the gateway sends it: with the guild, and the author as a member of it."""
        payload = message.payload(bot, has_content=has_content)
        guild = message.channel.guild
        if guild is not None:
            payload["guild_id"] = str(guild.id)
            if message.author.id in guild.members:
                payload["member"] = guild.members[message.author.id].payload(with_user=False)
            for mention in payload["mentions"]:
                if member := guild.members.get(int(mention["id"])):
                    mention["member"] = member.payload(with_user=False)
        return payload


def version_of(body: Payload, before: Version | None = None) -> Version:
    """What a request's body makes of a message that said `before`."""
    old = before or Version(0.0, "", [], [], None)
    return Version(
        time.time(),
        (body["content"] or "") if "content" in body else old.content,
        (body["embeds"] or []) if "embeds" in body else old.embeds,
        (body["components"] or []) if "components" in body else old.components,
        body.get("allowed_mentions"),
    )


def mention_targets(message: Message) -> tuple[str, ...]:
    """Whom a message notifies: ids of users and roles, "everyone", "here" and "reply".

    A message without `allowed_mentions` notifies all that it names.
    """
    content, allowed = message.content, message.versions[-1].allowed_mentions
    kinds = {"users", "roles", "everyone"} if allowed is None else set(allowed.get("parse") or [])
    named = {"users": re.findall(r"<@!?(\d+)>", content), "roles": re.findall(r"<@&(\d+)>", content)}
    targets: list[str] = []
    for kind, ids in named.items():
        explicit = {str(each) for each in (allowed or {}).get(kind) or []}
        targets += [each for each in ids if kind in kinds or each in explicit]
    if "everyone" in kinds:
        targets += re.findall(r"@(everyone|here)\b", content)
    if message.reply_to is not None and (allowed is None or allowed.get("replied_user", False)):
        targets.append("reply")
    return tuple(dict.fromkeys(targets))


def _place(channel: Channel) -> Payload:
    guild = {"guild_id": str(channel.guild.id)} if channel.guild else {}
    return {"channel_id": str(channel.id)} | guild
