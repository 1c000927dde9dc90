"""What a message on Discord says, in segments: mentions, emoji and other markup get the names that people see.

Pure functions over discord.py's objects. Knows nothing of why a message is answered.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import discord

from bots.message import Attachment, Mention, Segment, Text

_MARKUP = re.compile(
    r"<(?:@!?(?P<user>\d+)|@&(?P<role>\d+)|#(?P<channel>\d+)|a?:(?P<emoji>\w+):\d+"
    r"|/(?P<command>[^:<>]+):\d+|t:(?P<time>-?\d{1,11})(?::\w)?|id:(?P<page>\w+))>"
)


@dataclass(frozen=True)
class Viewer:
    """The bot's account, as far as what it gets to see depends on it.

    Attributes:
        has_content: Whether it sees what messages say that do not call it.
    """

    id: int
    name: str
    has_content: bool = False


def is_mentioned(message: discord.Message, viewer: Viewer) -> bool:
    """Whether the text calls the bot by name; a reply to it mentions it without that, and @everyone is nobody."""
    return re.search(rf"<@!?{viewer.id}>", message.content) is not None


def is_readable(message: discord.Message, viewer: Viewer) -> bool:
    """Whether Discord shows the bot what the message says."""
    is_private = isinstance(message.channel, discord.DMChannel)
    is_called = any(user.id == viewer.id for user in message.mentions)
    return viewer.has_content or is_private or is_called or message.author.id == viewer.id


def segments_of(message: discord.Message, viewer: Viewer) -> tuple[Segment, ...]:
    """What the message says, with the text of what it forwards; empty if Discord hides it from the bot."""
    texts = [_without_calls(message.content, viewer)]
    texts += [snapshot.content for snapshot in message.message_snapshots]
    texts += [f"(sticker: {sticker.name})" for sticker in message.stickers]
    files = [*message.attachments, *(file for snapshot in message.message_snapshots for file in snapshot.attachments)]
    words = _segments("\n".join(text for text in texts if text), message, viewer)
    return (*_merged(words), *(_attachment(file) for file in files))


def _without_calls(text: str, viewer: Viewer) -> str:
    """Without the mentions of the bot at both ends: they only call it."""
    call = rf"<@!?{viewer.id}>"
    text = re.sub(rf"^\s*(?:{call}[,:;]?\s*)+", "", text)
    return re.sub(rf"(?:[\s,]*{call})+\s*$", "", text).strip()


def _segments(text: str, message: discord.Message, viewer: Viewer) -> Iterator[Segment]:
    names = {user.id: user.display_name for user in message.mentions} | {viewer.id: viewer.name}
    end = 0
    for match in _MARKUP.finditer(text):
        yield Text(text[end : match.start()])
        end = match.end()
        user_id = int(match["user"] or 0)
        if user_id in names and user_id != viewer.id:
            yield Mention(str(user_id), names[user_id])
        else:
            assert match.lastgroup is not None
            yield Text(_NAMES[match.lastgroup](match[match.lastgroup], message.guild, names))
    yield Text(text[end:])


def _merged(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Without empty texts, and without two in a row."""
    words = ""
    for segment in segments:
        if isinstance(segment, Text):
            words += segment.text
            continue
        if words:
            yield Text(words)
        words = ""
        yield segment
    if words:
        yield Text(words)


def _attachment(file: discord.Attachment) -> Attachment:
    return Attachment(file.filename, (file.content_type or "").partition(";")[0], file.size, locator=file.url)


def _user(user_id: str, _: discord.Guild | None, names: Mapping[int, str]) -> str:
    return "@" + names.get(int(user_id), "someone")


def _role(role_id: str, guild: discord.Guild | None, _: Mapping[int, str]) -> str:
    role = guild.get_role(int(role_id)) if guild else None
    return "@" + (role.name.removeprefix("@") if role else "role")


def _channel(channel_id: str, guild: discord.Guild | None, _: Mapping[int, str]) -> str:
    channel = guild.get_channel_or_thread(int(channel_id)) if guild else None
    return "#" + (channel.name if channel else "channel")


def _time(seconds: str, _: discord.Guild | None, __: Mapping[int, str]) -> str:
    try:
        return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "some time"


_NAMES: Mapping[str, Callable[[str, discord.Guild | None, Mapping[int, str]], str]] = {
    "user": _user,
    "role": _role,
    "channel": _channel,
    "emoji": lambda name, _, __: f":{name}:",
    "command": lambda name, _, __: f"/{name}",
    "time": _time,
    "page": lambda name, _, __: f"#{name}",
}
