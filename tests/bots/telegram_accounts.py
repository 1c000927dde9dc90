"""The bots that the stand-in for Telegram knows, and the updates on their way to each.

Knows nothing of chats: an update's payload is JSON by the time it comes here.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

# What an account that has not asked for anything hears of.
NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})


@dataclass(eq=False)
class User:
    """A person, or the face of a bot."""

    id: int
    name: str
    username: str | None = None
    is_bot: bool = False

    def to_api(self) -> Json:
        """The User object."""
        told = {"id": self.id, "is_bot": self.is_bot, "first_name": self.name}
        return told | ({"username": self.username} if self.username else {})


@dataclass(eq=False)
class Update:
    """Something that a bot is to be told; `is_forced` ones go out once even if confirmed already."""

    id: int
    payload: Json
    is_forced: bool = False

    def to_api(self) -> Json:
        """The Update object."""
        return {"update_id": self.id, **self.payload}


@dataclass(eq=False)
class Webhook:
    """Where a bot's updates go when it does not fetch them."""

    url: str
    secret: str | None = None
    max_connections: int = 40
    last_error: str | None = None


@dataclass(eq=False)
class Account:
    """A bot: its token and rights, and what it has not confirmed yet."""

    token: str
    user: User
    can_read_all: bool
    allowed_updates: list[str] | None = None
    pending: list[Update] = field(default_factory=list)
    made: list[Update] = field(default_factory=list)
    held: list[Update] | None = None
    num_to_lose: int = 0
    confirmed_id: int = 0
    poll: int = 0  # number of the newest getUpdates; an older one that still waits is answered 409
    webhook: Webhook | None = None
    commands: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(700_000_001))

    @property
    def id(self) -> int:
        return self.user.id

    @property
    def username(self) -> str:
        return self.user.username or ""

    def tell(self, payload: Json) -> None:
        """Queue an update, unless the bot did not ask for its kind or it is to be lost."""
        kind = next(iter(payload))
        if kind not in self.allowed_updates if self.allowed_updates else kind in NOT_BY_DEFAULT:
            return
        update = Update(next(self._ids), payload)
        self.made.append(update)
        if self.num_to_lose:
            self.num_to_lose -= 1
        else:
            (self.pending if self.held is None else self.held).append(update)

    def confirm(self, offset: int) -> None:
        """Forget what comes before `offset`; a negative one counts from the end, as the Bot API has it."""
        if offset < 0:
            self.pending = self.pending[offset:]
            return
        self.confirmed_id = max(self.confirmed_id, offset - 1)
        self.pending = [update for update in self.pending if update.is_forced or update.id >= offset]

    def take(self, limit: int) -> list[Update]:
        """The next updates; they stay until confirmed, but for the forced ones."""
        taken = self.pending[:limit]
        self.pending = [update for update in self.pending if not (update.is_forced and update in taken)]
        return taken
