"""Asking for a new model: `/retrain` for operators, and the news of what became of it.

Knows nothing of training: it leaves a request in the database, where the scheduler finds it, and tells operators what
the scheduler has left there for them.
"""

from typing import Any, Literal

from bots.chatlog import ChatLog, Request, RequestState
from bots.plugins import ChatRef, Context, Permission, Plugin, User

KIND = "retrain"
LOOK_FOR_NOTICES_S = 15.0
NUM_SHOWN = 5
OPEN = (RequestState.WAITING, RequestState.TAKEN)


class RetrainPlugin(Plugin):
    """The way to the scheduler and back."""

    name = "retrain"
    summary = "training a new model"
    version = "1"

    def __init__(self, log: ChatLog) -> None:
        self._log = log

    async def setup(self, ctx: Context[Any]) -> None:
        """Register the command, and look for news."""
        self._ctx = ctx
        ctx.command("retrain", self.retrain, permission=Permission.OPERATOR)
        ctx.every(self.deliver_notices, interval_s=LOOK_FOR_NOTICES_S)

    async def retrain(self, user: User, chat: ChatRef, what: Literal["now", "status"] = "now") -> str:
        """Ask for a new model, or show what became of that with `status`."""
        if what == "status":
            return await self._status()
        waiting = [request for request in await self._log.mailbox.requests(KIND, NUM_SHOWN) if request.state in OPEN]
        if waiting:
            return f"That was asked for already, at {waiting[0].asked_at:%Y-%m-%d %H:%M} UTC. {_told(waiting[0])}"
        await self._log.mailbox.ask(KIND, chat, user)
        return "Noted. The scheduler takes it up when it runs; /retrain status shows how far it is."

    async def _status(self) -> str:
        requests = await self._log.mailbox.requests(KIND, NUM_SHOWN)
        if not requests:
            return "Nobody has asked for a new model yet."
        return "\n".join(f"{request.asked_at:%Y-%m-%d %H:%M} UTC: {_told(request)}" for request in requests)

    async def deliver_notices(self) -> None:
        """Tell operators what the scheduler has to say, once."""
        for notice in await self._log.mailbox.undelivered():
            if await self._ctx.tell_operators(notice.text):
                await self._log.mailbox.delivered(notice.id)


def _told(request: Request) -> str:
    return f"{request.state}{f' ({request.note})' if request.note else ''}"
