"""Who runs the bot, and in which chats they want to be told what happens to it."""

from collections.abc import Collection
from dataclasses import dataclass

from bots.chatlog import ChatLog
from bots.message import ChatRef, User

_KEEPER, _KEY = "_operators", "chats"
"""Where the chats stand among what plugins keep: a name that no plugin can have."""


@dataclass(frozen=True)
class Operators:
    """The people who run the bot.

    Attributes:
        ids: By platform and user id.
    """

    log: ChatLog
    ids: Collection[tuple[str, str]]

    def include(self, user: User) -> bool:
        """Whether `user` is one. Whoever sits at the console is."""
        return user.platform == "console" or (user.platform, user.id) in self.ids

    async def chats(self) -> list[ChatRef]:
        """Where they want to be told."""
        kept = await self.log.data.get(_KEEPER, None, _KEY)
        return [ChatRef(*parts) for parts in kept or ()]

    async def tell_in(self, chat: ChatRef, *, is_wanted: bool) -> None:
        """Tell them in `chat` from now on, or no more."""
        chats = [each for each in await self.chats() if each != chat] + [chat] * is_wanted
        parts = [[each.platform, each.account, each.chat, each.thread] for each in chats]
        await self.log.data.set(_KEEPER, None, _KEY, parts)


def operator_ids(setting: str) -> frozenset[tuple[str, str]]:
    """The people in a setting such as `telegram:12345, discord:6789`.

    Raises:
        ValueError: One of them is not written like that.
    """
    ids = set()
    for part in filter(None, (part.strip() for part in setting.split(","))):
        platform, _, user_id = part.partition(":")
        if not platform.strip() or not user_id.strip():
            raise ValueError(f"{part!r} is no PLATFORM:USER_ID, for instance telegram:12345")
        ids.add((platform.strip().lower(), user_id.strip()))
    return frozenset(ids)
