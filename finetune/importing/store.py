"""The imported chats on disk: for each a folder with its messages, encrypted, and a manifest that anyone may read.

Knows nothing of the formats that they came in.
"""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bots.chatlog import FileCipher
from finetune.durable import write_text
from finetune.errors import NoDataError, SourceFileError, StoreError
from finetune.importing import forgotten
from finetune.importing.forgotten import Forgotten, Oblivion
from finetune.locking import alone
from finetune.message import SourceMessage
from finetune.rights import Right
from finetune.sealed import Digest, Rows, write_rows

FORMAT = 1
MANIFEST = "manifest.json"
INCOMING = "incoming.rows"
# Beside the folders of the imports: who was forgotten, and which imports were removed.
FORGOTTEN, REMOVED = "forgotten.rows", "removed.rows"
_OURS = {FORGOTTEN: "who was forgotten", REMOVED: "what was removed"}
MAX_NAME = 64
RESERVED = frozenset({"canary", "log", "replay"})
LOST = "put back a copy of it, or remove it; models that have seen removed imports are not found then"
_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{MAX_NAME - 1}}}")


@dataclass(frozen=True)
class Origin:
    """Where an import came from.

    Attributes:
        file: Its name, without the folder.
        file_sha256: Of the file as it was.
        options: What was given on the command line.
    """

    format: str
    platform: str
    file: str
    file_sha256: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Import:
    """One imported file.

    Attributes:
        messages: How many, and what they are known by.
        problems: Rows that were bad.
        skipped: Rows that hold nothing to learn, by reason.
    """

    name: str
    right: Right
    origin: Origin
    messages: Digest
    problems: int
    skipped: tuple[tuple[str, int], ...]

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""
        row = asdict(self) | {"format": FORMAT, "right": str(self.right)}
        return row | {"skipped": dict(self.skipped), "origin": row["origin"] | {"options": dict(self.origin.options)}}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """The reverse of `to_json`."""
        origin = row["origin"] | {"options": tuple(sorted(row["origin"]["options"].items()))}
        return cls(
            name=row["name"],
            right=Right.parse(row["right"]),
            origin=Origin(**origin),
            messages=Digest(**row["messages"]),
            problems=row["problems"],
            skipped=tuple(sorted(row["skipped"].items())),
        )


