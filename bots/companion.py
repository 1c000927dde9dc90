"""A task that lives exactly as long as a block of code.

Knows nothing of chats.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def companion(work: Coroutine[object, object, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` beside the body; cancel it and wait for it when the body ends.

    What the body raises comes out as it is. A plain task group would wrap it, and `except QueueFullError`
    would no longer catch it. If `work` fails, the body is cancelled and an exception group comes out. The
    body may cancel the task that it is given, to be rid of it sooner.
    """
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield task
        except Exception as exc:  # raised again below, outside the group
            failure = exc
        finally:
            task.cancel()
    if failure is not None:
        raise failure
