"""Which model may be champion: what is in the registry, what of it is tainted, and when that has to go.

A tainted version is replaced by a deadline, and deleted once a clean one is champion; at a second deadline even a
champion is, and the newest clean one before it serves. Knows nothing of gates, nor of why a version is better.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from pydantic import ValidationError

from engine.bundle import MANIFEST_NAME, Manifest
from engine.errors import BundleError, RegistryError
from engine.registry import VERSIONS_NAME, Bar, Promotion, Registry
from finetune.errors import FinetuneError
from finetune.flywheel.lineage import Lineage, Taint


class TaintedError(FinetuneError):
    """A version has seen what it should not have for longer than allowed, and may be used no more."""


class RetiringError(FinetuneError):
    """Not all that may be kept no more is deleted.

    Attributes:
        done: What was done all the same, a line each.
    """

    def __init__(self, problems: Sequence[str], done: Sequence[str]) -> None:
        super().__init__("; ".join((*problems, *(f"done all the same: {line}" for line in done))))
        self.done = tuple(done)


@dataclass(frozen=True)
class VersionInfo:
    """A version of the registry.

    Attributes:
        run: What has trained it; None if it was not trained here, is retired, or damaged so that nobody can tell.
        dataset_sha256: What its dataset is known by, likewise.
        is_base: Whether it is the first champion, which every training starts from.
        retired: When and why it was retired; None if it was not.
        taint: What it has seen that it should not have; None if nothing, if it is retired, or if nobody can tell.
        damage: Why nobody can tell what it is, and what to do; None if its manifest can be read, or it is retired.
    """

    version: str
    run: str | None
    dataset_sha256: str | None
    is_champion: bool
    is_challenger: bool
    is_base: bool
    retired: Promotion | None
    taint: Taint | None
    damage: str | None = None


@dataclass(frozen=True)
class Promotions:
    """The registry under the deadlines of forgetting.

    Attributes:
        taints: As `Lineage.tainted` says.
        forget_days: From a taint until its version has to be replaced, and nobody may go back to it.
        forget_hard_days: Until it is deleted, champion or not.
        now: The time, in UTC.
    """

    registry: Registry
    lineage: Lineage
    taints: Sequence[Taint]
    forget_days: float
    forget_hard_days: float
    now: datetime

    def versions(self) -> list[VersionInfo]:
        """Every version that is in the registry, by name, and then those that were retired, the first first."""
        there, retired = self.registry.versions(), self.registry.retired()
        gone = [version for version in retired if version not in there]
        return [self._info(version, retired.get(version)) for version in (*there, *gone)]

    def _info(self, version: str, retired: Promotion | None) -> VersionInfo:
        manifest, damage = (None, None) if retired else self._manifest(version)
        training = manifest.training if manifest else None
        run = training.run if training else None
        return VersionInfo(
            version=version,
            run=run,
            dataset_sha256=training.dataset_sha256 if training else None,
            is_champion=version == self.registry.champion(),
            is_challenger=version == self.registry.challenger(),
            is_base=version == self.registry.base(),
            retired=retired,
            taint=next((taint for taint in self.taints if taint.run == run), None),
            damage=damage,
        )

    def _manifest(self, version: str) -> tuple[Manifest | None, str | None]:
        """What a version says of itself, or why that cannot be known."""
        path = self.registry.root / VERSIONS_NAME / version / MANIFEST_NAME
        try:
            return Manifest.model_validate_json(path.read_bytes()), None
        except (OSError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
            return None, f"{path} is damaged ({why}); add the bundle again, or retire the version"

    def champion_taint(self) -> Taint | None:
        """What the champion has seen that it should not have; None if it is clean."""
        return next((each.taint for each in self.versions() if each.is_champion), None)

    def due(self) -> datetime | None:
        """By when a clean model has to take the champion's place; None if the champion is clean."""
        taint = self.champion_taint()
        return None if taint is None else self._deadline(taint)

    def promote(self, version: str, reason: str) -> tuple[str, ...]:
        """Make a version the champion.

        Returns:
            Warnings, a line each: it is tainted, though not for too long.

        Raises:
            TaintedError: It is, for too long.
            RegistryError: There is no such version, or it was retired.
            BundleError: It is damaged; the champion stays.
        """
        self.bar_tainted()
        taint = next((each.taint for each in self.versions() if each.version == version), None)
        if taint is not None and self._is_overdue(taint):
            raise TaintedError(f"{version} may be used no more since {self._deadline(taint):%Y-%m-%d}: {taint.why}")
        self.registry.promote(version, reason)
        return self._warnings(version, taint)

    def rollback(self, reason: str) -> tuple[str, tuple[str, ...]]:
        """Go back to the champion before this one that may be gone back to.

        Those before it that are tainted for too long are retired first.

        Returns:
            The version, and warnings as of `promote`.

        Raises:
            RegistryError: There is none.
            BundleError: It is damaged; the champion stays.
        """
        self.bar_tainted()
        for each in self._living():
            if not each.is_champion and each.taint is not None and self._is_overdue(each.taint):
                self._retire(each, _reason(each.taint))
        version = self.registry.rollback(reason)
        return version, self._warnings(version, self.champion_taint())

    def bar_tainted(self) -> None:
        """Let the registry itself refuse what is tainted from its deadline on, whoever asks it; and no longer the rest.

        What is damaged is barred as it was: nobody can tell whether it is tainted still.

        Raises:
            RegistryError: It cannot be written to.
        """
        bars = {each.version: self._bar(each.taint) for each in self.versions() if each.damage is None}
        if bars:
            self.registry.bar(bars)

    def _bar(self, taint: Taint | None) -> Bar | None:
        return None if taint is None else Bar(since=self._deadline(taint), reason=_reason(taint))

    def retire_tainted(self, under_way: Collection[str] = ()) -> tuple[str, ...]:
        """Delete what is tainted and need not or may not be kept: versions, and what their runs have left.

        A version that is not champion goes once the champion is clean, or by the deadline. The champion goes by the
        second one: the nearest clean champion before it takes its place. Runs whose model was never taken in go as
        versions do. What cannot be deleted keeps nothing else from it.

        Args:
            under_way: Runs that are not over, whose files are still written.

        Returns:
            What was done, a line each.

        Raises:
            RetiringError: The champion has to go, and no clean version is there to take its place; or files cannot be
                deleted.
        """
        done: list[str] = []
        problems: list[str] = []
        for act in self._due_acts(under_way):
            try:
                line = act()
            except (FinetuneError, RegistryError) as error:
                problems.append(str(error))
            else:
                done += [line] if line else []
        if problems:
            raise RetiringError(problems, done)
        return tuple(done)

    def _due_acts(self, under_way: Collection[str]) -> Iterator[Callable[[], str | None]]:
        """What is to be done, each once all before it is, as far as it can be; an act tells what it has done."""
        yield self.bar_tainted
        for version in sorted(set(self.registry.retired()) & set(self.registry.versions())):
            yield partial(self.registry.retire, version, "")  # an interruption has left files of it
        taint = self.champion_taint()
        if taint is not None and self.now >= taint.since + timedelta(days=self.forget_hard_days):
            yield partial(self._replace_champion, taint)
        living, is_clean = self._living(), self._is_champion_clean()
        for each in living:
            if each.taint and not each.is_champion and (is_clean or self._is_overdue(each.taint)):
                yield partial(self._retire_as_tainted, each, each.taint)
        spared = {*under_way, *(each.run for each in self._living())}
        for taint in self.taints:
            if taint.run not in spared and (is_clean or self._is_overdue(taint)):
                yield partial(self.lineage.drop, taint.run)

    def _is_champion_clean(self) -> bool:
        """Whether there is no reason to keep others for the champion's sake; nobody can tell of one that is damaged."""
        return not any(each.is_champion and (each.taint or each.damage) for each in self._living())

    def _retire_as_tainted(self, each: VersionInfo, taint: Taint) -> str:
        self._retire(each, _reason(taint))
        return f"{each.version} is deleted: {_reason(taint)}"

    def _replace_champion(self, taint: Taint) -> str:
        champion = self.registry.champion()
        reason = f"in place of {champion}, {_reason(taint)}"
        tainted = {each.version for each in self._living() if each.taint is not None}
        for version in self.registry.predecessors():
            if version in tainted:
                continue
            try:
                self.registry.promote(version, reason)
            except BundleError:
                continue  # the one before it is better than the one that has to go
            return f"{version} is champion, {reason}"
        raise TaintedError(
            f"{champion} has to be deleted ({_reason(taint)}), and {self.registry.root} has no clean version to take "
            "its place; promote one: make model"
        )

    def keep(self, number: int) -> tuple[str, ...]:
        """Retire trained versions but the newest ones; returns what was done, a line each.

        Champion, challenger and base stay in any case, and whatever was not trained here.
        """
        trained = sorted((each for each in self._living() if each.run), key=lambda each: each.run or "", reverse=True)
        old = [each for each in trained[number:] if not (each.is_champion or each.is_challenger or each.is_base)]
        for each in old:
            self._retire(each, f"old: the newest {number} are kept")
        return tuple(f"{each.version} is deleted, as it is old" for each in old)

    def _retire(self, each: VersionInfo, reason: str) -> None:
        self.registry.retire(each.version, reason)
        if each.run is not None:
            self.lineage.drop(each.run)

    def _living(self) -> list[VersionInfo]:
        return [each for each in self.versions() if each.retired is None]

    def _deadline(self, taint: Taint) -> datetime:
        return taint.since + timedelta(days=self.forget_days)

    def _is_overdue(self, taint: Taint) -> bool:
        return self.now >= self._deadline(taint)

    def _warnings(self, version: str, taint: Taint | None) -> tuple[str, ...]:
        if taint is None:
            return ()
        return (f"{version} has to be replaced by {self._deadline(taint):%Y-%m-%d}: {taint.why}",)


def _reason(taint: Taint) -> str:
    return f"tainted since {taint.since:%Y-%m-%d}: {taint.why}"
