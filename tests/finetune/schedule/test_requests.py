"""What operators ask of the scheduler in chats."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from bots.chatlog import ChatLog, Person, Request, RequestState
from bots.message import ChatRef
from finetune.flywheel.record import State, Trigger
from finetune.schedule.queue import RunQueue
from finetune.schedule.requests import STALE_AFTER, Desk
from tests.finetune.workplace import Workplace

CHAT, ANN = ChatRef("telegram", "bot", "1"), Person("telegram", "7")


@dataclass
class Counter:
    """A desk, and those who stand before it."""

    queue: RunQueue
    log: ChatLog
    late: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.desk = Desk(self.queue, self.log, {"retrain:status": _status}, self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.late

    async def asked(self, kind: str) -> tuple[RequestState, str]:
        id = await self.log.mailbox.ask(kind, CHAT, ANN)
        await self.desk.serve()
        return await self.became(id)

    async def became(self, id: int) -> tuple[RequestState, str]:
        request = await self.log.mailbox.request(id)
        assert request is not None
        return request.state, request.note


@pytest.fixture
async def counter(workplace: Workplace) -> AsyncIterator[Counter]:
    async with workplace.log() as log:
        yield Counter(RunQueue(workplace.folder / "schedule.db"), log)


async def _status(request: Request) -> str:
    return f"all is well, {request.user.id}"


async def test_a_wish_for_a_new_model_becomes_a_run_that_ends_it(counter: Counter) -> None:
    state, _ = await counter.asked("retrain")
    (run,) = counter.queue.waiting()
    assert state is RequestState.TAKEN
    assert (run.trigger, run.reason) == (Trigger.CHAT, "an operator has asked for it on telegram")
    second = await counter.log.mailbox.ask("retrain", CHAT, ANN)
    await counter.desk.serve()
    assert counter.queue.waiting() == [run]
    assert await counter.became(second) == (RequestState.DONE, f"run {run.id}, which waits already, does that")


async def test_a_wish_is_one_run_though_its_scheduler_died(counter: Counter) -> None:
    lost = await counter.log.mailbox.ask("retrain", CHAT, ANN)
    assert await counter.log.mailbox.take("retrain") is not None
    for _ in range(2):
        await counter.desk.reclaim()
        await counter.desk.serve()
        assert [run.request_id for run in counter.queue.waiting()] == [lost]
    counter.queue.finish(counter.queue.waiting()[0].id, State.SKIPPED, "", None, counter.now())
    await counter.desk.reclaim()
    await counter.desk.serve()
    assert counter.queue.waiting() == []


async def test_pause_and_resume_hold_for_all_runs(counter: Counter) -> None:
    assert await counter.asked("retrain:pause") == (RequestState.DONE, "No run begins until /retrain resume.")
    pause = counter.queue.pause
    assert pause is not None
    assert pause.who == "an operator on telegram"
    assert await counter.asked("retrain:resume") == (RequestState.DONE, "Runs begin again when they are due.")
    assert counter.queue.pause is None


async def test_a_pause_names_the_run_that_goes_on(counter: Counter) -> None:
    id = counter.queue.add(Trigger.CRON, "why", now=counter.now()).id
    with counter.queue.holding(id):
        counter.queue.start(id, 1, counter.now())
        _, note = await counter.asked("retrain:pause")
    assert note.endswith(f"Run {id} goes on.")


async def test_a_question_is_answered_in_its_note(counter: Counter) -> None:
    assert await counter.asked("retrain:status") == (RequestState.DONE, "all is well, 7")


async def test_what_was_asked_while_nobody_was_there_surprises_nobody(counter: Counter) -> None:
    counter.late = STALE_AFTER + timedelta(seconds=1)
    state, _ = await counter.asked("retrain:pause")
    assert state is RequestState.FAILED
    assert counter.queue.pause is None
    # A new model is still wanted, however long ago that was said.
    await counter.asked("retrain")
    assert len(counter.queue.waiting()) == 1
