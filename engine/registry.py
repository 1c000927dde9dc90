"""The registry: a folder of bundle versions, one of which is the champion that engines serve.

`versions/<version>/` are bundles; `registry.json` holds the champion, the challenger that may succeed it, and the
history of all changes in one file that is replaced atomically, so a reader sees the state before or after a change and
nothing between. Several processes may use one registry: writers take a lock, which dies with its process. Whoever knows
that a version may not be used from some time on bars it: nobody can make it the champion then. Knows nothing of why a
version is better than another, or may be used no more.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.bundle import Bundle
from engine.errors import BundleError, RegistryError

STATE_NAME = "registry.json"
LOCK_NAME = "registry.lock"
VERSIONS_NAME = "versions"


Action = Literal["promote", "rollback", "challenge", "retire"]


class Promotion(BaseModel):
    """One change; times are UTC.

    Attributes:
        replaced: The champion before, the challenger before, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime
    action: Action
    version: str
    replaced: str | None
    reason: str


class Bar(BaseModel):
    """From when on, in UTC, nobody may make a version the champion, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: datetime
    reason: str


class _State(BaseModel):
    """`registry.json`; format 1 knew neither challengers nor retired or barred versions, and is read as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = 2
    champion: str | None = None
    challenger: str | None = None
    history: tuple[Promotion, ...] = ()
    barred: dict[str, Bar] = {}

    @property
    def retired(self) -> dict[str, Promotion]:
        """When and why each retired version was."""
        return {change.version: change for change in self.history if change.action == "retire"}

    @property
    def line(self) -> list[str]:
        """The champions that led to the present one: a promotion goes on from it, a rollback back to an earlier one."""
        line: list[str] = []
        for change in self.history:
            if change.action == "promote" and line[-1:] != [change.version]:
                line.append(change.version)
            if change.action == "rollback":
                del line[-1:]
                while line and line[-1] != change.version:  # those between were gone already
                    line.pop()
        return line

    def changed(
        self, action: Action, version: str, replaced: str | None, reason: str, **pointers: str | None
    ) -> "_State":
        """The state after one more change, with the pointers that it moves."""
        change = Promotion(at=datetime.now(UTC), action=action, version=version, replaced=replaced, reason=reason)
        return self.model_copy(update={"format": 2, "history": (*self.history, change), **pointers})


