"""The world behind the stand-in for Telegram: people, chats, messages, and who is told what.

Plain synchronous code over plain data: people act by calling `World`, and what bots would hear of it lands in
their accounts' queues. Knows nothing of HTTP, of API methods and of limits.
"""

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import telegram_text as text_rules
from telegram_accounts import Account, Json, Update, User

SERVICE_FIELDS = frozenset(
    [
        "new_chat_members",
        "left_chat_member",
        "forum_topic_created",
        "forum_topic_closed",
        "forum_topic_reopened",
        "migrate_to_chat_id",
        "migrate_from_chat_id",
        "pinned_message",
        "new_chat_title",
        "group_chat_created",
    ]
)


@dataclass(eq=False)
class Chat:
    """A private chat between one person and one bot, a group or a supergroup."""

    id: int
    kind: str
    title: str = ""
    is_forum: bool = False
    person: User | None = None  # in a private chat
    members: dict[int, str] = field(default_factory=dict)  # user id to status
    topics: dict[int, str] = field(default_factory=dict)
    messages: list["Message"] = field(default_factory=list)
    upgraded_to: "Chat | None" = None
    is_blocked: bool = False

    @property
    def is_private(self) -> bool:
        return self.kind == "private"

    def is_admin(self, user_id: int) -> bool:
        """Whether the user is an administrator or the owner."""
        return self.members.get(user_id) in ("administrator", "creator")

    def message(self, message_id: int | None) -> "Message | None":
        """The message of that number, if it is still there."""
        if message_id is None or not 0 < message_id <= len(self.messages):
            return None
        message = self.messages[message_id - 1]
        return None if message.is_deleted else message

    def to_api(self) -> Json:
        """The Chat object."""
        if self.person is not None:
            told = {"id": self.id, "type": "private", "first_name": self.person.name}
            return told | ({"username": self.person.username} if self.person.username else {})
        return {"id": self.id, "type": self.kind, "title": self.title} | ({"is_forum": True} if self.is_forum else {})


@dataclass(frozen=True)
class Version:
    """What a message said at one time."""

    text: str
    entities: list[Json]
    markup: Json | None
    time_s: float


