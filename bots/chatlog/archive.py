"""What every part of an open chat log works with: database, cipher, policy, clock, and the rows of chats.

Knows nothing of what the parts do.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import chats
from bots.chatlog.chats import ChatRow
from bots.chatlog.cipher import Cipher
from bots.chatlog.database import Database
from bots.errors import DatabaseError
from bots.message import ChatRef
from bots.policy import Policy

# Rows of chats kept at hand, which saves a query per call; 300 bytes each.
KNOWN_CHATS = 4096


class Archive:
    """An open database, and what it takes to read and write in it."""

    def __init__(self, database: Database, cipher: Cipher, policy: Policy, now: Callable[[], datetime]) -> None:
        self.database, self.cipher, self.policy, self.now = database, cipher, policy, now
        self.read = database.read
        self._known: OrderedDict[ChatRef, ChatRow] = OrderedDict()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may change things: all of it is kept on leaving, or nothing on an error."""
        try:
            async with self.database.write() as connection:
                yield connection
        except DatabaseError:
            # Another process may have removed a chat that is known here: the next try looks anew.
            self.forget_chats()
            raise

    async def find(self, ref: ChatRef) -> ChatRow | None:
        """The row of a chat, if it has one."""
        if (known := self._known.get(ref)) is not None:
            self._known.move_to_end(ref)
            return known
        async with self.read() as connection:
            row = await chats.find(connection, ref)
        return row and self.remember(row)

    async def see(self, ref: ChatRef, *, is_private: bool) -> ChatRow:
        """The row of a chat in which somebody speaks just now, made if need be."""
        row = await self.find(ref)
        if row is not None and row.is_private == is_private:
            return row
        async with self.write() as connection:
            row = await chats.see(connection, ref, self.now(), is_private=is_private)
        return self.remember(row)

    def forget_chats(self) -> None:
        """Look up every chat anew: some have moved, or are gone."""
        self._known.clear()

    def remember(self, row: ChatRow) -> ChatRow:
        """Keep the row of a chat at hand."""
        self._known[row.ref] = row
        if len(self._known) > KNOWN_CHATS:
            self._known.popitem(last=False)
        return row
