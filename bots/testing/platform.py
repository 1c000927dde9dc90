"""A chat platform in memory: people who say and press things, and chats in which one sees what the bot shows.

It is strict where real platforms are: in how long a text may be, how often it may be called, and what is still there.
Knows nothing of any bot: whatever takes a `bots.adapter.Adapter` takes a `FakePlatform`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Self

from bots.adapter import Caps, Pace
from bots.commands import Command
from bots.errors import (
    AdapterClosedError,
    MessageGoneError,
    MessageTooLongError,
    RateLimitedError,
    UnsupportedError,
)
from bots.message import (
    Addressed,
    Attachment,
    Button,
    ButtonPressed,
    ChatRef,
    Event,
    Message,
    MessageEdited,
    MessageId,
    MessagesDeleted,
    Quote,
    Reacted,
    Segment,
    Text,
    User,
)
from bots.testing.clock import VirtualClock
from bots.testing.limits import Limits
from bots.testing.profiles import Profile, unlimited

CHAT = ChatRef("memory", "bot", "room")
OTHER_CHAT = ChatRef("memory", "bot", "other room")
ANN, BOB = User("memory", "1", "Ann"), User("memory", "2", "Bob")

KINDS = ("typing", "draft", "send", "edit", "delete", "notice", "hand_over")
"""The calls that show something."""

REAL_LIMIT_S = 20.0

_IN_ORDER = frozenset({"draft", "send", "edit", "delete"})
"""The calls of an answer: nobody knows in which order two of them arrive that are made at once."""

_NUMBERS = count(1)  # ids go on in the next platform, as they do on a real one after a restart of the bot


@dataclass
class Posted:
    """A message of the bot.

    Attributes:
        posted_s: When it was posted, by the platform's clock.
        is_deleted: Whether nobody sees it any more.
    """

    id: MessageId
    chat: ChatRef
    text: str
    buttons: tuple[Button, ...] = ()
    reply_to: MessageId | None = None
    nonce: str = ""
    posted_s: float = 0.0
    is_deleted: bool = False


@dataclass(frozen=True)
class Handed:
    """A file that the bot gave to the person who wrote `reply_to`."""

    chat: ChatRef
    name: str
    data: bytes
    reply_to: MessageId


class FakePlatform:
    """One account on a platform in memory, and everyone whom it talks with: an `Adapter` for tests.

    It may be entered again after it was left, as by a bot that was started anew; the chats are as they were then.
    Leaving the context fails the test if the bot did what a bot must never do: show an empty text, change a
    message of another chat, or make two calls of an answer to one chat at the same time.

    Attributes:
        profile: What the platform offers and allows.
        platform: Its name: the `platform` of all chats and people.
        account: The bot's own user id.
        clock: The time by which limits and lifetimes run. Let the bot wait by it, too, if there are any.
        chat: Where things are said unless another chat is named. It is as private as what is said there.
        ann, bob: Two people; `person` gives more.
        shown: All that was ever shown, as (kind, chat, text), in order; the kinds are those of `KINDS`.
        posted: The messages that the bot has sent, deleted ones included, in order.
        notices: The same of what is no part of a conversation: what commands say, or what went wrong.
        refused: The calls over a limit, as (kind, chat, seconds to wait).
        violations: What a bot must never do, in words.
        faults: Put an exception into the queue of a kind, and the next call of that kind raises it and does nothing
            else. There is one kind more, "lost": the message is posted, and then `send` raises all the same.
        draft_gate: Clear it, and drafts hang on their way until it is set.
        num_drafts_under_way: How many hang.
        latency_s: How long each call is on its way, in seconds of `clock`.
        settled_messages: The messages that the bot is done with, in order.
        told: What people were told about the buttons that they pressed; an empty text where the bot said nothing.
        files: What files hold that people attach, by locator; see `attach`.
        handed: The files that the bot handed over.
        menu: The commands in the platform's menu.
        num_menu_changes: How often that has changed.
        moderators: Who may change what the bot does in chats of several people.
        num_readers: How often `events` was called.
    """

    def __init__(
        self, profile: Profile | Caps | None = None, *, clock: VirtualClock | None = None, account: str = "bot"
    ) -> None:
        """Make a platform; by default one without limits.

        Args:
            profile: What it offers and allows, for instance `telegram()`; plain `Caps` stand for `unlimited(caps)`.
            clock: Its time; by default one of its own.
            account: The bot's own user id there.
        """
        self.profile = profile if isinstance(profile, Profile) else unlimited(profile)
        self.clock = clock or VirtualClock()
        self.platform, self.account = self.profile.platform, account
        self.chat = ChatRef(self.platform, account, "room")
        self._people: dict[str, User] = {}
        self.ann, self.bob = self.person("Ann"), self.person("Bob")
        self.shown: list[tuple[str, ChatRef, str]] = []
        self.posted: list[Posted] = []
        self.notices: list[Posted] = []
        self.refused: list[tuple[str, ChatRef, float]] = []
        self.violations: list[str] = []
        self.faults: dict[str, deque[Exception]] = {kind: deque() for kind in (*KINDS, "lost")}
        self.draft_gate = asyncio.Event()
        self.draft_gate.set()
        self.num_drafts_under_way = 0
        self.latency_s = 0.0
        self.settled_messages: list[Message] = []
        self.told: list[tuple[User, str]] = []
        self.files: dict[str, bytes] = {}
        self.handed: list[Handed] = []
        self.menu: tuple[Command, ...] = ()
        self.num_menu_changes = 0
        self.moderators: set[User] = set()
        self.num_readers = 0
        self._drafts: dict[ChatRef, tuple[str, float]] = {}
        self._owners: dict[ChatRef, User] = {}
        self._groups: set[ChatRef] = set()
        self._under_way: dict[ChatRef, str] = {}
        self._untold: dict[str, ButtonPressed] = {}
        self._limits = Limits(self.profile, self.clock.clock)
        self._incoming: asyncio.Queue[Event | None] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        if self._is_closed:
            ended, self._incoming = self._incoming, asyncio.Queue()
            while not ended.empty():
                if (event := ended.get_nowait()) is not None:
                    self._incoming.put_nowait(event)
            self._is_closed = False
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._is_closed = True
        self._incoming.put_nowait(None)
        if self.violations and not any(exc_info):
            raise AssertionError("the bot did what none must do: " + "; ".join(self.violations))

    # Who is there, and where.

    def person(self, name: str) -> User:
        """The person of that name, the same each time."""
        return self._people.setdefault(name, User(self.platform, str(len(self._people) + 1), name))

    def private_chat(self, person: User) -> ChatRef:
        """Where nobody but `person` and the bot is."""
        chat = ChatRef(self.platform, self.account, f"private {person.id}")
        self._owners[chat] = person
        return chat

    def group(self, name: str = "group", thread: str | None = None) -> ChatRef:
        """A chat of several people, or a thread in it."""
        chat = ChatRef(self.platform, self.account, name, thread)
        self._groups.add(chat.parent)
        return chat

    # What people do.

    def say(
        self,
        text: str,
        chat: ChatRef | None = None,
        addressed: frozenset[Addressed] | None = None,
        author: User | None = None,
        *,
        segments: Sequence[Segment] | None = None,
        attachments: Sequence[Attachment] = (),
        quote: Quote | None = None,
    ) -> Message:
        """Have someone write a message.

        Args:
            text: What it says; a command is typed, `/name argument`.
            chat: Where; by default in `self.chat`.
            addressed: Why it counts as said to the bot; an empty set if it was not. By default it is said to the
                bot as people do that: in a group by mentioning it or by a command, elsewhere in private.
            author: Who; by default Ann, or the person whose private chat it is.
            segments: What it says if that is more than text; `text` is not used then.
            attachments: Files behind the text; `attach` makes them.
            quote: The message that it answers.

        Returns:
            The message as the bot gets it.
        """
        chat = chat or self.chat
        if addressed is None:
            in_group = Addressed.COMMAND if text.startswith("/") else Addressed.MENTION
            addressed = frozenset({in_group if self._is_group(chat) else Addressed.DIRECT})
        message = Message(
            _next_id(),
            chat,
            author or self._owners.get(chat, self.ann),
            (Text(text), *attachments) if segments is None else tuple(segments),
            self.clock.now(),
            quote=quote,
            addressed=addressed,
            is_private=Addressed.DIRECT in addressed,
        )
        self.happen(message)
        return message

    def attach(self, name: str, data: bytes, media_type: str = "text/plain") -> Attachment:
        """A file for `say`, which the bot can read then."""
        locator = str(next(_NUMBERS))
        self.files[locator] = data
        return Attachment(name, media_type, len(data), locator)

    def edit_message(self, message: Message, text: str) -> None:
        """Have its author change what `message` says."""
        self.happen(MessageEdited(message.chat, message.id, (Text(text),), self.clock.now()))

    def delete_message(self, message: Message | Posted) -> None:
        """Have someone take a message back, or a message of the bot; not every platform tells the bot."""
        if isinstance(message, Posted):
            message.is_deleted = True
        if self.profile.tells_deletions:
            self.happen(MessagesDeleted(message.chat, (message.id,), self.clock.now()))

    def press(self, post: Posted, button: Button | str, user: User | None = None) -> ButtonPressed:
        """Have someone press a button below a message of the bot; by default Ann, or whose private chat it is.

        Args:
            post: The message, as it is in `posted` and `standing`.
            button: The button, or its name. One that is not there is pressed all the same: people are slow, and
                some make up what they press.
            user: Who presses it.
        """
        name = button.name if isinstance(button, Button) else button
        user = user or self._owners.get(post.chat, self.ann)
        press = ButtonPressed(post.chat, post.id, name, user, self.clock.now(), str(next(_NUMBERS)))
        self._untold[press.press_id] = press
        self.happen(press)
        return press

    def react(self, post: Posted, score: int = 1, user: User | None = None) -> None:
        """Have someone react to a message of the bot: 1 for a thumb up, -1 for a thumb down, 0 for neither any more."""
        user = user or self._owners.get(post.chat, self.ann)
        self.happen(Reacted(post.chat, post.id, user, score, self.clock.now()))

    def happen(self, event: Event) -> None:
        """Let the bot learn of anything else."""
        self._incoming.put_nowait(event)

    def end_input(self) -> None:
        """Let nothing happen after what has happened so far: `events` ends."""
        self._incoming.put_nowait(None)

    # What a test asks.

    @property
    def num_refused(self) -> int:
        """How many calls were over a limit: 0 for a bot that keeps to all of them."""
        return len(self.refused)

    @property
    def has_untaken(self) -> bool:
        """Whether something has happened of which the bot has not learnt yet."""
        return not self._incoming.empty()

    @property
    def untold_presses(self) -> list[ButtonPressed]:
        """Presses of which nobody has told the person what came of them."""
        return list(self._untold.values())

    def texts(self, kind: str, chat: ChatRef | None = None) -> list[str]:
        """What was shown by calls of that kind, in one chat or in all of them."""
        return [text for k, c, text in self.shown if k == kind and chat in (None, c)]

    def standing(self, chat: ChatRef | None = None) -> list[Posted]:
        """The messages that people see in a chat, by default in `self.chat`; notices are not among them."""
        return [post for post in self.posted if post.chat == (chat or self.chat) and not post.is_deleted]

    def seen(self, chat: ChatRef | None = None) -> list[str]:
        """All texts of the bot that people see in a chat now: messages and notices in order, and then the draft."""
        chat = chat or self.chat
        all_posts = sorted((*self.posted, *self.notices), key=lambda post: int(post.id))
        posts = [post.text for post in all_posts if post.chat == chat and not post.is_deleted]
        draft = self.draft_in(chat)
        return posts if draft is None else [*posts, draft]

    def draft_in(self, chat: ChatRef | None = None) -> str | None:
        """The draft that people see in a chat now; None if there is none, or none any more."""
        chat = chat or self.chat
        text, shown_s = self._drafts.get(chat, (None, 0.0))
        lifetime_s = self.caps(chat).draft_lifetime_s
        return None if lifetime_s is not None and self.clock.now_s - shown_s >= lifetime_s else text

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait, without moving any clock, until something that the bot does makes `condition` true.

        Raises:
            AssertionError: It is not true after 20 real seconds; says what was shown last.
        """
        try:
            async with asyncio.timeout(REAL_LIMIT_S):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            last = "; ".join(f"{kind} {text!r} in {chat.key}" for kind, chat, text in self.shown[-5:]) or "nothing"
            raise AssertionError(
                f"what was waited for did not come true within {REAL_LIMIT_S:g} s; {len(self.settled_messages)} "
                f"messages are settled, and the last things that were shown are: {last}"
            ) from None

    async def until_shown(self, kind: str, text: str) -> None:
        """Wait until something of that kind that holds `text` was shown."""
        await self.until(lambda: any(text in shown for shown in self.texts(kind)))

    async def until_settled(self, count: int) -> None:
        """Wait until the bot is done with `count` messages."""
        await self.until(lambda: len(self.settled_messages) >= count)

    # The adapter; what the methods promise is in `bots.adapter`.

    @property
    def pace(self) -> Pace | None:
        """The profile's."""
        return self.profile.account_pace

    def caps(self, chat: ChatRef) -> Caps:
        """The profile's for a group, or for a private chat: that is every chat which `group` has not made."""
        return self.profile.group if self._is_group(chat) else self.profile.private

    async def events(self) -> AsyncIterator[Event]:
        """Yield what people do."""
        self.num_readers += 1
        while (event := await self._incoming.get()) is not None:
            yield event

    async def settled(self, message: Message) -> None:
        """Note it in `settled_messages`."""
        self.settled_messages.append(message)
        self._notify()

    async def read(self, attachment: Attachment, limit_bytes: int) -> bytes:
        """The beginning of what is in `files`."""
        if attachment.locator not in self.files:
            raise UnsupportedError(f"nobody has attached {attachment.name}")
        return self.files[attachment.locator][:limit_bytes]

    async def is_moderator(self, chat: ChatRef, user: User) -> bool:
        """Whether `user` is among the `moderators`, or it is their own private chat."""
        return user in self.moderators or self._owners.get(chat) == user

    async def tell(self, press: ButtonPressed, text: str) -> None:
        """Note it in `told`."""
        self._untold.pop(press.press_id, None)
        self.told.append((press.user, text))
        self._notify()

    async def show_commands(self, commands: Sequence[Command]) -> None:
        """Replace `menu` by those that are listed."""
        menu = tuple(command for command in commands if command.is_listed)
        if menu != self.menu:
            self.menu = menu
            self.num_menu_changes += 1
        self._notify()

    async def typing(self, chat: ChatRef) -> None:
        """Show that the bot is writing."""
        await self._arrive("typing", chat)
        self._show("typing", chat, "...")

    async def draft(self, chat: ChatRef, text: str) -> None:
        """Show a draft for as long as the platform does; nothing where there are no drafts."""
        self._check_open()
        if self.caps(chat).draft_interval_s is None:
            return
        await self._arrive("draft", chat, text)
        self._drafts[chat] = (text, self.clock.now_s)
        self._show("draft", chat, text)

    async def send(
        self,
        chat: ChatRef,
        text: str,
        *,
        reply_to: MessageId | None = None,
        buttons: Sequence[Button] = (),
        nonce: str = "",
    ) -> MessageId:
        """Post a message, unless there is one with that nonce already."""
        await self._arrive("send", chat, text)
        known = self._known(chat, nonce)
        if known is not None:
            return known.id
        self._drafts.pop(chat, None)
        post = Posted(_next_id(), chat, text, tuple(buttons), reply_to, nonce, self.clock.now_s)
        self.posted.append(post)
        self._show("send", chat, text)
        self._raise_fault("lost")
        return post.id

    async def answers_after(self, chat: ChatRef, after: MessageId, text: str) -> list[MessageId]:
        """Look for them among those that stand in the chat, if the platform shows them to bots."""
        if not self.profile.shows_history:
            return []
        ours = [post for post in self.standing(chat) if int(post.id) > int(after)]
        return [post.id for post in ours if post.buttons or post.text == text]

    async def edit(self, chat: ChatRef, id: MessageId, text: str, *, buttons: Sequence[Button] = ()) -> None:
        """Change a message that is there, and not too old."""
        await self._arrive("edit", chat, text)
        post, caps = self._post(chat, id), self.caps(chat)
        if post is None or post.is_deleted:
            raise MessageGoneError(f"there is no message {id} of the bot in {chat.key}")
        if not caps.can_edit:
            raise MessageGoneError(f"messages in {chat.key} cannot be changed")
        if caps.edit_lifetime_s is not None and self.clock.now_s - post.posted_s > caps.edit_lifetime_s:
            raise MessageGoneError(f"message {id} is too old to be changed")
        post.text, post.buttons = text, tuple(buttons)
        self._show("edit", chat, text)

    async def delete(self, chat: ChatRef, id: MessageId) -> None:
        """Take a message back."""
        await self._arrive("delete", chat)
        post = self._post(chat, id)
        if post is not None and not post.is_deleted:
            post.is_deleted = True
            self._show("delete", chat, post.text)

    async def hand_over(self, chat: ChatRef, name: str, data: bytes, *, reply_to: MessageId) -> None:
        """Keep the file in `handed`; in a group others would see it."""
        await self._arrive("hand_over", chat)
        if self._is_group(chat):
            raise UnsupportedError(f"others in {chat.key} would see {name}")
        self.handed.append(Handed(chat, name, data, reply_to))
        self._show("hand_over", chat, name)

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:
        """Post something that is no part of a conversation."""
        await self._arrive("notice", chat, text)
        if not self.profile.keeps_draft_at_notice:
            self._drafts.pop(chat, None)
        self.notices.append(Posted(_next_id(), chat, text, reply_to=reply_to, posted_s=self.clock.now_s))
        self._show("notice", chat, text)

    async def _arrive(self, kind: str, chat: ChatRef, text: str | None = None) -> None:
        """Take a call on its way to the platform, which then may refuse it; after that, nothing waits any more."""
        self._check_open()
        with self._alone(kind, chat):
            if kind == "draft":
                await self.draft_gate.wait()
            if self.latency_s > 0:
                await self.clock.sleep(self.latency_s)
        self._check_open()
        self._raise_fault(kind)
        self._count(kind, chat)
        if text is not None:
            self._check_text(kind, chat, text)

    @contextmanager
    def _alone(self, kind: str, chat: ChatRef) -> Iterator[None]:
        if kind not in _IN_ORDER:
            yield
            return
        other = self._under_way.get(chat)
        self._require(other is None, f"a call of {kind} while {other} was under way in {chat.key}")
        self._under_way[chat] = kind
        self.num_drafts_under_way += kind == "draft"
        try:
            yield
        finally:
            del self._under_way[chat]
            self.num_drafts_under_way -= kind == "draft"

    def _check_open(self) -> None:
        if self._is_closed:
            raise AdapterClosedError("the fake platform was closed")

    def _raise_fault(self, kind: str) -> None:
        if self.faults[kind]:
            raise self.faults[kind].popleft()

    def _count(self, kind: str, chat: ChatRef) -> None:
        try:
            self._limits.take(kind, chat, self.caps(chat), is_group=self._is_group(chat))
        except RateLimitedError as exc:
            self.refused.append((kind, chat, exc.retry_after_s))
            self._notify()
            raise

    def _check_text(self, kind: str, chat: ChatRef, text: str) -> None:
        caps = self.caps(chat)
        if caps.max_length is not None and caps.length(text) > caps.max_length:
            raise MessageTooLongError(caps.length(text), caps.max_length)
        self._require(bool(text.strip()), f"an empty {kind} in {chat.key}")

    def _known(self, chat: ChatRef, nonce: str) -> Posted | None:
        """The message that was sent with a nonce, if the platform still knows that."""
        if not nonce or not self.profile.knows_nonces:
            return None
        lifetime_s = self.caps(chat).nonce_lifetime_s
        for post in self.posted:
            is_remembered = not lifetime_s or self.clock.now_s - post.posted_s <= lifetime_s
            if post.nonce == nonce and post.chat == chat and is_remembered:
                return post
        return None

    def _post(self, chat: ChatRef, id: MessageId) -> Posted | None:
        post = next((post for post in self.posted if post.id == id), None)
        self._require(post is None or post.chat == chat, f"message {id} is not in {chat.key}")
        return post

    def _require(self, is_so: bool, otherwise: str) -> None:
        """What is wrong fails the call; and the test, should the bot catch that."""
        if not is_so:
            self.violations.append(otherwise)
            raise AssertionError(otherwise)

    def _show(self, kind: str, chat: ChatRef, text: str) -> None:
        self.shown.append((kind, chat, text))
        self._notify()

    def _notify(self) -> None:
        """Let everyone look who waits in `until`."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _is_group(self, chat: ChatRef) -> bool:
        return chat.parent in self._groups


def _next_id() -> MessageId:
    return MessageId(str(next(_NUMBERS)))
