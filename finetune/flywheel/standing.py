"""Where an installation's models stand: what taints them by today, and what may be done with them.

Puts together what the chat log, the imports and the registry know; the rules stand in `finetune.flywheel.promotion`.
"""

import asyncio
from datetime import datetime

from finetune.flywheel.lineage import Lineage, Taint
from finetune.flywheel.promotion import Promotions
from finetune.installation import Installation


def lineage(at: Installation) -> Lineage:
    """What all runs have seen of imports."""
    return Lineage(at.finetune.trainings, at.imports, at.cipher)


def taints(at: Installation) -> tuple[Taint, ...]:
    """The runs that have seen what they should not have any more."""
    seen = lineage(at)  # before the log is opened: the key of its files is asked of the log, too

    async def ask() -> tuple[Taint, ...]:
        async with at.log() as log:
            return seen.tainted(await log.training.tainted_since())

    return asyncio.run(ask())


def drop_if_tainted(at: Installation, run: str) -> bool:
    """Remove everything that a run has learnt, if it is tainted; returns whether it was.

    Raises:
        StoreError: Something cannot be removed.
    """
    is_tainted = any(taint.run == run for taint in taints(at))
    if is_tainted:
        lineage(at).drop(run)
    return is_tainted


def promotions(at: Installation, now: datetime) -> Promotions:
    """The registry under the deadlines of forgetting, as of today."""
    schedule = at.schedule
    return Promotions(at.registry, lineage(at), taints(at), schedule.forget_days, schedule.forget_hard_days, now)