@dataclass(frozen=True)
class Removed:
    """An import that was removed."""

    name: str
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"name": self.name, "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(row["name"], datetime.fromisoformat(row["at"]))


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class ImportStore:
    """A folder of imports."""

    def __init__(self, root: Path, cipher: FileCipher, *, now: Callable[[], datetime] = utc_now) -> None:
        self._root, self._cipher, self._now = root, cipher, now

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from changing what is imported.

        Raises:
            StoreError: One is at it, or the folder cannot be made.
        """
        with alone(self._root, "FINETUNE_IMPORTS"):
            yield

    def all(self) -> list[Import]:
        """Every import, by name.

        Raises:
            StoreError: A manifest cannot be read.
        """
        return [self._read(path) for path in sorted(self._root.glob(f"*/{MANIFEST}"))]

    def find(self, name: str) -> Import | None:
        """The import of that name."""
        path = self._root / name / MANIFEST
        return self._read(path) if _NAME.fullmatch(name) and path.exists() else None

    def messages(self, name: str) -> Rows[SourceMessage]:
        """What was said in an import.

        Raises:
            StoreError: There is none of that name.
        """
        each = self.find(name)
        if each is None:
            raise StoreError(f"there is no import named {name}; `python -m finetune sources` lists them")
        return Rows(self._rows_of(each), self._cipher, SourceMessage.from_json, "import the file again")

    def has_messages(self, each: Import) -> bool:
        """Whether the messages of an import are there; whether they are whole is seen when they are read."""
        return self._rows_of(each).exists()

    def _rows_of(self, each: Import) -> Path:
        return self._root / each.name / _file_of(each.messages)

    def add(
        self,
        name: str,
        right: Right,
        origin: Origin,
        messages: Iterable[SourceMessage],
        found: Callable[[], tuple[int, Counter[str]]],
    ) -> Import:
        """Keep what a file holds, all of it or nothing; an import of that name is replaced. To be called `alone`.

        People who were forgotten stay so: nothing of them is kept.

        Args:
            found: How many rows were bad and which were skipped, asked once all messages were read.

        Raises:
            SourceFileError: There is no message in it.
            StoreError: It cannot be written.
        """
        folder, oblivion = self._root / checked_name(name), self._oblivion(origin.platform)
        with write_rows(folder / INCOMING, self._cipher) as written:
            for message in oblivion.left(messages):
                written.writer.write(message.to_json())
            problems, skipped = found()
            skipped = skipped + Counter({"forgotten before": oblivion.num_left_out})
            if not written.writer.num_rows:
                raise SourceFileError(_nothing(origin, problems, skipped))
        assert written.digest is not None
        done = Import(name, right, origin, written.digest, problems, tuple(sorted(skipped.items())))
        self._commit(folder, done)
        return done

    def remove(self, name: str) -> bool:
        """Remove an import for good, also a damaged or interrupted one; False if there is none. To be called `alone`.

        That it was there, and until when, is remembered: models may have seen it.

        Raises:
            StoreError: It cannot be removed.
        """
        folder = self._root / name
        if not (_NAME.fullmatch(name) and folder.is_dir()):
            return False
        removed = [*self.removed(), Removed(name, self._now())]
        with write_rows(self._root / REMOVED, self._cipher) as written:
            for each in removed:
                written.writer.write(each.to_json())
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StoreError(f"{folder} cannot be removed ({error.strerror}); look at its permissions") from error
        return True

    def removed(self) -> list[Removed]:
        """The imports that were removed, oldest first; one that was imported again may be among them."""
        path = self._root / REMOVED
        return list(Rows(path, self._cipher, Removed.from_json, LOST)) if path.exists() else []

    def forgotten(self) -> list[Forgotten]:
        """The people who were forgotten, of all platforms."""
        return list(forgotten.read_all(self._root / FORGOTTEN, self._cipher))

    def forget(self, platform: str, *authors: str) -> dict[str, int]:
        """Remove what some authors have said from every import, and where others name them. To be called `alone`.

        It lasts: what is imported later comes without those authors, too.

        Returns:
            How many messages, by import; 0 for one that only names an author, or holds a vote.

        Raises:
            NoDataError: An author is in no import, nor was ever forgotten. Nothing was changed.
        """
        imports = [each for each in self.all() if each.origin.platform == platform]
        people = forgotten.look_for(platform, authors, imported_messages(self, imports), self._now())
        before = forgotten.read(self._root / FORGOTTEN, self._cipher, platform)
        known = {person.key for person in (*people, *before)}
        missing = [author for author in authors if (platform, author.lower()) not in known]
        if missing:
            raise NoDataError(
                f"no import has messages by {', '.join(missing)} on {platform}, so nobody is forgotten; authors are "
                "named as in the export: by id, or by name where it has no ids"
            )
        if not people:  # all of them were forgotten before, so that nothing of them is left
            return {}
        forgotten.remember(self._root / FORGOTTEN, self._cipher, people)
        after = {each.name: self._forget(each) for each in imports}
        return {
            each.name: each.messages.rows - after[each.name].rows
            for each in imports
            if each.messages != after[each.name]
        }

    def _forget(self, each: Import) -> Digest:
        folder = self._root / each.name
        with write_rows(folder / INCOMING, self._cipher) as written:
            for message in self._oblivion(each.origin.platform).left(self.messages(each.name)):
                written.writer.write(message.to_json())
        assert written.digest is not None
        self._commit(folder, replace(each, messages=written.digest))
        return written.digest

    def _oblivion(self, platform: str) -> Oblivion:
        return Oblivion(forgotten.read(self._root / FORGOTTEN, self._cipher, platform))

    def _commit(self, folder: Path, done: Import) -> None:
        """Let an import be what has come in: the manifest decides, so a crash leaves the one before or this one."""
        (folder / INCOMING).replace(folder / _file_of(done.messages))
        write_text(folder / MANIFEST, json.dumps(done.to_json(), indent=2, sort_keys=True) + "\n")
        for path in folder.glob("*.rows"):
            if path.name != _file_of(done.messages):
                path.unlink()

    def _read(self, path: Path) -> Import:
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            if row["format"] != FORMAT:
                raise StoreError(
                    f"{path} is of format {row['format']}, this version reads {FORMAT}; {_anew(path.parent.name)}"
                )
            return Import.from_json(row)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} is damaged ({error}); {_anew(path.parent.name)}") from error


def _anew(name: str) -> str:
    return f"import the file again after: python -m finetune remove {name}"


def _file_of(messages: Digest) -> str:
    return f"messages-{messages.sha256[:16]}.rows"


def _nothing(origin: Origin, problems: int, skipped: Counter[str]) -> str:
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(skipped.items()))
    return (
        f"{origin.file} holds no message that could be imported as {origin.format}: {problems} bad rows, "
        f"{sum(skipped.values())} skipped{f' ({reasons})' if reasons else ''}; check the format and its options"
    )


def checked_name(name: str) -> str:
    """The name of an import, if it is one.

    Raises:
        StoreError: It is none.
    """
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"{name!r} is no name for an import: give 1 to 64 of a-z, 0-9, dot, dash and underscore with --name"
        )
    if name in _OURS:
        raise StoreError(f"{name} is where we keep {_OURS[name]}; give another name with --name")
    if name in RESERVED:
        raise StoreError(f"{name} is what datasets call a source of our own; give another name with --name")
    return name


def name_for(path: Path) -> str:
    """A name for the import of a file, made of its own."""
    stem = path.name.lower().removesuffix(".gz")
    stem = stem.rpartition(".")[0] or stem
    name = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "import"
    if len(name) <= MAX_NAME:
        return name
    # Exports in parts differ at the end of long names.
    return f"{name[: MAX_NAME - 9]}-{hashlib.sha256(stem.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def sha256_of(path: Path) -> str:
    """The hash of a file.

    Raises:
        SourceFileError: It cannot be read, or not twice.
    """
    if path.is_fifo():
        raise SourceFileError(f"{path} is a pipe, and has to be read twice; write it to a file first")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceFileError(f"{path} cannot be read ({error.strerror}); check the path") from error


def imported_messages(store: ImportStore, imports: Iterable[Import]) -> Iterator[SourceMessage]:
    """All messages of some imports, each with the name of its own."""
    for each in imports:
        for message in store.messages(each.name):
            yield replace(message, source=each.name)
