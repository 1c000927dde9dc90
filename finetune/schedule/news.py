"""Tells those who run the bot, and whoever asked, what became of runs; at least once.

Knows nothing of how it reaches them: the bots deliver it.
"""

from bots.chatlog import ChatLog
from finetune.flywheel.record import State
from finetune.schedule.queue import RunQueue
from finetune.schedule.words import notice


async def tell(queue: RunQueue, log: ChatLog) -> None:
    """Leave a notice of each run that is over and that nobody was told of, and answer those who asked for it."""
    for record in queue.untold():
        text = notice(record)
        if record.request_id is not None:
            is_done = record.state in (State.PROMOTED, State.REFUSED)
            await log.mailbox.end(record.request_id, is_done=is_done, note=text)
        await log.mailbox.post_notice(text)
        queue.told(record.id)
