"""What plugins keep: JSON values by key, for a chat, for a person, or for the plugin itself; encrypted.

What is kept for a person is exported and forgotten with all else of that person. Knows nothing of plugins but
their names.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog import chats, places
from bots.chatlog.archive import Archive
from bots.chatlog.cipher import Cipher
from bots.chatlog.content import bytes_of, text_of
from bots.chatlog.database import AnyRow, insert
from bots.chatlog.places import PLUGIN_DATA
from bots.chatlog.records import Person
from bots.chatlog.schema import plugin_data
from bots.message import ChatRef, User

MAX_KEY_CHARS = 200
MAX_VALUE_BYTES = 64 * 1024

# Whom a value is kept for; None for the plugin itself.
Owner = ChatRef | Person | User | None


class PluginData:
    """What plugins keep; reached as `ChatLog.data`."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def get(self, plugin: str, owner: Owner, key: str) -> Any:
        """The value; None if there is none.

        Raises:
            ValueError: No database can keep such a key; `items` and `delete` refuse it, too.
        """
        _check_characters(key)
        return (await self._read(plugin, owner, plugin_data.c.key == key)).get(key)

    async def items(self, plugin: str, owner: Owner, prefix: str = "") -> dict[str, Any]:
        """The values of one owner whose keys begin with `prefix`, by key."""
        _check_characters(prefix)
        # Not LIKE, which takes no notice of case on SQLite.
        is_meant = plugin_data.c.key.between(prefix, prefix + "\U0010ffff") if prefix else None
        found = await self._read(plugin, owner, is_meant)
        return {key: found[key] for key in sorted(found) if key.startswith(prefix)}

    async def set(self, plugin: str, owner: Owner, key: str, value: Any) -> None:
        """Keep a value, in place of the one before.

        Raises:
            ValueError: The key or the value is too long, the value is no JSON, or the key holds what no database
                keeps: NUL, or half a character (a lone surrogate).
        """
        _check_key(key)
        data = _to_json(value)
        now, chat = self._archive.now(), None
        async with self._archive.write() as connection:
            if isinstance(owner, ChatRef):
                # Not from what this process remembers: another one may have removed the chat.
                chat = await chats.ensure(connection, owner, now, is_private=None)
                await chats.hold(connection, chat)
                scope = ("chat", chat.uuid)
            else:
                scope = _scope_of(owner)
            row = {"plugin": plugin, "scope": scope[0], "owner": scope[1], "key": key}
            key_id, blob = self._archive.cipher.seal(_place(**row), data)
            values = {"value": blob, "key_id": key_id, "updated_at": now}
            statement = insert(connection, plugin_data).values(**row, **values)
            await connection.execute(statement.on_conflict_do_update(index_elements=list(row), set_=values))
        if chat is not None:
            self._archive.remember(chat)

    async def delete(self, plugin: str, owner: Owner, key: str) -> bool:
        """Remove a value; False if there was none."""
        _check_characters(key)
        scope = await self._scope(owner)
        if scope is None:
            return False
        gone = delete(plugin_data).where(_is_of(plugin, *scope), plugin_data.c.key == key)
        async with self._archive.write() as connection:
            return bool((await connection.execute(gone)).rowcount)

    async def drop(self, plugin: str) -> int:
        """Remove all that a plugin keeps; returns how many values."""
        async with self._archive.write() as connection:
            return (await connection.execute(delete(plugin_data).where(plugin_data.c.plugin == plugin))).rowcount

    async def _read(self, plugin: str, owner: Owner, condition: ColumnElement[bool] | None) -> dict[str, Any]:
        scope = await self._scope(owner)
        if scope is None:
            return {}
        found = select(plugin_data).where(_is_of(plugin, *scope))
        if condition is not None:
            found = found.where(condition)
        async with self._archive.read() as connection:
            rows = (await connection.execute(found)).all()
        return {row.key: value_of(self._archive.cipher, row) for row in rows}

    async def _scope(self, owner: Owner) -> tuple[str, str] | None:
        """How the table names an owner; None for a chat that was never seen."""
        if isinstance(owner, ChatRef):
            chat = await self._archive.find(owner)
            return ("chat", chat.uuid) if chat else None
        return _scope_of(owner)


