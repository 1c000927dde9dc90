"""From discord.py's objects to our events.

Pure functions. Knows nothing of connections, and of commands only how they are typed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import discord

from bots.discord.content import Viewer, is_mentioned, is_readable, segments_of
from bots.message import (
    Addressed,
    ChatRef,
    Message,
    MessageEdited,
    MessageId,
    MessagesDeleted,
    Quote,
    Segment,
    User,
)

PLATFORM = "discord"

AnyInteraction = discord.Interaction[discord.AutoShardedClient]

_SAID = frozenset({discord.MessageType.default, discord.MessageType.reply})
"""What people write; all other types are notes of Discord's own, such as who joined."""


def chat_of(viewer: Viewer, channel: object, channel_id: int) -> ChatRef:
    """The chat that a channel is; of a thread, the channel around it and the thread within that."""
    account = str(viewer.id)
    if isinstance(channel, discord.Thread):
        return ChatRef(PLATFORM, account, str(channel.parent_id), str(channel.id))
    return ChatRef(PLATFORM, account, str(channel_id))


def user_of(user: discord.abc.User) -> User:
    """Who it is, by the name that people see."""
    return User(PLATFORM, str(user.id), user.display_name, is_bot=user.bot)


def is_from_people(message: discord.Message, viewer: Viewer) -> bool:
    """Whether someone said it: not the bot itself, no webhook, and no note of Discord's own."""
    return message.author.id != viewer.id and message.webhook_id is None and message.type in _SAID


def message_of(message: discord.Message, viewer: Viewer) -> Message:
    """What someone said. Where Discord hides it, it says nothing and is said to nobody."""
    segments = segments_of(message, viewer)
    is_hidden = not segments and not is_readable(message, viewer)
    return Message(
        MessageId(str(message.id)),
        chat_of(viewer, message.channel, message.channel.id),
        user_of(message.author),
        segments,
        message.created_at,
        quote=_quote(message, viewer),
        addressed=frozenset() if is_hidden else frozenset(_reasons(message, viewer)),
        is_private=isinstance(message.channel, discord.DMChannel),
        is_forwarded=bool(message.message_snapshots),
    )


def _reasons(message: discord.Message, viewer: Viewer) -> Iterable[Addressed]:
    if isinstance(message.channel, discord.DMChannel):
        yield Addressed.DIRECT
    if is_mentioned(message, viewer):
        yield Addressed.MENTION
    quote = _quote(message, viewer)
    if quote is not None and quote.author is None:
        yield Addressed.REPLY


def _quote(message: discord.Message, viewer: Viewer) -> Quote | None:
    reference = message.reference
    if message.type is not discord.MessageType.reply or reference is None or reference.message_id is None:
        return None
    message_id = MessageId(str(reference.message_id))
    resolved = reference.resolved
    if isinstance(resolved, discord.Message):
        author = None if resolved.author.id == viewer.id else user_of(resolved.author)
        return Quote(message_id, author, segments_of(resolved, viewer))
    is_pinged = any(user.id == viewer.id for user in message.mentions) and not is_mentioned(message, viewer)
    return Quote(message_id, None) if is_pinged else None


def edit_of(message: discord.Message, viewer: Viewer) -> MessageEdited | None:
    """What an edit made of a message; None if it is none by a person, or Discord hides it.

    Discord also tells when a link got its preview: such a message was not edited.
    """
    if not is_from_people(message, viewer) or message.edited_at is None or not is_readable(message, viewer):
        return None
    chat = chat_of(viewer, message.channel, message.channel.id)
    return MessageEdited(chat, MessageId(str(message.id)), segments_of(message, viewer), message.edited_at)


def deletion_of(chat: ChatRef, ids: Iterable[int]) -> MessagesDeleted:
    """Messages that were taken back just now."""
    return MessagesDeleted(chat, tuple(MessageId(str(id)) for id in sorted(ids)), datetime.now(UTC))


def command_id(interaction: AnyInteraction) -> MessageId:
    """The message id of a command; no message of Discord's has such a one."""
    return MessageId(f"interaction:{interaction.id}")


def command_of(interaction: AnyInteraction, viewer: Viewer, typed: tuple[Segment, ...]) -> Message:
    """The use of a command as the message that it would be if it were typed."""
    return Message(
        command_id(interaction),
        chat_of(viewer, interaction.channel, interaction.channel_id or 0),
        user_of(interaction.user),
        typed,
        interaction.created_at,
        addressed=frozenset({Addressed.COMMAND}),
        is_private=interaction.guild_id is None,
    )
