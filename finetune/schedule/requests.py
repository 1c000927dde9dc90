"""What operators ask of the scheduler in chats, and what it answers.

They leave requests in the mailbox of the chat log; the note with which one ends is what is said to whoever asked. Knows
nothing of platforms.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from bots.chatlog import ChatLog, Request
from finetune.flywheel.record import Trigger
from finetune.schedule.queue import Pause, RunQueue

RETRAIN = "retrain"
STATUS, RUNS, REPORT, PAUSE, RESUME = (f"{RETRAIN}:{what}" for what in ("status", "runs", "report", "pause", "resume"))
# Whoever asked has been told by then that nobody answers, and is not to be surprised by a pause an hour later.
STALE_AFTER = timedelta(minutes=1)

Answer = Callable[[Request], Awaitable[str]]


class Desk:
    """Takes requests and sees to them."""

    def __init__(self, queue: RunQueue, log: ChatLog, tell: Mapping[str, Answer], now: Callable[[], datetime]) -> None:
        """`tell` answers the kinds of requests that change nothing, with what to say."""
        self._queue, self._log, self._now = queue, log, now
        self._answers = {**tell, PAUSE: self._pause, RESUME: self._resume}

    async def reclaim(self) -> None:
        """Take up what a scheduler before this one has taken and not ended; to be called before `serve`."""
        for kind in (RETRAIN, *self._answers):
            await self._log.mailbox.reclaim(kind, self._now())

    async def serve(self) -> None:
        """See to everything that waits."""
        while (request := await self._log.mailbox.take(RETRAIN)) is not None:
            await self._retrain(request)
        for kind, answer in self._answers.items():
            while (request := await self._log.mailbox.take(kind)) is not None:
                await self._answer(request, answer)

    async def _answer(self, request: Request, answer: Answer) -> None:
        if self._now() - request.asked_at > STALE_AFTER:
            await self._log.mailbox.end(request.id, is_done=False, note="it was asked too long ago; nothing was done")
            return
        await self._log.mailbox.end(request.id, is_done=True, note=await answer(request))

    async def _retrain(self, request: Request) -> None:
        """Ask for a run; the request ends with it (`Supervisor.tell`), also where it was taken once before."""
        if self._queue.of_request(request.id) is not None:
            return
        reason = f"an operator has asked for it on {request.user.platform}"
        record = self._queue.add(Trigger.CHAT, reason, now=self._now(), request_id=request.id)
        if record.request_id != request.id:
            note = f"run {record.id}, which waits already, does that"
            await self._log.mailbox.end(request.id, is_done=True, note=note)

    async def _pause(self, request: Request) -> str:
        self._queue.set_pause(Pause(f"an operator on {request.user.platform}", self._now()))
        running = self._queue.running()
        return "No run begins until /retrain resume." + (f" Run {running.id} goes on." if running else "")

    async def _resume(self, _: Request) -> str:
        self._queue.set_pause(None)
        return "Runs begin again when they are due."