class Registry:
    """Versions, champion and history below one folder, which is made when first written to."""

    def __init__(self, root: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now` tells the time that bars go by."""
        self.root, self._now = root, now

    def champion(self) -> str | None:
        """The version that engines serve, None as long as nothing was promoted."""
        return self._read().champion

    def challenger(self) -> str | None:
        """The version that waits to be promoted, if one does."""
        return self._read().challenger

    def base(self) -> str | None:
        """The first champion there ever was; None as long as nothing was promoted."""
        return next((change.version for change in self.history() if change.action == "promote"), None)

    def history(self) -> tuple[Promotion, ...]:
        """All changes, oldest first."""
        return self._read().history

    def retired(self) -> dict[str, Promotion]:
        """When and why each version was retired that nobody may go back to."""
        return self._read().retired

    def barred(self) -> dict[str, Bar]:
        """The versions that nobody may make the champion by now."""
        return {version: bar for version, bar in self._read().barred.items() if bar.since <= self._now()}

    def predecessors(self) -> list[str]:
        """The champions before the present one that may be gone back to, the nearest first."""
        barred = self.barred()
        return [version for version in self._earlier() if version not in barred]

    def versions(self) -> list[str]:
        """All versions in the folder, by name; whether they are intact is another matter."""
        folder = self.root / VERSIONS_NAME
        found = folder.iterdir() if folder.exists() else ()
        return sorted(path.name for path in found if path.is_dir() and not path.name.startswith("."))

    def path(self, version: str) -> Path:
        """The folder of a version.

        Raises:
            RegistryError: There is none of that name.
        """
        if version not in self.versions():
            known = ", ".join(self.versions()) or "none"
            raise RegistryError(f"{self.root} has no version {version!r}; there are: {known}")
        return self.root / VERSIONS_NAME / version

    def add(self, bundle: Path) -> str:
        """Check a bundle and take it in; returns its version. Adding it again repairs a copy that was damaged.

        The registry has its own copy: what happens to the original later does not matter.

        Raises:
            BundleError: The bundle is damaged.
            RegistryError: That version was retired, or it cannot be copied.
        """
        version = Bundle.open(bundle).version
        with self._locked():
            self._refuse_retired(version)
            target = self.root / VERSIONS_NAME / version
            if not _is_intact(target, version):
                shutil.rmtree(target, ignore_errors=True)
                _copy(bundle, target)
        return version

    def challenge(self, version: str, reason: str) -> None:
        """Let a version wait to be promoted, in place of the one that waits so far.

        Raises:
            RegistryError: There is no such version, it was retired or is barred, or it is the champion already.
            BundleError: It is damaged.
        """
        self._open(version)
        with self._locked():
            self._refuse_unusable(version)
            state = self._read()
            if version == state.champion:
                raise RegistryError(f"{version} is the champion already; it cannot wait to become it")
            self._write(state.changed("challenge", version, state.challenger, reason, challenger=version))

    def promote(self, version: str, reason: str) -> None:
        """Make a version the champion. Engines that follow the registry switch to it.

        No challenger is left then: what waited was compared with the champion before.

        Raises:
            RegistryError: There is no such version, or it was retired or is barred.
            BundleError: It is damaged; the champion stays.
        """
        self._open(version)
        with self._locked():
            self._refuse_unusable(version)
            state = self._read()
            self._write(state.changed("promote", version, state.champion, reason, champion=version, challenger=None))

    def rollback(self, reason: str) -> str:
        """Go back to the champion before this one, or the nearest before it that is there still; returns it.

        Rolling back twice goes back twice. Versions that are barred are passed over.

        Raises:
            RegistryError: There was none before that may be used.
            BundleError: It is damaged; the champion stays.
        """
        with self._locked():
            previous = self._predecessor()
            Bundle.open(self.path(previous), previous)
            state = self._read()
            challenger = None if state.challenger == previous else state.challenger
            after = state.changed(
                "rollback", previous, state.champion, reason, champion=previous, challenger=challenger
            )
            self._write(after)
        return previous

    def bar(self, bars: Mapping[str, Bar | None]) -> None:
        """Note from when on nobody may make some versions the champion; None lifts what was noted of one.

        A champion that is barred serves on until another one is promoted.
        """
        with self._locked():
            state = self._read()
            barred = {version: bar for version, bar in {**state.barred, **bars}.items() if bar is not None}
            if barred != state.barred:
                self._write(state.model_copy(update={"format": 2, "barred": barred}))

    def retire(self, version: str, reason: str) -> None:
        """Delete a version for good: nobody may go back to it. The history keeps its name and the reason.

        Answers that an engine is writing with it are finished: a model that is loaded needs its files no more.
        Retiring it again deletes what an interruption or a full disk has left of it.

        Raises:
            RegistryError: It is the champion, there is no such version, or its files cannot be deleted.
        """
        with self._locked():
            folder, state = self.path(version), self._read()
            if version == state.champion:
                raise RegistryError(f"{version} is the champion; promote another version or roll back first")
            if version not in state.retired:
                challenger = None if state.challenger == version else state.challenger
                # First: nobody is to go back to what is half deleted.
                self._write(state.changed("retire", version, None, reason, challenger=challenger))
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise RegistryError(
                    f"{version} is retired, but {folder} cannot be deleted ({error.strerror}); look at its "
                    "permissions and retire it again"
                ) from error

    def _open(self, version: str) -> None:
        self._refuse_unusable(version)
        Bundle.open(self.path(version), version)

    def _refuse_unusable(self, version: str) -> None:
        self._refuse_retired(version)
        if (bar := self.barred().get(version)) is not None:
            raise RegistryError(
                f"{version} may be used no more since {bar.since:%Y-%m-%d at %H:%M} UTC ({bar.reason}); choose another "
                "one with: python -m engine list"
            )

    def _refuse_retired(self, version: str) -> None:
        if (change := self.retired().get(version)) is not None:
            raise RegistryError(
                f"{version} was retired on {change.at:%Y-%m-%d at %H:%M} UTC ({change.reason}) and may be used no "
                "more; choose another one with: python -m engine list"
            )

    def _predecessor(self) -> str:
        if usable := self.predecessors():
            return usable[0]
        barred = ", ".join(self._earlier())
        raise RegistryError(
            f"{self.root} has no champion before the present one to roll back to"
            f"{f' that may still be used ({barred} may not)' if barred else ''}; promote a version instead"
        )

    def _earlier(self) -> list[str]:
        """The champions before the present one that are there still, barred or not, the nearest first."""
        state, there = self._read(), set(self.versions())
        earlier = dict.fromkeys(reversed(state.line[:-1]))
        return [v for v in earlier if v in there and v not in state.retired and v != state.champion]

    def _read(self) -> _State:
        path = self.root / STATE_NAME
        try:
            return _State.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return _State()
        except OSError as error:
            raise RegistryError(f"{path} cannot be read ({error.strerror})") from error
        except ValidationError as error:
            raise RegistryError(
                f"{path} cannot be read: {error.errors()[0]['msg']}; restore it or remove it"
            ) from error

    def _write(self, state: _State) -> None:
        path = self.root / STATE_NAME
        staging = path.with_suffix(".tmp")
        try:
            with staging.open("w", encoding="utf-8") as file:
                file.write(state.model_dump_json(indent=2))
                file.flush()
                os.fsync(file.fileno())
            staging.replace(path)
        except OSError as error:
            raise RegistryError(
                f"{path} cannot be written ({error.strerror}), and is as it was; free some space or look at its "
                "permissions, and try again"
            ) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / LOCK_NAME).open("a")
        except OSError as error:
            raise RegistryError(f"{self.root} cannot be written to ({error.strerror})") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _copy(bundle: Path, target: Path) -> None:
    """Copy a bundle, all of it or nothing."""
    staging = target.with_name(f".{target.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        shutil.copytree(bundle, staging)
        staging.rename(target)
    except OSError as error:  # as shutil.Error is, which has a line for each file
        shutil.rmtree(staging, ignore_errors=True)
        raise RegistryError(
            f"{bundle} cannot be copied to {target} ({error.strerror or _first_of(error)}); free some space or look at "
            "the permissions there, and add it again"
        ) from error


def _first_of(error: OSError) -> str:
    """What `shutil.copytree` says of the first file that it could not copy."""
    (_, _, why), *_ = error.args[0]
    return str(why)


def _is_intact(bundle: Path, version: str) -> bool:
    try:
        Bundle.open(bundle, version)
    except BundleError:
        return False
    return True