@dataclass(eq=False)
class Message:
    """A message with all that it ever said; `text`, `entities` and `markup` are the newest."""

    chat: Chat
    id: int
    sender: User
    versions: list[Version]
    reply_to: "Message | None" = None
    thread_id: int | None = None
    is_topic: bool = False
    extra: Json = field(default_factory=dict)  # documents, photos, service fields as the API writes them
    params: Json = field(default_factory=dict)  # of the request, for a bot's message
    date: int = field(default_factory=lambda: int(time.time()))
    is_deleted: bool = False
    reactions: dict[int, list[Json]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.versions[-1].text

    @property
    def texts(self) -> list[str]:
        """What it said, version by version."""
        return [version.text for version in self.versions]

    @property
    def entities(self) -> list[Json]:
        return self.versions[-1].entities

    @property
    def markup(self) -> Json | None:
        return self.versions[-1].markup

    @property
    def buttons(self) -> list[str]:
        """Callback data of the inline keyboard, row by row."""
        rows = (self.markup or {}).get("inline_keyboard", [])
        return [button["callback_data"] for row in rows for button in row if "callback_data" in button]

    def to_api(self, *, is_quoted: bool = False) -> Json:
        """The Message object; a quoted one holds no quote of its own."""
        told: Json = {"message_id": self.id, "from": self.sender.to_api(), "chat": self.chat.to_api()}
        told |= {"date": self.date, **self.extra}
        if self.text:
            prefix = "caption_" if {"document", "photo"} & self.extra.keys() else ""
            told["caption" if prefix else "text"] = self.text
            if self.entities:
                told[f"{prefix}entities"] = self.entities
        if self.markup and "inline_keyboard" in self.markup:
            told["reply_markup"] = self.markup
        if len(self.versions) > 1:
            told["edit_date"] = int(self.versions[-1].time_s)
        if self.thread_id is not None:
            told["message_thread_id"] = self.thread_id
        if self.is_topic:
            told["is_topic_message"] = True
        if self.reply_to is not None and not is_quoted:
            told["reply_to_message"] = self.reply_to.to_api(is_quoted=True)
        return told


@dataclass(frozen=True)
class StoredFile:
    """A file that was sent."""

    id: str
    name: str
    data: bytes

    @property
    def path(self) -> str:
        return f"documents/{self.id}_{self.name}"


class World:
    """Who and what there is, and people's actions in it."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.accounts: dict[str, Account] = {}
        self.private: dict[tuple[int, int], Chat] = {}  # (bot id, user id)
        self.groups: dict[int, Chat] = {}
        self.users: dict[int, User] = {}
        self.files: dict[str, StoredFile] = {}
        self.queries: dict[str, tuple[int, float]] = {}  # callback query id to bot id and wall time
        self.privacy_passes_mentions = True
        self._changed = on_change
        # Above 2**32: ids do not fit 32 bits on the real platform either.
        self._user_ids, self._group_ids = itertools.count(5_000_000_001), itertools.count(4_000_001)
        self._supergroup_ids, self._numbers = itertools.count(1_002_000_000_001), itertools.count(1)

    # -- who there is

    def add_bot(self, token: str, username: str, *, can_read_all_group_messages: bool = False) -> Account:
        """Register an account as BotFather does."""
        user = User(int(token.partition(":")[0]), username, username, is_bot=True)
        self.users[user.id] = user
        self.accounts[token] = Account(token, user, can_read_all_group_messages)
        return self.accounts[token]

    def add_user(self, name: str, username: str | None = None) -> User:
        """A person."""
        user = User(next(self._user_ids), name, username)
        self.users[user.id] = user
        return user

    def private_chat(self, user: User, bot: Account) -> Chat:
        """The chat between the two, started by the person."""
        return self.private.setdefault((bot.id, user.id), Chat(user.id, "private", person=user))

    def add_group(self, title: str, *members: User | Account) -> Chat:
        """A basic group, which may be upgraded."""
        return self._new_group(-next(self._group_ids), "group", title, members)

    def add_supergroup(self, title: str, *members: User | Account, is_forum: bool = False) -> Chat:
        """A supergroup, with topics when it is a forum."""
        chat = self._new_group(-next(self._supergroup_ids), "supergroup", title, members)
        chat.is_forum = is_forum
        return chat

    def add_topic(self, chat: Chat, name: str, by: User | None = None) -> int:
        """Open a topic in a forum; returns its thread id, which is the id of its opening message."""
        opened = {"forum_topic_created": {"name": name, "icon_color": 7322096}}
        message = self.post(chat, by or self._somebody(chat), extra=opened)
        message.thread_id, message.is_topic = message.id, True
        chat.topics[message.id] = name
        self._announce(message)
        return message.id

    def add_member(
        self, chat: Chat, who: User | Account, status: str = "member", *, is_announced: bool = False
    ) -> None:
        """Let someone in, or change the status ("administrator", "creator", "left", "kicked")."""
        old = chat.members.get(who.id, "left")
        chat.members[who.id] = status
        user = self.users[who.id]
        if is_announced:
            if isinstance(who, Account):
                self._tell_my_status(who, chat, old, status)
            if (field_name := _membership_field(old, status)) is not None:
                entry: Any = [user.to_api()] if field_name == "new_chat_members" else user.to_api()
                self._announce(self.post(chat, self._somebody(chat), extra={field_name: entry}))

    def promote(self, chat: Chat, who: User | Account) -> None:
        """Make someone an administrator."""
        self.add_member(chat, who, "administrator")

    def upgrade(self, group: Chat) -> Chat:
        """Turn a basic group into a supergroup: a new id, and a service message in either."""
        new = self.add_supergroup(group.title)
        new.members = dict(group.members)
        group.upgraded_to = new
        self._announce(self.post(group, self._somebody(group), extra={"migrate_to_chat_id": new.id}))
        self._announce(self.post(new, self._somebody(group), extra={"migrate_from_chat_id": group.id}))
        return new

    # -- what people do

    def say(
        self,
        user: User,
        chat: Chat,
        text: str = "",
        *,
        reply_to: Message | None = None,
        topic: int | None = None,
        entities: list[Json] | None = None,
        document: tuple[str, str, bytes] | None = None,
        photo: bool = False,
        caption: str | None = None,
        extra: Json | None = None,
    ) -> Message:
        """Have a person write; `extra` adds fields of the Message object that have no argument here."""
        content = {**self._media(document, photo), **(extra or {})}
        said = text or caption or ""
        shown, found = text_rules.finish(said, entities or [])
        message = self.post(chat, user, shown, found, reply_to=reply_to, thread_id=topic, extra=content)
        self._announce(message)
        return message

    def edit(self, message: Message, text: str, entities: list[Json] | None = None) -> None:
        """Have a person change what they wrote."""
        shown, found = text_rules.finish(text, entities or [])
        message.versions.append(Version(shown, found, None, time.time()))
        for bot in self._who_sees(message):
            bot.tell({"edited_message": message.to_api()})
        self._changed()

    def delete(self, message: Message) -> None:
        """Have a person delete a message: bots are not told."""
        message.is_deleted = True
        self._changed()

    def press(self, user: User, message: Message, callback_data: str) -> str:
        """Have a person press a button of a bot's message; returns the query's id."""
        bot = self._account(message.sender.id)
        number = str(4_000_000_000_000_000_000 + next(self._numbers))
        self.queries[number] = (bot.id, time.time())
        pressed = {"id": number, "from": user.to_api(), "message": message.to_api()}
        bot.tell({"callback_query": {**pressed, "chat_instance": str(message.chat.id), "data": callback_data}})
        self._changed()
        return number

    def react(self, user: User, message: Message, emoji: str | None) -> None:
        """Have a person react; only bots that asked and are administrators hear of it, so never in private."""
        old = message.reactions.get(user.id, [])
        message.reactions[user.id] = [{"type": "emoji", "emoji": emoji}] if emoji else []
        told = {"chat": message.chat.to_api(), "message_id": message.id, "user": user.to_api()}
        told |= {"date": int(time.time()), "old_reaction": old, "new_reaction": message.reactions[user.id]}
        for bot in self._bots_in(message.chat):
            if message.chat.is_admin(bot.id):
                bot.tell({"message_reaction": told})
        self._changed()

    def block(self, user: User, bot: Account, *, is_blocked: bool = True) -> None:
        """Have a person block the bot, or let it write again."""
        chat = self.private_chat(user, bot)
        chat.is_blocked = is_blocked
        self._tell_my_status(bot, chat, *(("member", "kicked") if is_blocked else ("kicked", "member")))
        self._changed()

    # -- what happens to updates on their way

    def updates(self, bot: Account) -> list[Json]:
        """All updates that were ever made for the bot, as it would read them."""
        return [update.to_api() for update in bot.made]

    def redeliver(self, bot: Account, update_id: int) -> None:
        """Send an update once more, whether it was confirmed or not."""
        original = next(update for update in bot.made if update.id == update_id)
        bot.pending.append(Update(original.id, original.payload, is_forced=True))
        self._changed()

    def hold_updates(self, bot: Account) -> None:
        """Keep back the updates made from now on."""
        bot.held = []

    def release_updates(self, bot: Account, *, is_reversed: bool = False) -> None:
        """Let go what was kept back: late, and out of order if other updates went first or it is reversed."""
        late, bot.held = bot.held or [], None
        for update in reversed(late) if is_reversed else late:
            # A reader that confirms by the highest id it saw would never be given these again.
            bot.pending.append(Update(update.id, update.payload, is_forced=True))
        self._changed()

    def lose_updates(self, bot: Account, count: int = 1) -> None:
        """Let the next updates never arrive."""
        bot.num_to_lose += count

    # -- what the API's methods and the actions above are made of

    def chat_for(self, bot: Account, chat_id: int) -> Chat | None:
        """The chat that an id means to a bot."""
        return self.private.get((bot.id, chat_id)) or self.groups.get(chat_id)

    def post(
        self,
        chat: Chat,
        sender: User,
        text: str = "",
        entities: list[Json] | None = None,
        *,
        markup: Json | None = None,
        reply_to: Message | None = None,
        thread_id: int | None = None,
        extra: Json | None = None,
        params: Json | None = None,
    ) -> Message:
        """Put a message into a chat, with the thread fields that Telegram fills in; tells nobody."""
        if thread_id is None and reply_to is not None and reply_to.is_topic:
            thread_id = reply_to.thread_id
        is_topic = thread_id in chat.topics
        if reply_to is None and is_topic:
            reply_to = chat.message(thread_id)  # every message of a topic says it replies to the opening one
        elif reply_to is not None and chat.kind == "supergroup" and not chat.is_forum:
            thread_id = reply_to.thread_id or reply_to.id  # a chain of replies has a thread id that is no topic
        version = Version(text, entities or [], markup, time.time())
        number = len(chat.messages) + 1
        message = Message(chat, number, sender, [version], reply_to, thread_id, is_topic, extra or {}, params or {})
        chat.messages.append(message)
        self._changed()
        return message

    def store(self, name: str, data: bytes) -> StoredFile:
        """Keep a file for getFile."""
        number = next(self._numbers)
        stored = StoredFile(f"BQAC{number:08d}", name, data)
        self.files[stored.id] = stored
        return stored

    def _media(self, document: tuple[str, str, bytes] | None, photo: bool) -> Json:
        if document is not None:
            name, mime, data = document
            return {"document": {**self.file_fields(self.store(name, data)), "file_name": name, "mime_type": mime}}
        if photo:
            sizes = [(90, b"small"), (1280, b"large" * 20)]
            stored = [(side, self.store(f"photo_{side}.jpg", data)) for side, data in sizes]
            return {"photo": [{**self.file_fields(file), "width": side, "height": side} for side, file in stored]}
        return {}

    def file_fields(self, stored: StoredFile) -> Json:
        """The fields that all file objects share."""
        unique = hashlib.sha256(stored.data).hexdigest()[:12]
        return {"file_id": stored.id, "file_unique_id": unique, "file_size": len(stored.data)}

    def _announce(self, message: Message) -> None:
        for bot in self._who_sees(message):
            bot.tell({"message": message.to_api()})
        self._changed()

    def _who_sees(self, message: Message) -> list[Account]:
        return [bot for bot in self._bots_in(message.chat) if self._sees(bot, message)]

    def _sees(self, bot: Account, message: Message) -> bool:
        chat = message.chat
        if message.sender.id == bot.id or (message.sender.is_bot and not chat.is_private):
            return False  # bots never hear each other
        if chat.is_private or SERVICE_FIELDS & message.extra.keys() or bot.can_read_all or chat.is_admin(bot.id):
            return True
        if message.reply_to is not None and message.reply_to.sender.id == bot.id:
            return True
        return any(self._is_meant(bot, message.text, entity) for entity in message.entities)

    def _is_meant(self, bot: Account, text: str, entity: Json) -> bool:
        part = text_rules.utf16_slice(text, entity["offset"], entity["length"])
        name, _, addressee = part.partition("@")
        is_me = addressee.lower() == bot.username.lower()
        if entity["type"] == "bot_command":
            return is_me or (not addressee and entity["offset"] == 0)
        return entity["type"] == "mention" and not name and is_me and self.privacy_passes_mentions

    def _bots_in(self, chat: Chat) -> list[Account]:
        if chat.is_private:
            return [bot for bot in self.accounts.values() if self.private.get((bot.id, chat.id)) is chat]
        return [bot for bot in self.accounts.values() if chat.members.get(bot.id, "left") not in ("left", "kicked")]

    def _tell_my_status(self, bot: Account, chat: Chat, old: str, new: str) -> None:
        def member(status: str) -> Json:
            return {"user": bot.user.to_api(), "status": status} | ({"until_date": 0} if status == "kicked" else {})

        by = chat.person or self._somebody(chat)
        told = {"chat": chat.to_api(), "from": by.to_api(), "date": int(time.time())}
        if "administrator" not in (old, new):
            bot.tell({"my_chat_member": {**told, "old_chat_member": member(old), "new_chat_member": member(new)}})

    def _account(self, bot_id: int) -> Account:
        return next(bot for bot in self.accounts.values() if bot.id == bot_id)

    def _somebody(self, chat: Chat) -> User:
        people = (self.users[user_id] for user_id in chat.members if not self.users[user_id].is_bot)
        return next(people, None) or User(1087968824, "Group", "GroupAnonymousBot", is_bot=False)

    def _new_group(self, number: int, kind: str, title: str, members: tuple[User | Account, ...]) -> Chat:
        chat = self.groups[number] = Chat(number, kind, title, members={who.id: "member" for who in members})
        self._changed()
        return chat


def _membership_field(old: str, new: str) -> str | None:
    was_in, is_in = (status not in ("left", "kicked") for status in (old, new))
    if was_in == is_in:
        return None
    return "new_chat_members" if is_in else "left_chat_member"


def admin_json(chat: Chat, users: dict[int, User]) -> list[Json]:
    """The ChatMember objects of a chat's administrators."""
    return [member_json(chat, users[user_id]) for user_id in chat.members if chat.is_admin(user_id)]


def member_json(chat: Chat, user: User) -> Json:
    """The ChatMember object of one user."""
    status = chat.members.get(user.id, "left")
    told: Json = {"user": user.to_api(), "status": status}
    if status == "creator":
        return told | {"is_anonymous": False}
    if status == "kicked":
        return told | {"until_date": 0}
    return told | (_ADMIN_RIGHTS if status == "administrator" else {})


_ADMIN_RIGHTS = dict.fromkeys(
    [
        "can_be_edited",
        "is_anonymous",
        "can_manage_chat",
        "can_delete_messages",
        "can_manage_video_chats",
        "can_restrict_members",
        "can_promote_members",
        "can_change_info",
        "can_invite_users",
        "can_post_stories",
        "can_edit_stories",
        "can_delete_stories",
    ],
    False,
)
