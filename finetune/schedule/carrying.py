"""Carries out one run of the queue in this process, and writes down what becomes of it, whatever that is.

Knows nothing of which run is due.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bots.chatlog import DatabaseError
from engine.errors import EngineError
from exporters.errors import ExportError
from finetune.errors import FinetuneError, NoDataError
from finetune.flywheel import running
from finetune.flywheel.record import RunRecord, State
from finetune.flywheel.running import Outcome
from finetune.installation import Installation
from finetune.runreport import page
from finetune.schedule.queue import RunQueue

logger = logging.getLogger(__name__)

STOPPED = 128 + signal.SIGTERM
EXPECTED = (FinetuneError, EngineError, ExportError, DatabaseError)


def carry_out(at: Installation, queue: RunQueue, id: str, now: Callable[[], datetime]) -> RunRecord:
    """Carry out a run that waits; returns what became of it, as it stands in the queue and in its report.

    Told to end, by SIGTERM or Ctrl-C, the run waits again, and goes on after its last checkpoint when it is taken up.

    To be called while nobody else is at the trainings.

    Raises:
        StoreError: Another process carries it out, or it does not wait.
        SystemExit: It was told to end.
        KeyboardInterrupt: Likewise.
    """
    trainings = at.finetune.trainings
    with queue.holding(id), _ended_by_sigterm():
        _stand_back(at.train.nice)
        record = queue.start(id, os.getpid(), now())
        try:
            outcome = _outcome(at, queue, record)
            ended = replace(
                queue.get(id), state=outcome.state, outcome=outcome.words, version=outcome.version, ended_at=now()
            )
            _report(trainings / id, ended)  # before it is over, so that whoever hears of that finds the report
        except (KeyboardInterrupt, SystemExit):
            queue.give_back(id)
            raise
        queue.finish(id, ended.state, ended.outcome, ended.version, now())
        return queue.get(id)


def _outcome(at: Installation, queue: RunQueue, record: RunRecord) -> Outcome:
    """What became of a run; of one that has failed, why."""
    unfinished = [each.id for each in queue.unfinished()]
    try:
        return running.carry_out(at, record, lambda step: queue.at_step(record.id, step), unfinished)
    except NoDataError as error:
        return Outcome(State.SKIPPED, str(error))
    except EXPECTED as error:
        return Outcome(State.FAILED, str(error))
    except Exception as error:  # a bug of ours, which must not leave a run that seems to go on
        sys.excepthook(type(error), error, error.__traceback__)
        return Outcome(State.FAILED, f"{type(error).__name__}: {error}; that is a bug, please report it with log.txt")


def _report(folder: Path, record: RunRecord) -> None:
    """Write the report of a run, if that is possible: what became of the run is known without it."""
    try:
        page.write(folder, record)
    except Exception:  # whatever it is, the run is over
        logger.warning("the report of run %s cannot be written", record.id, exc_info=True)


def _stand_back(nice: int) -> None:
    """Let replies on this machine go first; whoever started us may have seen to it already."""
    with suppress(OSError):
        os.nice(max(0, nice - os.nice(0)))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind what is under way, as Ctrl-C does."""

    def end(*_: object) -> None:
        raise SystemExit(STOPPED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
