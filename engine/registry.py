"""The registry: a folder of bundle versions, one of which is the champion that engines serve.

`versions/<version>/` are bundles; `registry.json` holds the champion and the history of promotions in one file
that is replaced atomically, so a reader sees the state before or after a change and nothing between.
Several processes may use one registry: writers take a lock, which dies with its process.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.bundle import Bundle
from engine.errors import BundleError, RegistryError

STATE_NAME = "registry.json"
LOCK_NAME = "registry.lock"
VERSIONS_NAME = "versions"


class Promotion(BaseModel):
    """One change of champion; times are UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime
    action: Literal["promote", "rollback"]
    version: str
    replaced: str | None
    reason: str


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    champion: str | None = None
    history: tuple[Promotion, ...] = ()


class Registry:
    """Versions, champion and history below one folder, which is made when first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def champion(self) -> str | None:
        """The version that engines serve, None as long as nothing was promoted."""
        return self._read().champion

    def history(self) -> tuple[Promotion, ...]:
        """All changes of champion, oldest first."""
        return self._read().history

    def versions(self) -> list[str]:
        """All versions in the folder, by name."""
        folder = self.root / VERSIONS_NAME
        return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.exists() else []

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
        """
        version = Bundle.open(bundle).version
        with self._locked():
            target = self.root / VERSIONS_NAME / version
            if not _is_intact(target, version):
                shutil.rmtree(target, ignore_errors=True)
                staging = target.with_name(f".{version}.staging")
                shutil.rmtree(staging, ignore_errors=True)
                shutil.copytree(bundle, staging)
                staging.rename(target)
        return version

    def promote(self, version: str, reason: str) -> None:
        """Make a version the champion. Engines that follow the registry switch to it.

        Raises:
            RegistryError: There is no such version.
            BundleError: It is damaged; the champion stays.
        """
        Bundle.open(self.path(version), version)
        with self._locked():
            self._replace_champion("promote", version, reason)

    def rollback(self, reason: str) -> str:
        """Go back to the champion before this one; returns it.

        Rolling back twice goes back twice.

        Raises:
            RegistryError: There was none before.
        """
        with self._locked():
            previous = self._predecessor()
            Bundle.open(self.path(previous), previous)
            self._replace_champion("rollback", previous, reason)
        return previous

    def _predecessor(self) -> str:
        """Replay the history as a stack: a promotion pushes, a rollback pops."""
        line: list[str] = []
        for change in self._read().history:
            if change.action == "rollback":
                del line[-1:]
            elif not line or line[-1] != change.version:
                line.append(change.version)
        if len(line) < 2:
            raise RegistryError(f"{self.root} has no champion before the present one to roll back to")
        return line[-2]

    def _replace_champion(self, action: Literal["promote", "rollback"], version: str, reason: str) -> None:
        state = self._read()
        change = Promotion(at=datetime.now(UTC), action=action, version=version, replaced=state.champion, reason=reason)
        self._write(_State(champion=version, history=(*state.history, change)))

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
        with staging.open("w", encoding="utf-8") as file:
            file.write(state.model_dump_json(indent=2))
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)

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


def _is_intact(bundle: Path, version: str) -> bool:
    try:
        Bundle.open(bundle, version)
    except BundleError:
        return False
    return True
