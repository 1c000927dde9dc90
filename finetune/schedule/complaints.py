"""Tells operators what keeps the schedule from its work, once a day each, for as long as it lasts.

Knows nothing of where complaints come from.
"""

import hashlib
from datetime import datetime, timedelta

from bots.chatlog import ChatLog
from finetune.schedule.queue import RunQueue

COMPLAINTS = "complaints"
EVERY = timedelta(days=1)


async def complain(queue: RunQueue, log: ChatLog, reason: str, now: datetime) -> None:
    """Leave a notice of something that does not work, unless there was the same one within a day."""
    # By hash: it is not known what stands in it, and the queue holds nothing that people have said.
    key = hashlib.blake2b(reason.encode(), digest_size=8).hexdigest()
    kept: dict[str, str] = queue.recall(COMPLAINTS) or {}
    lately = {each: at for each, at in kept.items() if now - datetime.fromisoformat(at) < EVERY}
    if key not in lately:
        await log.mailbox.post_notice(f"The schedule: {reason}")
        queue.keep(COMPLAINTS, lately | {key: now.isoformat()})
