"""Telegram's updates as our events.

Pure: knows neither network nor memory. Telegram tells bots of no deletions, except in business accounts, so there
is never a `MessagesDeleted`.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from telegram import (
    CallbackQuery,
    Chat,
    ExternalReplyInfo,
    MessageOriginChannel,
    MessageOriginChat,
    MessageOriginHiddenUser,
    MessageOriginUser,
    MessageReactionUpdated,
    ReactionType,
    ReactionTypeEmoji,
    Update,
)
from telegram import Message as TelegramMessage
from telegram import User as TelegramUser

from bots.buttons import pressed
from bots.message import (
    Addressed,
    ButtonPressed,
    ChatMoved,
    ChatRef,
    Event,
    Message,
    MessageEdited,
    MessageId,
    Quote,
    Reacted,
    Segment,
    Text,
    User,
)
from bots.telegram.content import Content, attachments_of, content_of, read_text

PLATFORM = "telegram"

KINDS = (Update.MESSAGE, Update.EDITED_MESSAGE, Update.CALLBACK_QUERY, Update.MESSAGE_REACTION)
"""The kinds of updates that become events: all that is asked for. Posts of channels are none of them."""

_GOOD = frozenset("👍❤🔥🥰👏😁🎉🤩🙏👌😍💯🏆⚡🤗🫡😘💘🤝🆒😎") | {"❤\u200d🔥"}
_BAD = frozenset("👎💩🤮🤬😡🤡🖕🥱💔")

ThreadOf = Callable[[int, int], int | None]
"""The thread in which a message of ours stands, by chat and message id, as far as that is known."""


def event_of(update: Update, me: TelegramUser, *, thread_of: ThreadOf, now: datetime) -> Event | None:
    """What an update tells; None if that is nothing for us."""
    if update.message is not None:
        return _moved(update.message, me) or _message(update.message, me)
    if update.edited_message is not None:
        return _edited(update.edited_message, me)
    if update.callback_query is not None:
        return _pressed(update.callback_query, me, thread_of, now)
    if update.message_reaction is not None:
        return _reacted(update.message_reaction, me, thread_of)
    return None


def chat_ref(me: TelegramUser, chat_id: int, thread_id: int | None = None) -> ChatRef:
    """The place, in our words."""
    return ChatRef(PLATFORM, str(me.id), str(chat_id), None if thread_id is None else str(thread_id))


def is_private(chat: ChatRef) -> bool:
    """Whether it is a chat with one person: only people's ids are positive."""
    return not chat.chat.startswith("-")


def score_of(reactions: Iterable[ReactionType]) -> int:
    """1 if someone likes it, -1 if not, and 0 if that cannot be told."""
    emojis = {each.emoji.replace("\ufe0f", "") for each in reactions if isinstance(each, ReactionTypeEmoji)}
    return bool(emojis & _GOOD) - bool(emojis & _BAD)


def _place(message: TelegramMessage, me: TelegramUser) -> ChatRef:
    # Elsewhere a thread id only says to which chain of replies a message belongs.
    return chat_ref(me, message.chat.id, message.message_thread_id if message.is_topic_message else None)


def _moved(message: TelegramMessage, me: TelegramUser) -> ChatMoved | None:
    """A group that became a supergroup is told of in both."""
    if message.migrate_to_chat_id is not None:
        return ChatMoved(chat_ref(me, message.chat.id), chat_ref(me, message.migrate_to_chat_id))
    if message.migrate_from_chat_id is not None:
        return ChatMoved(chat_ref(me, message.migrate_from_chat_id), chat_ref(me, message.chat.id))
    return None


def _message(message: TelegramMessage, me: TelegramUser) -> Message | None:
    content = content_of(message, me)
    if not (content.segments or content.is_mention) or _is_by(message, me):
        return None  # a service message, or our own
    quote = _quote(message, me)
    return Message(
        MessageId(str(message.message_id)),
        _place(message, me),
        _author(message),
        content.segments,
        message.date,
        quote,
        _addressed(message, content, me),
        is_private=message.chat.type == Chat.PRIVATE,
        # What another bot made up for the author is not the author's either.
        is_forwarded=message.forward_origin is not None or message.via_bot is not None,
    )


