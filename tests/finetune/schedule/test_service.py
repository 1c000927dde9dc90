"""What goes on in the scheduler's process, in one that is ours."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from bots.chatlog import ChatLog, Person, Request, RequestState
from bots.message import ChatRef
from finetune.flywheel.record import Trigger
from finetune.schedule.queue import Pause, RunQueue
from finetune.schedule.requests import Desk
from finetune.schedule.service import FACTS, Service
from finetune.schedule.supervisor import Supervisor
from finetune.schedule.times import open_times
from finetune.schedule.triggers import Due, Facts
from tests.finetune.workplace import Workplace

CHAT, ANN = ChatRef("telegram", "bot", "1"), Person("telegram", "7")
ENOUGH = json.dumps(Facts(new_targets=600).to_json())


def now() -> datetime:
    return datetime.now(UTC)


def judge(facts: Facts, _: datetime) -> Due | None:
    return Due(Trigger.VOLUME, "there is much") if facts.new_targets > 0 else None


@dataclass
class Place:
    """Where services are run, in a pause: nothing is started but what finds out the facts."""

    queue: RunQueue
    log: ChatLog
    later: timedelta = timedelta()

    async def notices(self) -> list[str]:
        return [notice.text for notice in await self.log.mailbox.undelivered()]

    async def serve(self, facts: str, until: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Be a scheduler, whose facts come of some Python, until something is so."""

        async def status(_: Request) -> str:
            return "all is well"

        supervisor = Supervisor(
            self.queue, self.queue.path.parent, ("false",), nice=0, attempts=3, now=now, grace_s=1.0
        )
        with open_times(self.queue.path, "", timedelta(hours=1)) as times:
            service = Service(
                self.queue,
                self.log,
                supervisor,
                Desk(self.queue, self.log, {"retrain:status": status}, now),
                times,
                (sys.executable, "-c", facts),
                judge,
                lambda: now() + self.later,
                check_s=0.05,
                poll_s=0.02,
                limit_s=limit_s,
            )
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(service.run())
                while not until():
                    await asyncio.sleep(0.02)
                service.close()


@pytest.fixture
async def place(workplace: Workplace) -> AsyncIterator[Place]:
    async with workplace.log() as log:
        queue = RunQueue(workplace.folder / "schedule.db")
        queue.set_pause(Pause("a test", now()))
        yield Place(queue, log)


async def test_what_the_facts_make_due_is_asked_for_once_and_can_be_looked_at(place: Place) -> None:
    await place.serve(f"print('a line of a library'); print('{ENOUGH}')", lambda: bool(place.queue.waiting()))
    await place.serve(f"print('{ENOUGH}')", lambda: bool(place.queue.waiting()))
    (run,) = place.queue.newest(9)
    assert (run.trigger, run.reason) == (Trigger.VOLUME, "there is much")
    assert Facts.from_json(place.queue.recall(FACTS)["facts"]) == Facts(new_targets=600)


@pytest.mark.parametrize("facts", ["import sys; sys.exit('no key')", "print('{')", "print('[1]')", "pass"])
async def test_facts_that_cannot_be_found_out_hold_up_nothing(
    place: Place, facts: str, caplog: pytest.LogCaptureFixture
) -> None:
    id = await place.log.mailbox.ask("retrain:status", CHAT, ANN)
    await place.serve(facts, lambda: "could not be found out" in caplog.text)
    request = await place.log.mailbox.request(id)
    assert request is not None
    assert (request.state, request.note) == (RequestState.DONE, "all is well")
    assert place.queue.newest(9) == []
    assert ("(no key)" in caplog.text) is ("no key" in facts)


def failing(error: str, facts: str = ENOUGH) -> str:
    """What finds out facts, but has trouble with the deadlines."""
    return f"import sys; print('a library chats', file=sys.stderr); print({error!r}, file=sys.stderr); print('{facts}')"


async def test_an_error_beside_good_facts_is_logged_and_operators_hear_of_it_once_a_day(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    error = "error: models/v3 cannot be deleted; check the folder"
    await place.serve(failing(error), lambda: caplog.text.count("a library chats") > 2)
    assert "models/v3 cannot be deleted" in caplog.text
    assert await place.notices() == ["The schedule: models/v3 cannot be deleted; check the folder"]
    assert len(place.queue.waiting()) == 1
    place.later = timedelta(hours=23)
    await place.serve(failing("error: another"), lambda: caplog.text.count("a library chats") > 4)
    await place.serve(failing(error), lambda: caplog.text.count("a library chats") > 6)
    assert (await place.notices())[1:] == ["The schedule: another"]
    place.later = timedelta(hours=25)
    await place.serve(failing(error), lambda: caplog.text.count("a library chats") > 8)
    assert (await place.notices())[2:] == ["The schedule: models/v3 cannot be deleted; check the folder"]


async def test_facts_that_take_too_long_are_given_up_and_asked_for_again(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    slow = "import time; time.sleep(1000)"
    await place.serve(slow, lambda: caplog.text.count("could not be found out") > 1, limit_s=0.3)
    (notice,) = await place.notices()
    assert "took longer than 0.3 s" in notice


async def test_while_a_run_is_under_way_only_deadlines_are_seen_to(place: Place) -> None:
    id = place.queue.add(Trigger.MANUAL, "why", now=now()).id
    asked = place.queue.path.with_name("asked")
    facts = f"import sys; open({str(asked)!r}, 'a').write(f'{{sys.argv[1:]}}\\n'); print('{ENOUGH}')"
    with place.queue.holding(id):
        place.queue.start(id, os.getpid(), now())
        await place.serve(facts, asked.exists)
    assert set(asked.read_text().splitlines()) == {"['--upkeep']"}
    assert place.queue.recall(FACTS) is None


async def test_a_service_ends_though_the_facts_take_long(place: Place) -> None:
    began = place.queue.path.with_name("began")
    slow = f"import pathlib, time; pathlib.Path({str(began)!r}).touch(); time.sleep(1000)"
    await place.serve(slow, began.exists)
    assert place.queue.newest(9) == []


async def test_a_fault_of_our_own_is_logged_and_ends_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    # A text is no number of answers, which only the rules notice.
    row = json.dumps(Facts().to_json() | {"new_targets": "many"})
    await place.serve(f"print('{row}')", lambda: caplog.text.count("a fault") > 1)
    assert place.queue.newest(9) == []
