"""`python -m finetune.schedule.facts`: prints what triggers go by, as a line of JSON, after the upkeep of an hour.

With `--upkeep` it does that alone.

A process of its own, as it may read all of the chat log and run the model; the scheduler stays small. The drift is
measured once a day. Knows nothing of what follows from the facts.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bots.chatlog import ChatLog, DatabaseError
from engine.bundle import Bundle
from engine.errors import EngineError
from finetune.errors import FinetuneError
from finetune.flywheel.lineage import Lineage
from finetune.flywheel.record import State, Trigger
from finetune.importing.store import MANIFEST, Import, ImportStore
from finetune.installation import Installation
from finetune.schedule import upkeep
from finetune.schedule.queue import RunQueue
from finetune.schedule.service import UPKEEP
from finetune.schedule.triggers import Facts, Votes

WEEK = timedelta(days=7)
DRIFT = "drift"
DRIFT_EVERY = timedelta(days=1)
# In an import, about every second message answers another.
MESSAGES_PER_TARGET = 2
EVER = datetime.min.replace(tzinfo=UTC)
# A run that was skipped has seen what there is, too: the same is not enough tomorrow.
LOOKED = (State.PROMOTED, State.REFUSED, State.SKIPPED)
ENDED = tuple(state for state in State if state.is_over)


def main(arguments: Sequence[str]) -> int:
    """Print the facts of now; returns the exit code."""
    try:
        at, now = Installation.open(), datetime.now(UTC)
        _see_to_upkeep(at, now)
        facts = None if UPKEEP in arguments else gather(at, now)
    except (FinetuneError, EngineError, DatabaseError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # for the scheduler, which logs it
        return 1
    if facts is not None:
        print(json.dumps(facts.to_json()))  # noqa: T201  # what it is for
    return 0


def after_upkeep(at: Installation, now: datetime) -> Facts:
    """The facts, once what may not be kept any more is deleted; errors as those of `gather`."""
    _see_to_upkeep(at, now)
    return gather(at, now)


def _see_to_upkeep(at: Installation, now: datetime) -> None:
    try:
        upkeep.retire_tainted(at, now)
    except (FinetuneError, EngineError) as error:  # a run may be the way out, so it must not keep one from being due
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # as above


def gather(at: Installation, now: datetime) -> Facts:
    """The facts as they are at a time."""
    imports = at.imports  # asks the chat log for its key, which cannot be done from within `_gather`
    return asyncio.run(_gather(at, imports, now))


async def _gather(at: Installation, imports: ImportStore, now: datetime) -> Facts:
    queue, champion = RunQueue(at.schedule.database), _champion(at)
    seen, ended = queue.newest_of(*LOOKED), queue.newest_of(*ENDED)
    forgot = queue.newest_of(*ENDED, trigger=Trigger.FORGET)
    since = (seen and seen.started_at) or EVER
    async with at.log() as log:
        return Facts(
            new_targets=await log.training.new_targets(since) + _imported(at, imports, since),
            drift=await _drift(at, queue, log, champion, now) if champion else None,
            this_week=await _votes(log, now - WEEK, now),
            last_week=await _votes(log, now - 2 * WEEK, now - WEEK),
            tainted_since=await _tainted_since(at, imports, log, champion) if champion else None,
            last_ended_at=ended.ended_at if ended else None,
            last_forget_ended_at=forgot.ended_at if forgot else None,
        )


async def _votes(log: ChatLog, since: datetime, until: datetime) -> Votes:
    counts = await log.feedback_rates(since, until)
    return Votes(counts.good, counts.bad)


def _imported(at: Installation, imports: ImportStore, since: datetime) -> int:
    """About how many answers there are in imports that came, or were changed, from a time on."""
    new = (each for each in imports.all() if _changed_at(at, each) >= since)
    return sum(each.messages.rows // MESSAGES_PER_TARGET for each in new)


def _changed_at(at: Installation, each: Import) -> datetime:
    return datetime.fromtimestamp((at.finetune.imports / each.name / MANIFEST).stat().st_mtime, UTC)


def _champion(at: Installation) -> Bundle | None:
    """The model that is served, if we have trained it: of any other there is nothing to say."""
    version = at.registry.champion()
    bundle = None if version is None else Bundle.open(at.registry.path(version))
    return bundle if bundle is not None and bundle.manifest.training is not None else None


async def _tainted_since(at: Installation, imports: ImportStore, log: ChatLog, champion: Bundle) -> datetime | None:
    """Since when the champion knows what it should not; None if it does not."""
    assert champion.manifest.training is not None
    taints = Lineage(at.finetune.trainings, imports, at.cipher).tainted(await log.training.tainted_since())
    return next((taint.since for taint in taints if taint.run == champion.manifest.training.run), None)


async def _drift(at: Installation, queue: RunQueue, log: ChatLog, champion: Bundle, now: datetime) -> float | None:
    """How far the champion has drifted, as it was measured today or is now; None if there is too little to tell."""
    kept: dict[str, Any] | None = queue.recall(DRIFT)
    if kept and kept["version"] == champion.version and now - datetime.fromisoformat(kept["at"]) < DRIFT_EVERY:
        found: float | None = kept["drift"]
        return found
    from finetune.schedule import drift  # noqa: PLC0415  # it loads PyTorch, which an hourly look does not need

    assert champion.manifest.training is not None
    began = next((each.started_at for each in queue.newest(1000) if each.id == champion.manifest.training.run), None)
    measured = await drift.measured(at, log, champion, max(now - WEEK, began or EVER))
    queue.keep(DRIFT, {"version": champion.version, "at": now.isoformat(), "drift": measured})
    return measured


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