def _edited(message: TelegramMessage, me: TelegramUser) -> MessageEdited | None:
    content = content_of(message, me)
    if not (content.segments or content.is_mention) or _is_by(message, me):
        return None
    time = message.edit_date or message.date
    return MessageEdited(_place(message, me), MessageId(str(message.message_id)), content.segments, time)


def _addressed(message: TelegramMessage, content: Content, me: TelegramUser) -> frozenset[Addressed]:
    replied = _replied(message)
    reasons = {
        Addressed.DIRECT: message.chat.type == Chat.PRIVATE,
        Addressed.MENTION: content.is_mention,
        Addressed.REPLY: replied is not None and _is_by(replied, me),
        Addressed.COMMAND: content.is_command,
    }
    return frozenset(reason for reason, is_so in reasons.items() if is_so)


def _is_by(message: TelegramMessage, me: TelegramUser) -> bool:
    return message.from_user is not None and message.from_user.id == me.id


def _author(message: TelegramMessage) -> User:
    """Who speaks: the person, or the group or channel in whose name an administrator does."""
    if message.sender_chat is not None:  # `from` is a placeholder then, which is called a bot
        return _spokesman(message.sender_chat)
    return _spokesman(message.chat) if message.from_user is None else user_of(message.from_user)


def user_of(user: TelegramUser) -> User:
    """A person or a bot."""
    return User(PLATFORM, str(user.id), user.full_name, user.is_bot)


def _spokesman(chat: Chat) -> User:
    return User(PLATFORM, str(chat.id), chat.effective_name or str(chat.id), is_person=False)


# Quotes.


def _replied(message: TelegramMessage) -> TelegramMessage | None:
    """The message that someone answers. In a topic every message says that it answers the opening one."""
    replied = message.reply_to_message
    return None if replied is None or replied.forum_topic_created is not None else replied


def _quote(message: TelegramMessage, me: TelegramUser) -> Quote | None:
    # Someone may pick out a part of what is answered.
    part = message.quote and read_text(message.quote.text, message.quote.entities or (), me).segments
    replied = _replied(message)
    if replied is not None:
        author = None if _is_by(replied, me) else _author(replied)
        return Quote(MessageId(str(replied.message_id)), author, part or content_of(replied, me).segments)
    if message.external_reply is not None:
        return _external_quote(message.external_reply, part or (), me)
    return None


def _external_quote(reply: ExternalReplyInfo, part: tuple[Segment, ...], me: TelegramUser) -> Quote:
    """A quote from another chat. Its id is none of this chat's, so that nothing else is taken for it."""
    place = reply.chat.id if reply.chat is not None else "elsewhere"
    author = _origin(reply)
    name = f"{place}:{reply.message_id or int(reply.origin.date.timestamp())}"
    segments = part or tuple(attachments_of(reply)) or (Text("(a message from another chat)"),)
    return Quote(MessageId(name), None if author.id == str(me.id) else author, segments)


def _origin(reply: ExternalReplyInfo) -> User:
    match reply.origin:
        case MessageOriginUser(sender_user=user):
            return user_of(user)
        case MessageOriginHiddenUser(sender_user_name=name):
            return User(PLATFORM, "", name)
        case MessageOriginChat(sender_chat=chat) | MessageOriginChannel(chat=chat):
            return _spokesman(chat)
    return User(PLATFORM, "", "someone")


# What happens to our messages.


def _pressed(query: CallbackQuery, me: TelegramUser, thread_of: ThreadOf, now: datetime) -> ButtonPressed | None:
    button, message = pressed(query.data), query.message
    if button is None or message is None:
        return None
    if isinstance(message, TelegramMessage) and message.is_accessible:
        place = _place(message, me)
    else:  # too old for Telegram to show it
        place = chat_ref(me, message.chat.id, thread_of(message.chat.id, message.message_id))
    id, user = MessageId(str(message.message_id)), user_of(query.from_user)
    return ButtonPressed(place, id, button, user, now, press_id=query.id)


def _reacted(reaction: MessageReactionUpdated, me: TelegramUser, thread_of: ThreadOf) -> Reacted | None:
    if reaction.user is not None:
        user = user_of(reaction.user)
    elif reaction.actor_chat is not None:
        user = _spokesman(reaction.actor_chat)
    else:
        return None
    place = chat_ref(me, reaction.chat.id, thread_of(reaction.chat.id, reaction.message_id))
    score = score_of(reaction.new_reaction)
    return Reacted(place, MessageId(str(reaction.message_id)), user, score, reaction.date)
