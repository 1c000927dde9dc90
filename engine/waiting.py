"""The waiting queue: chats take turns, so a busy one delays nobody but itself.

Plain data; knows nothing of models or time.
"""

from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar


class HasChat(Protocol):
    """Anything that belongs to a chat."""

    @property
    def chat(self) -> str:
        """The chat's key."""
        ...


Item = TypeVar("Item", bound=HasChat)


class WaitingQueue(Generic[Item]):
    """First come, first served within a chat; round robin between chats."""

    def __init__(self) -> None:
        self._chats: OrderedDict[str, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._chats.values()))

    def push(self, item: Item) -> None:
        """Add to the end of its chat's line."""
        self._chats.setdefault(item.chat, deque()).append(item)

    def pop(self) -> Item:
        """Take the oldest item of the chat whose turn it is; that chat goes to the back.

        Raises:
            KeyError: Nothing is waiting.
        """
        chat, line = self._chats.popitem(last=False)
        item = line.popleft()
        if line:
            self._chats[chat] = line
        return item

    def remove(self, item: Item) -> bool:
        """Take out one item wherever it stands; False if it is not waiting."""
        line = self._chats.get(item.chat)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._chats[item.chat]
        return True

    def items(self) -> list[Item]:
        """All items in the order in which `pop` would return them now."""
        lines = list(self._chats.values())
        longest = max(map(len, lines), default=0)
        return [line[i] for i in range(longest) for line in lines if i < len(line)]

    def position(self, item: Item) -> int:
        """Place in the order of `pop`, 1 for the next; 0 if it is not waiting."""
        line = self._chats.get(item.chat, ())
        if item not in line:
            return 0
        depth = list(line).index(item)
        chats = list(self._chats)
        ahead = chats.index(item.chat)
        return 1 + sum(min(len(other), depth + (1 if i < ahead else 0)) for i, other in enumerate(self._chats.values()))
