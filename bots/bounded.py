"""Things worth remembering for a while: dicts that do not grow for ever."""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

LIMIT = 8192
"""Entries that are kept; the chats and messages that a busy account has to do with in hours."""


def remember(memory: dict[K, V], key: K, value: V, *, limit: int = LIMIT) -> V:
    """Keep `value` as the newest entry, let the oldest go if there are too many, and return it."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > limit:
        del memory[next(iter(memory))]
    return value
