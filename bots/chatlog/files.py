"""Encryption of what other packages keep in files of their own, in the trust of the database.

Such files are encrypted with a key of their own, which stands in the database like any other text: encrypted with
the key file's newest key, and encrypted anew when that is rotated. So files outlive a rotation, and none opens
without the key file. Knows nothing of what the files are.

AES-256-SIV (RFC 5297), which needs no nonce: the same text in the same place always becomes the same bytes, so that
what was made twice of the same can be seen to be the same.
"""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bots.chatlog.archive import Archive
from bots.chatlog.database import insert
from bots.chatlog.places import PLUGIN_DATA, place
from bots.chatlog.schema import plugin_data
from bots.errors import DatabaseError

KEY_BYTES = 64
# Where the key stands: no plugin can have a name with a dot.
_ROW = {"plugin": ".files", "scope": "plugin", "owner": "", "key": "key"}
_PLACE = place(PLUGIN_DATA, *_ROW.values())


class FileCipher:
    """Encrypts parts of files; can be handed to other processes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._siv = AESSIV(key)

    def __reduce__(self) -> tuple[type["FileCipher"], tuple[bytes]]:
        return FileCipher, (self._key,)

    def seal(self, place: str, data: bytes) -> bytes:
        """Encrypt `data`, which is not empty, for one place; what is copied to another one does not open there."""
        return self._siv.encrypt(data, [place.encode()])

    def open(self, place: str, blob: bytes) -> bytes:
        """Decrypt what was sealed for the same place.

        Raises:
            DatabaseError: It was changed or moved, or belongs to another database.
        """
        try:
            return self._siv.decrypt(blob, [place.encode()])
        except (InvalidTag, ValueError):
            # No `from`: nothing of what was being decrypted goes into a traceback.
            raise DatabaseError("it does not open: it was damaged, or belongs to another database") from None


async def cipher_of(archive: Archive) -> FileCipher:
    """The cipher for files; its key is made when it is first asked for."""
    async with archive.read() as connection:
        key = await _read(connection, archive)
    if key is None:
        async with archive.write() as connection:
            await _make(connection, archive)
        async with archive.read() as connection:
            key = await _read(connection, archive)  # another process may have been faster
        assert key is not None
    return FileCipher(key)


async def _read(connection: AsyncConnection, archive: Archive) -> bytes | None:
    is_it = (plugin_data.c[name] == value for name, value in _ROW.items())
    blob = await connection.scalar(select(plugin_data.c.value).where(*is_it))
    return None if blob is None else base64.b64decode(archive.cipher.open(_PLACE, blob))


async def _make(connection: AsyncConnection, archive: Archive) -> None:
    key_id, blob = archive.cipher.seal(_PLACE, base64.b64encode(os.urandom(KEY_BYTES)))
    values = {"value": blob, "key_id": key_id, "updated_at": archive.now()}
    statement = insert(connection, plugin_data).values(**_ROW, **values)
    await connection.execute(statement.on_conflict_do_nothing(index_elements=list(_ROW)))
