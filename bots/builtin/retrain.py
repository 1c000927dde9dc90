"""Asking for a new model: `/retrain` for operators, and the news of what became of it.

Knows nothing of training: it leaves requests in the database, where the scheduler finds and answers them, and tells
operators what the scheduler has left there for them.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

from bots.chatlog import ChatLog, Request, RequestState
from bots.plugins import ChatRef, Context, Permission, Plugin, User

KIND = "retrain"
LOOK_FOR_NOTICES_S = 15.0
# The scheduler looks every other second, unless its disk or its machine is busy.
WAIT_FOR_ANSWER_S = 20.0
LOOK_FOR_ANSWER_S = 0.5
NOT_RUNNING = "The scheduler is not running; start it with: python -m finetune schedule"
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

    async def retrain(
        self,
        user: User,
        chat: ChatRef,
        what: Annotated[
            Literal["now", "status", "runs", "report", "pause", "resume"],
            "`now`; `status`, `runs` or `report` to see how it goes; `pause` or `resume` all runs",
        ] = "now",
    ) -> str:
        """Ask for a new model, see how that goes, or let no run begin."""
        if what == "now":
            return await self._ask(chat, user)
        said = await self._answer(what, chat, user)
        return f"{said}\n{await self._asked()}" if what == "status" else said

    async def _ask(self, chat: ChatRef, user: User) -> str:
        waiting = [request for request in await self._log.mailbox.requests(KIND, NUM_SHOWN) if request.state in OPEN]
        if waiting:
            return f"That was asked for already, at {waiting[0].asked_at:%Y-%m-%d %H:%M} UTC. {_told(waiting[0])}"
        await self._log.mailbox.ask(KIND, chat, user)
        return "Noted. The scheduler takes it up when it runs; /retrain status shows how far it is."

    async def _answer(self, what: str, chat: ChatRef, user: User) -> str:
        """What the scheduler says to that."""
        mailbox, until = self._log.mailbox, self._ctx.now() + timedelta(seconds=WAIT_FOR_ANSWER_S)
        request_id = await mailbox.ask(f"{KIND}:{what}", chat, user)
        while (request := await mailbox.request(request_id)) is not None and request.state in OPEN:
            if self._ctx.now() >= until:
                is_nobody_there = await mailbox.withdraw(request_id)
                return NOT_RUNNING if is_nobody_there else "The scheduler is busy with that; look again in a minute."
            await self._ctx.sleep(LOOK_FOR_ANSWER_S)
        return request.note if request is not None else "That was taken back."

    async def _asked(self) -> str:
        """What became of the last wishes for a new model."""
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
