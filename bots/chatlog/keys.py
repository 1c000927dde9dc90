"""The key file: what message texts are encrypted with, kept outside the database.

A text file with a line `<key id> <32 bytes in base64>` per key, the newest first; new texts are encrypted
with the newest. A first line `# rotation ...` says that texts under older keys are being encrypted anew.
Knows nothing of what is encrypted.
"""

import base64
import binascii
import fcntl
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bots.errors import DatabaseError

logger = logging.getLogger(__name__)

KEY_BYTES = 32
ID_BYTES = 4
ROTATING = "# rotation under way; to finish it: python -m bots.chatlog rotate-key"


@dataclass(frozen=True)
class Key:
    """One key. `id` is eight hexadecimal digits, and no secret."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def random(cls) -> "Key":
        """A fresh key."""
        return cls(secrets.token_hex(ID_BYTES), secrets.token_bytes(KEY_BYTES))


@dataclass(frozen=True)
class KeyFile:
    """What a key file says; `keys` are never empty, the newest first."""

    keys: tuple[Key, ...]
    is_rotating: bool = False


class KeyRing:
    """The keys of a file, which may change while the ring is in use: a rotation needs no restart."""

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises:
            DatabaseError: It cannot be read, or holds something else.
        """
        self.path = path
        self._seen = _fingerprint(path)
        self._use(read_keys(path))

    @property
    def newest(self) -> Key:
        """The key for new texts."""
        self._refresh()
        return self._newest

    def get(self, key_id: str) -> Key | None:
        """The key of that name."""
        self._refresh()
        return self._keys.get(key_id)

    def _use(self, file: KeyFile) -> None:
        self._newest, self._keys = file.keys[0], {key.id: key for key in file.keys}

    def _refresh(self) -> None:
        fingerprint = _fingerprint(self.path)
        if fingerprint == self._seen:
            return
        self._seen = fingerprint
        try:
            self._use(read_keys(self.path))
        except DatabaseError as error:  # a slip of the operator's need not stop a bot that has its keys
            logger.error("%s; going on with the keys read before", error)  # noqa: TRY400 - the message says it all


def _fingerprint(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_keys(path: Path) -> KeyFile:
    """Parse a key file.

    Raises:
        DatabaseError: It cannot be read, or a line is no key; says which line, never what it holds.
    """
    try:
        if path.stat().st_mode & 0o077:
            logger.warning("others than its owner can read %s; run: chmod 600 %s", path, path)
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DatabaseError(f"the key file {path} cannot be read ({reason}); see DATABASE_KEY_FILE") from error
    keys: dict[str, Key] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            key = _parse(line, f"line {number} of the key file {path}")
            if key.id in keys:
                raise DatabaseError(f"the key file {path} has two keys named {key.id}; put back the file as it was")
            keys[key.id] = key
    if not keys:
        raise DatabaseError(f"the key file {path} holds no key; put back a copy of it")
    return KeyFile(tuple(keys.values()), ROTATING in lines)


def _parse(line: str, where: str) -> Key:
    key_id, _, encoded = line.strip().partition(" ")
    try:
        is_id = len(bytes.fromhex(key_id)) == ID_BYTES and key_id == key_id.lower()
        secret = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        is_id, secret = False, b""
    if not is_id or len(secret) != KEY_BYTES:
        # No `from`: the error at hand may quote the key.
        raise DatabaseError(f"{where} is not `<8 hex digits> <32 bytes in base64>`; put back a copy of it") from None
    return Key(key_id, secret)


def create_keys(path: Path) -> None:
    """Make a key file with one fresh key; one that another process has just made stays.

    Raises:
        DatabaseError: It cannot be written.
    """
    with _written(path, KeyFile((Key.random(),))) as written, suppress(FileExistsError):
        os.link(written, path)  # unlike a rename it never replaces, and unlike O_EXCL it is never seen half written


def replace_keys(path: Path, keys: Sequence[Key], *, is_rotating: bool) -> None:
    """Put other keys into a key file, all at once.

    Raises:
        DatabaseError: It cannot be written.
    """
    with _written(path, KeyFile(tuple(keys), is_rotating)) as written:
        written.replace(path)


@contextmanager
def _written(path: Path, file: KeyFile) -> Iterator[Path]:
    """A file beside `path`, safely on disk with mode 0600; what is done with it is on disk in the end, too."""
    lines = [ROTATING] if file.is_rotating else []
    lines += [f"{key.id} {base64.b64encode(key.secret).decode()}" for key in file.keys]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp: 0600, O_EXCL
        written = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as out:
                out.write("\n".join(lines) + "\n")
                out.flush()
                os.fsync(out.fileno())
            yield written
            _sync_folder(path.parent)
        finally:
            written.unlink(missing_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"the key file {path} cannot be written ({error.strerror}); see DATABASE_KEY_FILE"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def sole_rotation(path: Path) -> Iterator[None]:
    """Keep other processes from rotating the same key file.

    Raises:
        DatabaseError: One is at it.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise DatabaseError(f"another process is rotating {path}; let it finish") from error
