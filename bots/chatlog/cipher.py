"""Encryption of single texts: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce.

A ciphertext is bound to its place: copied into another chat's row or into another column, it does not open.
Knows nothing of tables. Random nonces are good for 2^32 texts per key (section 8.3 there), which a chat log
does not see.

Layout: version (1 byte) | key id (4) | nonce (12) | ciphertext and tag.
"""

import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bots.chatlog.keys import ID_BYTES, Key, KeyRing
from bots.errors import DatabaseError

VERSION = b"\x01"
NONCE_BYTES = 12
HEADER_BYTES = len(VERSION) + ID_BYTES


class Sealed(NamedTuple):
    """An encrypted text, and the id of the key that it was encrypted with."""

    key_id: str
    blob: bytes


class Cipher:
    """Encrypts with the newest key of a ring, and decrypts with any."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring

    def seal(self, place: str, data: bytes, key: Key | None = None) -> Sealed:
        """Encrypt `data` for one place, with the newest key if none is given."""
        key = key or self.ring.newest
        header, nonce = VERSION + bytes.fromhex(key.id), os.urandom(NONCE_BYTES)
        encrypted = AESGCM(key.secret).encrypt(nonce, data, header + place.encode())
        return Sealed(key.id, header + nonce + encrypted)

    def open(self, place: str, blob: bytes) -> bytes:
        """Decrypt what was sealed for the same place.

        Raises:
            DatabaseError: Its key is missing or another one than it was, or the text was changed or moved.
        """
        header, nonce, encrypted = (
            blob[:HEADER_BYTES],
            blob[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES],
            blob[HEADER_BYTES + NONCE_BYTES :],
        )
        key_id = header[1:].hex()
        if header[:1] != VERSION:
            raise DatabaseError("a stored text is in a format that this version does not know; update the program")
        key = self.ring.get(key_id)
        if key is None:
            raise DatabaseError(f"key {key_id} is missing in {self.ring.path}; put back the file that has it")
        try:
            return AESGCM(key.secret).decrypt(nonce, encrypted, header + place.encode())
        except (InvalidTag, ValueError):
            # No `from`: nothing of what was being decrypted goes into a traceback.
            raise DatabaseError(
                f"a text encrypted with key {key_id} does not open: either {self.ring.path} has another key by that "
                "name, then put back the file that belongs to this database, or the row was damaged or moved"
            ) from None
