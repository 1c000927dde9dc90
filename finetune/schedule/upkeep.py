"""What the schedule does beside runs: deletes models that know what was taken back, once they may not be kept.

The rules are those of `finetune.flywheel.promotion`; here they are followed also where no run would.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

from finetune.errors import TakenError
from finetune.flywheel import standing
from finetune.flywheel.folder import BY_HAND, SEARCH
from finetune.flywheel.promotion import RetiringError
from finetune.installation import Installation
from finetune.locking import alone
from finetune.schedule.queue import RunQueue


def retire_tainted(at: Installation, now: datetime) -> tuple[str, ...]:
    """Delete what may not be kept any more, and leave a notice for operators of each.

    Returns:
        What was done, a line each.

    Raises:
        RetiringError: The champion has to go, and nothing is there to take its place; or files cannot be deleted.
            Operators are told of what was done all the same.
    """
    try:
        with _under_way(at) as under_way:
            done = standing.promotions(at, now).retire_tainted(under_way)
    except RetiringError as error:
        asyncio.run(_tell(at, error.done))
        raise
    asyncio.run(_tell(at, done))
    return done


@contextmanager
def _under_way(at: Installation) -> Iterator[list[str]]:
    """The runs whose files others write: those that are not over, and by hand any, unless nobody is at the trainings.

    Then nobody can begin to be before this ends.
    """
    trainings, by_hand = at.finetune.trainings, list[str]()
    with ExitStack() as held:
        try:
            held.enter_context(alone(trainings, "FINETUNE_TRAININGS"))
        except TakenError:
            by_hand = [path.name for suffix in (BY_HAND, SEARCH) for path in trainings.glob(f"*{suffix}")]
        yield [record.id for record in RunQueue(at.schedule.database).unfinished()] + by_hand


async def _tell(at: Installation, lines: Sequence[str]) -> None:
    if not lines:
        return
    async with at.log() as log:
        for line in lines:
            await log.mailbox.post_notice(f"Model {line}")
