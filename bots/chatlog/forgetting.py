"""Removes all that is kept of a person: whole rows, not only what they say.

What stays is the ledger of consents, whose pseudonyms then lead to nobody, and the numbers of the lineage.
Statements only: the caller brings the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import chats as chat_rows
from bots.chatlog import ledger, lineage, passing, people, plugindata, training
from bots.chatlog.chats import ChatRow
from bots.chatlog.ledger import Author
from bots.chatlog.records import ConsentSource, Forgotten, Person
from bots.chatlog.schema import chats, corrections, feedback, messages, posts, requests
from bots.chatlog.training import Withdrawn
from bots.message import ChatRef
from bots.policy import Purpose

_said = messages.alias("said")
_asked = messages.alias("asked")


@dataclass(frozen=True)
class _Reach:
    """What is going to be removed: the rows that the conditions mean.

    Attributes:
        in_chats: Rows of `messages` are of the chats where the person is to be forgotten.
        chats: Those of them that go altogether.
    """

    person: Person
    pseudonym: str | None
    in_chats: ColumnElement[bool]
    chats: Sequence[ChatRow]

    @property
    def is_said(self) -> ColumnElement[bool]:
        """A row of `messages` goes that a person wrote: that person, or anyone in a chat that goes."""
        is_theirs = self.in_chats & (messages.c.author_id == self.person.id)
        return (messages.c.role == "user") & (is_theirs | self._in_gone)

    @property
    def is_answer(self) -> ColumnElement[bool]:
        """A row of `messages` goes that the bot wrote."""
        is_theirs = passing.is_answer_to(self.person.id, self.in_chats)
        return (messages.c.role == "bot") & (is_theirs | self._in_gone)

    @property
    def _in_gone(self) -> ColumnElement[bool]:
        return messages.c.chat_id.in_([chat.id for chat in self.chats])


async def forget(connection: AsyncConnection, person: Person, chat: ChatRef | None, now: datetime) -> Forgotten:
    """Remove what is kept of a person, in one chat and its threads or everywhere on the platform.

    Everywhere, the link to the pseudonym goes, too. In one chat, what the person has decided about being remembered
    there stays in force.
    """
    is_here = chats.c.platform == person.platform if chat is None else chat_rows.is_family(chat)
    await chat_rows.hold_all(connection, is_here)
    pseudonym = await people.find(connection, person.platform, person.id)
    reach = _Reach(
        person,
        pseudonym,
        messages.c.chat_id.in_(select(chats.c.id).where(is_here)),
        await chat_rows.private_chats(connection, person, pseudonym, is_here),
    )
    withdrawn, num_consents = Withdrawn(), 0
    versions: tuple[str, ...] = ()
    if pseudonym is not None:
        num_consents = await _withdraw(connection, pseudonym, is_here if chat is not None else None, person, now)
        withdrawn = await training.withdraw(connection, person, pseudonym, chat)
        versions = await lineage.saw(connection, pseudonym)
    num_removed = await training.remove_chat(connection, [row.uuid for row in reach.chats])
    num_data = await _remove_data(connection, reach, is_everywhere=chat is None)
    num_requests = await _remove_requests(connection, person, chat)
    removed = await _remove_talk(connection, reach)
    await _remove_chats(connection, reach, None if chat is None else await ledger.author(connection, chat, person.id))
    if pseudonym is not None and (chat is None or num_consents):
        await lineage.taint(connection, pseudonym, now)
    if chat is None:
        await people.unlink(connection, person.platform, person.id)
    return Forgotten(
        **removed,
        training_messages=withdrawn.messages + num_removed,
        training_ratings=withdrawn.ratings,
        plugin_data=num_data,
        requests=num_requests,
        chats=len(reach.chats),
        consents=num_consents,
        model_versions=versions,
    )


async def _withdraw(
    connection: AsyncConnection,
    pseudonym: str,
    is_here: ColumnElement[bool] | None,
    person: Person,
    now: datetime,
) -> int:
    """End every consent in force, or in one chat that to training; returns how many."""
    granted = await ledger.granted(connection, pseudonym)
    if is_here is not None:
        uuids = set((await connection.execute(select(chats.c.uuid).where(is_here))).scalars())
        granted = [e for e in granted if e.chat_uuid in uuids and e.purpose is Purpose.TRAINING]
    for entry in granted:
        await ledger.append(
            connection,
            pseudonym,
            person.platform,
            entry.chat_uuid,
            entry.purpose,
            is_granted=False,
            source=ConsentSource.FORGET,
            now=now,
        )
    return len(granted)


async def _remove_talk(connection: AsyncConnection, reach: _Reach) -> dict[str, int]:
    """Remove messages, answers and what hangs on them; returns the numbers of rows by kind."""
    on_them, in_chats = select(messages.c.id).where(reach.is_answer), select(messages.c.id).where(reach.in_chats)
    numbers: dict[str, int] = {}
    for table in (feedback, corrections):
        by_them = (table.c.user_id == reach.person.id) & table.c.message_id.in_(in_chats)
        numbers[table.name] = await _delete(connection, table, by_them | table.c.message_id.in_(on_them))
    shown = select(func.count(posts.c.id)).where(posts.c.message_id.in_(on_them))
    numbers["posts"] = (await connection.execute(shown)).scalar_one()
    numbers["answers"] = await _delete(connection, messages, reach.is_answer)  # first: its questions tell which
    numbers["messages"] = await _delete(connection, messages, reach.is_said)
    # In a chat that came about meanwhile, PostgreSQL shows an answer only once its question is gone.
    turns = select(_said.c.turn).where(_said.c.role == "bot", _said.c.id.in_(select(_asked.c.answer_id)))
    is_asked = messages.c.turn.in_(turns) | messages.c.turn.in_(select(_asked.c.id).where(_asked.c.role == "user"))
    await _delete(connection, messages, reach.in_chats & (messages.c.role == "bot") & ~is_asked)
    return numbers


async def _remove_chats(connection: AsyncConnection, reach: _Reach, author: Author | None) -> None:
    """Remove the private chats; where the person goes on and refuses to be remembered, the chat that knows it stays."""
    ids = [chat.id for chat in reach.chats]
    if author is not None and author.refuses_memory:
        await chat_rows.clear(connection, ids)
    else:
        await _delete(connection, chats, chats.c.id.in_(ids))


async def _remove_data(connection: AsyncConnection, reach: _Reach, *, is_everywhere: bool) -> int:
    number = 0
    for chat in reach.chats:
        number += await plugindata.remove(connection, "chat", chat.uuid)
    if is_everywhere:
        owner = plugindata.user_owner(reach.person.platform, reach.person.id)
        number += await plugindata.remove(connection, "user", owner)
    return number


async def _remove_requests(connection: AsyncConnection, person: Person, chat: ChatRef | None) -> int:
    is_theirs = (requests.c.user_platform == person.platform) & (requests.c.user_id == person.id)
    if chat is not None:
        key = chat.parent.key
        is_theirs &= (requests.c.chat_key == key) | requests.c.chat_key.startswith(f"{key}/", autoescape=True)
    return await _delete(connection, requests, is_theirs)


async def _delete(connection: AsyncConnection, table: Table, condition: ColumnElement[bool]) -> int:
    return (await connection.execute(delete(table).where(condition))).rowcount
