"""Looks at messages in several processes, and gives back what comes of them in the order in which they came.

Knows nothing of what is looked for.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from threading import Thread
from typing import TypeVar

from finetune.errors import FinetuneError

AnyItem = TypeVar("AnyItem")
AnyResult = TypeVar("AnyResult")

# Enough that handing them over costs little beside the work, and few enough that all processes have some.
BATCH = 500


class Pool:
    """Processes that are started when there is something to do; leave it with `with`."""

    def __init__(self, workers: int) -> None:
        """0 takes one per core that this process may use; a single one is this process itself."""
        self._workers = workers or len(os.sched_getaffinity(0))
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def map(self, function: Callable[[AnyItem], AnyResult], items: Iterable[AnyItem]) -> Iterator[AnyResult]:
        """`function`, which stands in a module, of each item; a few batches ahead of what is asked for.

        Raises:
            FinetuneError: One of the processes was killed.
        """
        if self._workers == 1:
            return map(function, items)
        return self._mapped(function, items)

    def _mapped(self, function: Callable[[AnyItem], AnyResult], items: Iterable[AnyItem]) -> Iterator[AnyResult]:
        waiting: deque[Future[list[AnyResult]]] = deque()
        source = iter(items)
        while batch := list(islice(source, BATCH)):
            waiting.append(self._submitted(function, batch))
            if len(waiting) > 2 * self._workers:
                yield from _result(waiting.popleft())
        while waiting:
            yield from _result(waiting.popleft())

    def _submitted(self, function: Callable[[AnyItem], AnyResult], batch: list[AnyItem]) -> Future[list[AnyResult]]:
        """Hand a batch over, for which a process may be started: one that leaves Ctrl-C to this one, from the first."""
        executor = self._started()  # which starts a process of multiprocessing's own, and with it lets Ctrl-C through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return executor.submit(_all, function, batch)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            # Not a fork: this process has threads, whose locks a copy of it would never see released.
            self._executor = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"), initializer=_begin)
        return self._executor


def _result(batch: Future[list[AnyResult]]) -> list[AnyResult]:
    try:
        return batch.result()
    except BrokenProcessPool as error:
        raise FinetuneError(
            "a process that cleans messages was killed, for want of memory perhaps; set FINETUNE_WORKERS=1"
        ) from error


def _begin() -> None:
    """See that this process ends when the one is killed that started it: nobody else would."""
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _all(function: Callable[[AnyItem], AnyResult], batch: Iterable[AnyItem]) -> list[AnyResult]:
    return [function(item) for item in batch]