def _scope_of(owner: Person | User | None) -> tuple[str, str]:
    return ("plugin", "") if owner is None else ("user", user_owner(owner.platform, owner.id))


def user_owner(platform: str, user_id: str) -> str:
    """How the table names a person."""
    return f"{quote(platform, safe='')}/{quote(user_id, safe='')}"


def value_of(cipher: Cipher, row: AnyRow) -> Any:
    """The value in a row of the table."""
    place = _place(row.plugin, row.scope, row.owner, row.key)
    return json.loads(text_of(cipher.open(place, row.value)))


async def kept_for(
    connection: AsyncConnection, cipher: Cipher, scope: str, owner: str
) -> Mapping[str, Mapping[str, Any]]:
    """All values that are kept for a chat or a person, by plugin and key."""
    found = select(plugin_data).where(_is_owned(scope, owner)).order_by(plugin_data.c.plugin, plugin_data.c.key)
    kept: dict[str, dict[str, Any]] = {}
    for row in (await connection.execute(found)).all():
        kept.setdefault(row.plugin, {})[row.key] = value_of(cipher, row)
    return kept


async def remove(connection: AsyncConnection, scope: str, owner: str) -> int:
    """Remove all that is kept for a chat or a person; returns how many values."""
    return (await connection.execute(delete(plugin_data).where(_is_owned(scope, owner)))).rowcount


async def carry(connection: AsyncConnection, cipher: Cipher, source_uuid: str, target_uuid: str) -> None:
    """Let a chat have what is kept for one that becomes part of it, unless it has a value by that key."""
    found = select(plugin_data).where(_is_owned("chat", target_uuid))
    there = {(row.plugin, row.key) for row in (await connection.execute(found)).all()}
    found = select(plugin_data).where(_is_owned("chat", source_uuid))
    for row in (await connection.execute(found)).all():
        if (row.plugin, row.key) not in there:
            data = cipher.open(_place(row.plugin, "chat", source_uuid, row.key), row.value)
            key_id, blob = cipher.seal(_place(row.plugin, "chat", target_uuid, row.key), data)
            values = {"owner": target_uuid, "value": blob, "key_id": key_id}
            await connection.execute(update(plugin_data).where(plugin_data.c.id == row.id).values(values))
    await remove(connection, "chat", source_uuid)


def _is_of(plugin: str, scope: str, owner: str) -> ColumnElement[bool]:
    return (plugin_data.c.plugin == plugin) & _is_owned(scope, owner)


def _is_owned(scope: str, owner: str) -> ColumnElement[bool]:
    return (plugin_data.c.scope == scope) & (plugin_data.c.owner == owner)


def _place(plugin: str, scope: str, owner: str, key: str) -> str:
    return places.place(PLUGIN_DATA, plugin, scope, owner, key)


def _check_key(key: str) -> None:
    if not 0 < len(key) <= MAX_KEY_CHARS:
        raise ValueError(f"key has {len(key)} characters, the limit is 1 to {MAX_KEY_CHARS}; shorten it")
    _check_characters(key)


def _check_characters(key: str) -> None:
    if "\0" in key or any("\ud800" <= char <= "\udfff" for char in key):
        raise ValueError(f"key {key!a} holds NUL or a lone surrogate, which no database keeps; leave it out")


def _to_json(value: Any) -> bytes:
    try:
        data = bytes_of(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"value is no JSON ({error}); keep strings, numbers, lists and dicts") from error
    if len(data) > MAX_VALUE_BYTES:
        raise ValueError(f"value has {len(data)} bytes as JSON, the limit is {MAX_VALUE_BYTES}; split it")
    return data
