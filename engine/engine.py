"""The engine: answers requests with the champion, and changes over to a new champion without breaking a stream.

Knows nothing of platforms or people. Each bundle version has a `Worker`; new requests go to the newest, and
older ones live until their last answer has ended.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.errors import BundleError, EngineClosedError, RegistryError
from engine.generation import Generation, GenerationRequest
from engine.metrics import MetricsSnapshot
from engine.registry import Promotion, Registry
from engine.settings import EngineSettings
from engine.worker import Worker

logger = logging.getLogger(__name__)


class Engine:
    """Serves one bundle, or the registry's champion and whoever succeeds it.

    Use as an async context manager; leaving it ends every answer that is still being written.
    """

    def __init__(
        self,
        settings: EngineSettings,
        bundle: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve `bundle` if it is given, else follow the registry in `settings`."""
        self._settings, self._bundle, self._clock = settings, bundle, clock
        self._registry = Registry(settings.registry)
        self._tasks = asyncio.TaskGroup()
        self._workers: list[Worker] = []  # the last one takes new requests
        self._swap_lock = asyncio.Lock()
        self._closing = asyncio.Event()
        self._refused: tuple[str | None, tuple[Promotion, ...]] | None = None

    async def __aenter__(self) -> Self:
        """Load the model.

        Raises:
            RegistryError: There is no champion yet.
            BundleError: The bundle is damaged or cannot run.
            ProviderError: The provider does not work here.
        """
        if self._bundle is not None:
            worker = await Worker.load(self._bundle, self._settings, self._clock)
        else:
            version = self._champion()
            path = self._registry.path(version)
            worker = await Worker.load(path, self._settings, self._clock, version=version)
        await self._tasks.__aenter__()
        self._start(worker)
        if self._bundle is None:
            self._tasks.create_task(self._follow_registry(), name="follow the registry")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for worker in self._workers:
            worker.abort()
        # The group is told of no error: what went wrong outside reaches the caller as it is, not in a group.
        await self._tasks.__aexit__(None, None, None)

    @property
    def version(self) -> str:
        """The bundle version that answers new requests."""
        return self._workers[-1].version

    @property
    def loaded_versions(self) -> tuple[str, ...]:
        """All versions in memory; more than one while an older one finishes its answers."""
        return tuple(worker.version for worker in self._workers)

    def metrics(self) -> MetricsSnapshot:
        """Figures of the version that answers new requests."""
        return self._workers[-1].metrics()

    async def submit(self, request: GenerationRequest) -> Generation:
        """Queue a request; see `TextEngine.submit`."""
        if self._closing.is_set():
            raise EngineClosedError("the engine is shutting down; try again when it is back")
        return await self._workers[-1].submit(request)

    async def swap(self, bundle: Path) -> str:
        """Load another bundle beside the one in use and send new requests to it; returns its version.

        Answers under way are finished by the model that began them, which is then freed.

        Raises:
            BundleError: It is damaged or cannot run. The model in use serves on.
        """
        return await self._swap(bundle)

    async def _swap(self, bundle: Path, version: str | None = None) -> str:
        async with self._swap_lock:
            worker = await Worker.load(bundle, self._settings, self._clock, version=version)
            if self._closing.is_set():
                raise EngineClosedError("the engine is shutting down; nothing was swapped")
            old = self._workers[-1]
            self._start(worker)
            old.drain()
            logger.info("new requests go to %s; %s finishes its answers", worker.version, old.version)
            return worker.version

    def _champion(self) -> str:
        version = self._registry.champion()
        if version is None:
            raise RegistryError(
                f"{self._registry.root} holds no model yet; make the default one with `make model`, or any other "
                "with `python -m exporters SOURCE OUT` and `python -m engine add OUT --promote`"
            )
        return version

    def _start(self, worker: Worker) -> None:
        self._workers.append(worker)
        self._tasks.create_task(self._serve(worker), name=f"serve {worker.version}")

    async def _serve(self, worker: Worker) -> None:
        await worker.run()
        if worker is not self._workers[-1]:
            self._workers.remove(worker)
            logger.info("%s has finished and is freed", worker.version)

    async def _follow_registry(self) -> None:
        while not await self._is_closed_within(self._settings.watch_interval_s):
            try:
                await self._follow_champion()
            except BundleError as error:
                logger.error("refused a new champion, %s serves on: %s", self.version, error)  # noqa: TRY400
            except Exception:  # whatever it is, replies go on
                logger.exception("cannot follow the registry; trying again")

    async def _follow_champion(self) -> None:
        champion = await asyncio.to_thread(self._registry.champion)
        if champion in (None, self.version):
            return
        change = champion, (await asyncio.to_thread(self._registry.history))[-1:]
        if change == self._refused:
            return
        try:
            await self._swap(self._registry.path(champion), champion)
        except BundleError:
            self._refused = change  # reported once; promoting it again, repaired, is another change
            raise

    async def _is_closed_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return False
        return True
