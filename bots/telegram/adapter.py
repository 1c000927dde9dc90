"""One Telegram bot as an adapter.

Telegram has no key by which a repeated `sendMessage` could be told from a new one: where only the answer to a call
was lost, sending it again makes a second message. `UnreachableError.may_be_done` says so.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Self, TypeVar

from telegram import Bot, LinkPreviewOptions, MessageEntity, ReplyParameters, Update
from telegram import User as TelegramUser
from telegram.constants import CallbackQueryLimit, ChatAction, ChatMemberStatus, FileSizeLimit, MessageLimit
from telegram.error import BadRequest, ChatMigrated, TelegramError

from bots.adapter import Caps, Pace
from bots.bounded import remember
from bots.budget import Clock, Sleep
from bots.commands import Command
from bots.companion import companion
from bots.errors import (
    AccountError,
    AdapterClosedError,
    BotError,
    MessageGoneError,
    MessageTooLongError,
    RateLimitedError,
    UnreachableError,
    UnsupportedError,
)
from bots.message import Attachment, Button, ButtonPressed, ChatMoved, ChatRef, Event, Message, MessageId, User
from bots.telegram.buttons import keyboard
from bots.telegram.connection import UPLOAD_TIMEOUT_S, hidden_in_log, is_token, make_bot
from bots.telegram.download import download
from bots.telegram.entities import Rendered, length, render, utf16_length
from bots.telegram.errors import REFUSED_HINT, EntitiesRefusedError, NotModifiedError, TooLongError, translated
from bots.telegram.inbox import Inbox
from bots.telegram.menu import Menu
from bots.telegram.polling import Polling
from bots.telegram.translate import KINDS, PLATFORM, chat_ref, event_of, is_private
from bots.telegram.webhook import WebhookServer

logger = logging.getLogger(__name__)

DEFAULT_API_URL = "https://api.telegram.org"
MAX_LENGTH, MAX_FILE_BYTES = int(MessageLimit.MAX_TEXT_LENGTH), int(FileSizeLimit.FILESIZE_UPLOAD)

_ACCOUNT_PACE = Pace(limit=25, period_s=1.0, reserved=8)  # of about 30 that Telegram names
_PRIVATE = Caps(
    draft_interval_s=0.6,
    draft_lifetime_s=20.0,  # of about 30
    can_edit=True,
    typing_s=5.0,
    max_length=MAX_LENGTH,
    length=length,
    has_buttons=True,
    can_show_queue=True,
    pace=Pace(limit=1, period_s=1.1, interval_s=1.0),
)
_PRIVATE_WITHOUT_DRAFTS = replace(_PRIVATE, draft_interval_s=None)
_GROUP = replace(
    _PRIVATE_WITHOUT_DRAFTS,
    # 20 a minute, edits and typing included; a little less, as Telegram's minute is not ours.
    pace=Pace(limit=18, period_s=61.0, interval_s=3.1, reserved=8),
    threads_share_pace=True,
)

_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_MODERATORS = frozenset({ChatMemberStatus.OWNER, ChatMemberStatus.ADMINISTRATOR})
MODERATOR_MEMORY_S = 60.0
MAX_TOLD, MAX_TOLD_IN_PASSING = int(CallbackQueryLimit.ANSWER_CALLBACK_QUERY_TEXT_LENGTH), 80
"""Letters that are shown of what came of a press, and how many of them can be read before they fade away."""
MAX_PRESSES = 100
"""Presses that may wait for their acknowledgement; Telegram takes none that is late anyway."""

T = TypeVar("T")


class TelegramAdapter:
    """Serves one bot; see `bots.adapter.Adapter`."""

    def __init__(
        self,
        token: str,
        *,
        api_url: str = DEFAULT_API_URL,
        webhook: WebhookServer | None = None,
        commands: Mapping[str, Command] = MappingProxyType({}),
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`commands` go into the menu; they may change at any time. Without `webhook`, updates are fetched.

        Times are in seconds.
        """
        self._token, self._api_url, self._webhook = token, api_url, webhook
        self._commands = commands
        self._menu: Menu | None = None
        self._clock, self._sleep = clock, sleep
        self._stack = AsyncExitStack()
        self._is_closed = True
        self._bot: Bot
        self._me: TelegramUser
        self._inbox: Inbox
        self._strange_presses: asyncio.Queue[str] = asyncio.Queue(MAX_PRESSES)
        self._moved: dict[int, int] = {}
        self._without_drafts: dict[str, None] = {}
        self._draft_ids: dict[ChatRef, int] = {}
        self._sent: dict[tuple[int, int], int | None] = {}  # to threads, and to chats that moved
        self._moderators: dict[tuple[str, str], tuple[float, bool]] = {}

    # Opening and closing.

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(hidden_in_log(self._token))
            self._inbox = Inbox()
            if not is_token(self._token):
                raise AccountError(REFUSED_HINT)
            self._bot = make_bot(self._token, self._api_url)
            stack.push_async_callback(self._bot.shutdown)
            self._me = await self._connect()
            try:
                await self._begin_updates(stack)
            except TelegramError as exc:
                raise _refused_start(exc) from exc
            self._is_closed = False
            stack.callback(self._close)
            self._menu = Menu(self._bot, self._call)
            await self.show_commands(tuple(self._commands.values()))
            await stack.enter_async_context(companion(self._answer_strange_presses()))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._close()
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._inbox.close()

    async def _connect(self) -> TelegramUser:
        try:
            await self._bot.initialize()
        except TelegramError as exc:
            # What the library says of a refused token shows it.
            raise _refused_start(exc) from exc.__cause__
        return self._bot.bot

    async def _begin_updates(self, stack: AsyncExitStack) -> None:
        if self._webhook is not None:
            server, account = self._webhook, str(self._me.id)
            await stack.enter_async_context(server)
            server.connect(account, self._inbox)
            stack.callback(server.disconnect, account)
            await self._bot.set_webhook(
                server.url_for(account), allowed_updates=KINDS, drop_pending_updates=False, secret_token=server.secret
            )
            return
        await self._bot.delete_webhook(drop_pending_updates=False)
        polling = Polling(self._bot, self._inbox, KINDS, give_up=self._give_up, clock=self._clock, sleep=self._sleep)
        stack.push_async_callback(polling.confirm)
        await stack.enter_async_context(companion(polling.run()))

    def _give_up(self, error: BotError) -> None:
        logger.error("@%s ends: %s", self._me.username, error)
        self._close()

    # What is known without asking.

    @property
    def platform(self) -> str:
        """`telegram`."""
        return PLATFORM

    @property
    def account(self) -> str:
        """The bot's user id."""
        return str(self._me.id)

    @property
    def pace(self) -> Pace | None:
        """What Telegram lets a bot do in all chats together."""
        return _ACCOUNT_PACE

    def caps(self, chat: ChatRef) -> Caps:
        """Drafts in private chats; in groups edits, under a limit for the whole group."""
        if not is_private(chat):
            return _GROUP
        return _PRIVATE_WITHOUT_DRAFTS if chat.chat in self._without_drafts else _PRIVATE

    # What people do.

    async def events(self) -> AsyncIterator[Event]:
        """Yield what people do. Telegram keeps what was not taken for a day, and tells of no deletions."""
        async for content in self._inbox.contents():
            event = self._event_of(content) if isinstance(content, Update) else content
            if event is not None:
                yield event

    def _event_of(self, update: Update) -> Event | None:
        try:
            event = event_of(update, self._me, thread_of=self._thread_of, now=datetime.now(UTC))
        except Exception:
            # Telegram would bring it again and again, and nothing after it.
            logger.exception("update %d cannot be understood; it is skipped", update.update_id)
            return None
        if isinstance(event, ChatMoved):
            return event if self._note_move(int(event.old.chat), int(event.new.chat)) else None
        if update.callback_query is not None and event is None:  # a button that is none of ours
            with suppress(asyncio.QueueFull):
                self._strange_presses.put_nowait(update.callback_query.id)
        return event

    def _thread_of(self, chat_id: int, message_id: int) -> int | None:
        return self._sent.get((chat_id, message_id))

    def _note_move(self, old: int, new: int) -> bool:
        """Send to the new place from now on; False if that is known already."""
        is_new = self._moved.get(old) != new
        remember(self._moved, old, new)
        return is_new

    async def _answer_strange_presses(self) -> None:
        while True:
            await self._answer_press(await self._strange_presses.get(), "")

    async def _answer_press(self, press_id: str, text: str) -> None:
        """Tell Telegram that a press arrived, or the button would seem stuck."""
        try:
            await self._bot.answer_callback_query(press_id, text or None, show_alert=len(text) > MAX_TOLD_IN_PASSING)
        except TelegramError as exc:
            logger.debug("a press was not acknowledged: %s", exc)

    async def tell(self, press: ButtonPressed, text: str) -> None:
        """Show `text` at the top of the chat for a moment, or until it was read.

        Telegram shows little there: more is said as a message where nobody else is, and cut off elsewhere.
        """
        if self._is_closed:
            return
        told = render(text).text
        if len(told) > MAX_TOLD and is_private(press.chat):
            await self._answer_press(press.press_id, "")
            try:
                await self.send(press.chat, text)
            except BotError as exc:
                logger.info("a person was not told what came of a press: %s", exc)
        else:
            await self._answer_press(press.press_id, told if len(told) <= MAX_TOLD else f"{told[: MAX_TOLD - 1]}…")

    async def settled(self, message: Message) -> None:
        """Begin a new draft next time: one that is left over fades away by itself within 30 s."""
        self._draft_ids.pop(message.chat, None)

    async def read(self, attachment: Attachment, limit_bytes: int) -> bytes:
        """Fetch the first `limit_bytes` bytes of a file; Telegram hands out no file of more than 20 MB."""
        if not attachment.locator:
            raise UnsupportedError(f"{attachment.name} is no file")
        file = await self._call(lambda: self._bot.get_file(attachment.locator))
        return await download(file.file_path or "", limit_bytes)

    async def is_moderator(self, chat: ChatRef, user: User) -> bool:
        """Whether `user` is an administrator, or the group itself, as which those speak who hide their names."""
        if is_private(chat) or user.id == chat.chat:
            return True
        if user.id.startswith("-") or not user.id:
            return False  # a channel
        key = (chat.chat, user.id)
        known_until_s, is_moderator = self._moderators.get(key, (0.0, False))
        if self._clock() < known_until_s:
            return is_moderator
        try:
            member = await self._call_in(chat, lambda chat_id: self._bot.get_chat_member(chat_id, int(user.id)))
        except BotError as exc:
            logger.warning("it is not known who looks after %s: %s", chat.key, exc)
            return False
        is_moderator = member.status in _MODERATORS
        remember(self._moderators, key, (self._clock() + MODERATOR_MEMORY_S, is_moderator))
        return is_moderator

    # What we show.

    async def typing(self, chat: ChatRef) -> None:
        """Show that the bot is writing."""
        await self._call_in(
            chat,
            lambda chat_id: self._bot.send_chat_action(chat_id, ChatAction.TYPING, message_thread_id=_thread_id(chat)),
        )

    async def draft(self, chat: ChatRef, text: str) -> None:
        """Show a preview that lasts for half a minute, or until something is sent to the chat."""
        if self.caps(chat).draft_interval_s is None:
            return
        draft_id = self._draft_ids.get(chat) or remember(self._draft_ids, chat, secrets.randbelow(2**31 - 1) + 1)
        try:
            await self._post(
                chat,
                text,
                lambda chat_id, said, entities: self._bot.send_message_draft(
                    chat_id, draft_id, said, entities=entities, message_thread_id=_thread_id(chat)
                ),
            )
        except UnsupportedError:
            remember(self._without_drafts, chat.chat, None)
            raise

    async def send(
        self,
        chat: ChatRef,
        text: str,
        *,
        reply_to: MessageId | None = None,
        buttons: Sequence[Button] = (),
        nonce: str = "",  # noqa: ARG002  # Telegram has no use for it
    ) -> MessageId:
        """Post `text`; the draft in the chat, if there is one, gives way to it."""
        sent = await self._post(
            chat,
            text,
            lambda chat_id, said, entities: self._bot.send_message(
                chat_id,
                said,
                entities=entities,
                link_preview_options=_NO_PREVIEW,
                message_thread_id=_thread_id(chat),
                # Ids of a group that moved are others there.
                reply_parameters=_reply(reply_to) if chat_id == int(chat.chat) else None,
                reply_markup=keyboard(buttons),
            ),
        )
        self._draft_ids.pop(chat, None)
        if chat.thread is not None or sent.chat.id != int(chat.chat):
            remember(self._sent, (sent.chat.id, sent.message_id), _thread_id(chat))
        return MessageId(str(sent.message_id))

    async def answers_after(self, chat: ChatRef, after: MessageId, text: str) -> list[MessageId]:  # noqa: ARG002
        """Telegram shows bots nothing of what was said before."""
        return []

    async def edit(self, chat: ChatRef, id: MessageId, text: str, *, buttons: Sequence[Button] = ()) -> None:
        """Replace text and buttons. What was said in a group before it moved can be changed no more."""
        try:
            await self._post(
                chat,
                text,
                lambda chat_id, said, entities: self._bot.edit_message_text(
                    said,
                    self._place_of(chat, id, chat_id),
                    int(id),
                    entities=entities,
                    link_preview_options=_NO_PREVIEW,
                    reply_markup=keyboard(buttons),
                ),
            )
        except NotModifiedError:
            logger.debug("message %s in %s says that already", id, chat.key)

    async def delete(self, chat: ChatRef, id: MessageId) -> None:
        """Take a message back, if it is still there."""
        try:
            await self._call_in(
                chat, lambda chat_id: self._bot.delete_message(self._place_of(chat, id, chat_id), int(id))
            )
        except MessageGoneError:
            logger.debug("message %s in %s is gone already", id, chat.key)

    async def show_commands(self, commands: Sequence[Command]) -> None:
        """Put them into the menu. Before there is a connection, nothing is done: opening does it."""
        if self._menu is not None:
            await self._menu.show(commands)

    async def hand_over(self, chat: ChatRef, name: str, data: bytes, *, reply_to: MessageId) -> None:
        """Post a file in a private chat."""
        if not is_private(chat):
            raise UnsupportedError("others would see the file here; ask for it in a private chat")
        if len(data) > MAX_FILE_BYTES:
            size, limit = len(data) / 1e6, MAX_FILE_BYTES / 1e6
            raise UnsupportedError(f"{name} has {size:.1f} MB, and Telegram takes {limit:.0f} MB at most")
        await self._call_in(
            chat,
            lambda chat_id: self._bot.send_document(
                chat_id,
                data,
                filename=name,
                disable_content_type_detection=True,
                message_thread_id=_thread_id(chat),
                reply_parameters=_reply(reply_to),
                read_timeout=UPLOAD_TIMEOUT_S,
                write_timeout=UPLOAD_TIMEOUT_S,
            ),
        )
        self._draft_ids.pop(chat, None)

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:
        """Post `text`. A draft is dismissed by it; the next one shows again."""
        await self.send(chat, text, reply_to=reply_to)

    # How calls are made.

    async def _post(
        self, chat: ChatRef, text: str, post: Callable[[int, str, Sequence[MessageEntity]], Awaitable[T]]
    ) -> T:
        """Make a call that shows `text`; without entities if Telegram refuses them."""
        rendered = render(text)
        num_units = utf16_length(rendered.text)
        if num_units > MAX_LENGTH:
            raise MessageTooLongError(num_units, MAX_LENGTH)
        try:
            try:
                return await self._call_in(chat, lambda chat_id: post(chat_id, rendered.text, rendered.entities))
            except EntitiesRefusedError as exc:
                logger.warning("a text goes to %s without its formatting: %s", chat.key, exc)
                return await self._call_in(chat, lambda chat_id: post(chat_id, _plain(rendered), ()))
        except TooLongError as exc:
            raise MessageTooLongError(num_units, MAX_LENGTH) from exc

    async def _call_in(self, chat: ChatRef, call: Callable[[int], Awaitable[T]]) -> T:
        """Make a call to a chat, wherever that has moved to."""
        old = int(chat.chat)

        async def follow() -> T:
            try:
                return await call(self._moved.get(old, old))
            except ChatMigrated as exc:
                if self._note_move(old, exc.new_chat_id):
                    self._inbox.announce(ChatMoved(chat_ref(self._me, old), chat_ref(self._me, exc.new_chat_id)))
                return await call(exc.new_chat_id)

        return await self._call(follow)

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._is_closed:
            raise AdapterClosedError("the bot was closed")
        try:
            return await call()
        except TelegramError as exc:
            error = translated(exc)
            if self._is_closed:
                raise AdapterClosedError("the bot was closed") from exc
            if isinstance(error, AccountError):
                self._give_up(error)
                raise AdapterClosedError(str(error)) from exc
            raise error from exc

    def _place_of(self, chat: ChatRef, id: MessageId, chat_id: int) -> int:
        """The id of the chat that a message of ours stands in; the chat itself may be `chat_id` by now.

        Raises:
            MessageGoneError: It was sent before the chat moved. There, its id means another message.
        """
        if chat_id != int(chat.chat) and (chat_id, int(id)) not in self._sent:
            raise MessageGoneError(f"{chat.key} has become another chat")
        return chat_id


def _refused_start(error: TelegramError) -> BotError:
    """Why a bot could not be opened."""
    ours = translated(error)
    match ours:
        case RateLimitedError(retry_after_s=wait_s):
            return UnreachableError(f"it takes nothing for {wait_s:g} s", may_be_done=False)
        case UnsupportedError():  # 404
            return AccountError(REFUSED_HINT)
    if isinstance(error, BadRequest) and "webhook" in error.message.lower():
        return AccountError(f"Telegram refuses TELEGRAM_WEBHOOK_URL: {error.message}")
    return ours


def _thread_id(chat: ChatRef) -> int | None:
    return None if chat.thread is None else int(chat.thread)


def _reply(reply_to: MessageId | None) -> ReplyParameters | None:
    is_here = reply_to is not None and reply_to.isdecimal()  # a quote from another chat has another form
    return ReplyParameters(int(reply_to or 0), allow_sending_without_reply=True) if is_here else None


def _plain(rendered: Rendered) -> str:
    """The text without entities. Code may hold an @name, which pings where it is no code."""
    return rendered.text.replace("@", "\N{FULLWIDTH COMMERCIAL AT}")
