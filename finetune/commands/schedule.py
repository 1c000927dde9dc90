"""The commands about runs: `run`, `schedule`, `runs`, `status`, `pause`, `resume`.

They load what training needs only when a run begins.
"""

import argparse
import asyncio
import getpass
import importlib
import logging
import sys
import time
from contextlib import ExitStack

from finetune.errors import TakenError
from finetune.flywheel.record import RunRecord, State, Trigger
from finetune.installation import Installation
from finetune.locking import alone
from finetune.runreport.summary import summary
from finetune.schedule import news, triggers
from finetune.schedule.queue import RunQueue
from finetune.schedule.scheduling import Scheduling, utc_now
from finetune.schedule.service import FACTS

# How often a run looks whether it may begin.
LOOK_S = 10.0


def run(at: Installation, options: argparse.Namespace) -> int:
    """Carry out the run that is due, or one that is asked for now; 1 if it has failed.

    Where something else is under way nothing is asked for: no run is to begin later that somebody gave up.
    """
    queue = RunQueue(at.schedule.database)
    if options.id is None and (other := queue.running()) is not None:
        raise TakenError(f"run {other.id} is under way, at: {other.step}; let it finish, or end it")
    with _alone(at, is_patient=options.id is not None):
        queue.adopt_orphans(at.schedule.attempts, utc_now())
        record = _carried_out(at, queue, options)
    if record is None:
        print("nothing is due; `run --now` makes a model in any case, and `status` says what the triggers have seen")
        return 0
    for line in summary(at.finetune.trainings / record.id, record):
        print(line)
    if not queue.has_scheduler:
        asyncio.run(_tell(at, queue))
    return int(record.state is State.FAILED)


def _alone(at: Installation, *, is_patient: bool) -> ExitStack:
    """Be the only one to train; where somebody trains by hand, a run that the scheduler has begun waits for that."""
    lock, is_said = ExitStack(), False
    while True:
        try:
            lock.enter_context(alone(at.finetune.trainings, "FINETUNE_TRAININGS"))
        except TakenError as error:
            if not is_patient:
                raise
            if not is_said:
                print(f"the run waits, as {error}", flush=True)
            is_said = True
            time.sleep(LOOK_S)
        else:
            return lock


def _carried_out(at: Installation, queue: RunQueue, options: argparse.Namespace) -> RunRecord | None:
    if (record := _chosen(at, queue, options)) is None:
        return None
    carrying = importlib.import_module("finetune.schedule.carrying")
    ended: RunRecord = carrying.carry_out(at, queue, record.id, utc_now)
    return ended


async def _tell(at: Installation, queue: RunQueue) -> None:
    async with at.log() as log:
        await news.tell(queue, log)


def _chosen(at: Installation, queue: RunQueue, options: argparse.Namespace) -> RunRecord | None:
    if options.id is not None:
        return queue.get(options.id)
    if options.now:
        return queue.add(Trigger.MANUAL, f"asked for by {getpass.getuser()}", now=utc_now())
    if queue.pause is not None:
        return None
    return queue.next_waiting() or _due(at, queue)


def _due(at: Installation, queue: RunQueue) -> RunRecord | None:
    gathering = importlib.import_module("finetune.schedule.facts")
    facts = gathering.after_upkeep(at, utc_now())
    queue.keep(FACTS, {"at": utc_now().isoformat(), "facts": facts.to_json()})
    found = triggers.due(facts, at.schedule, utc_now())
    return None if found is None else queue.add(found.trigger, found.reason, now=utc_now())


def schedule(at: Installation, options: argparse.Namespace) -> int:
    """Keep running, and see to whatever is due."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr, force=True)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    scheduling = Scheduling.of(at, options.cron)
    for line in scheduling.status()[1:]:  # but for that no scheduler is running
        print(line, flush=True)
    scheduling.serve()
    return 0


def runs(at: Installation, options: argparse.Namespace) -> int:
    """Show what became of the last runs."""
    return _say(Scheduling.of(at).runs(options.n))


def status(at: Installation, _: argparse.Namespace) -> int:
    """Show what is under way, and what is due."""
    return _say(Scheduling.of(at).status())


def pause(at: Installation, _: argparse.Namespace) -> int:
    """Let no run begin."""
    return _say(Scheduling.of(at).pause(getpass.getuser()))


def resume(at: Installation, _: argparse.Namespace) -> int:
    """Let runs begin again."""
    return _say(Scheduling.of(at).resume())


def _say(lines: list[str]) -> int:
    for line in lines:
        print(line)
    return 0
