"""Where a plugin keeps things: values by key, for a chat, for a person, or for itself.

They stand in the bots' database, encrypted. What is kept for a person is part of what `/export` gives that person, and
`/forget` removes it; a plugin does nothing for that.
"""

from typing import Any

from bots.chatlog import ChatLog, Person
from bots.message import ChatRef, User


class Drawer:
    """The values of one owner.

    Keys have at most 200 characters. Values are anything that JSON can say, up to 64 KiB; `set` raises ValueError
    otherwise. All raise DatabaseError if the database cannot be used.
    """

    def __init__(self, log: ChatLog, plugin: str, owner: ChatRef | Person | None) -> None:
        self._log, self._plugin, self._owner = log, plugin, owner

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`."""
        value = await self._log.data.get(self._plugin, self._owner, key)
        return default if value is None else value

    async def set(self, key: str, value: Any) -> None:
        """Keep `value`, in place of what was there."""
        await self._log.data.set(self._plugin, self._owner, key, value)

    async def delete(self, key: str) -> None:
        """Keep nothing any more."""
        await self._log.data.delete(self._plugin, self._owner, key)

    async def items(self, prefix: str = "") -> dict[str, Any]:
        """Everything whose key begins with `prefix`."""
        return await self._log.data.items(self._plugin, self._owner, prefix)


class Store:
    """Everything that one plugin keeps.

    Attributes:
        plugin: What belongs to no one in particular.
    """

    def __init__(self, log: ChatLog, name: str) -> None:
        self._log, self._name = log, name
        self.plugin = Drawer(log, name, None)

    def chat(self, chat: ChatRef) -> Drawer:
        """What belongs to a chat; stays with it when the platform moves it."""
        return Drawer(self._log, self._name, chat)

    def user(self, user: User) -> Drawer:
        """What belongs to a person, on that platform."""
        return Drawer(self._log, self._name, Person(user.platform, user.id))
