"""Runs as processes, and what is told of them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bots.chatlog import ChatLog, Person, RequestState
from bots.message import ChatRef
from finetune.flywheel.record import State, Trigger
from finetune.locking import alone
from finetune.schedule import news
from finetune.schedule.queue import Pause, RunQueue
from finetune.schedule.supervisor import Supervisor
from tests.finetune.schedule.scripted import begun, command
from tests.finetune.workplace import Workplace

CHAT, ANN = ChatRef("telegram", "bot", "1"), Person("telegram", "7")


def now() -> datetime:
    return datetime.now(UTC)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for another process."""
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.02)


@dataclass
class Scene:
    """A supervisor with its queue and chat log; runs are the scripted ones."""

    folder: Path
    queue: RunQueue
    log: ChatLog

    def supervisor(self, how: str, *, attempts: int = 3, grace_s: float = 60.0) -> Supervisor:
        given = command(self.queue.path, self.folder, how)
        return self.with_command(given, attempts=attempts, grace_s=grace_s)

    def with_command(self, given: tuple[str, ...], *, attempts: int = 3, grace_s: float = 60.0) -> Supervisor:
        return Supervisor(
            self.queue,
            self.folder / "trainings",
            given,
            nice=3,
            attempts=attempts,
            now=now,
            grace_s=grace_s,
        )

    def asked(self, request_id: int | None = None) -> str:
        """A run that waits; returns its id."""
        return self.queue.add(Trigger.CHAT, "why", now=now(), request_id=request_id).id

    def said(self, id: str) -> str:
        """What its process has said."""
        return (self.folder / "trainings" / id / "log.txt").read_text()

    async def notices(self) -> list[str]:
        return [notice.text for notice in await self.log.mailbox.undelivered()]


@pytest.fixture
async def scene(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    async with opened(workplace, monkeypatch) as made:
        yield made


@asynccontextmanager
async def opened(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    async with workplace.log() as log:
        yield Scene(workplace.folder, RunQueue(workplace.folder / "schedule.db"), log)


async def test_a_run_is_carried_out_niced_and_told_of_once(scene: Scene) -> None:
    request = await scene.log.mailbox.ask("retrain", CHAT, ANN)
    id, supervisor = scene.asked(request), scene.supervisor("well")
    await supervisor.step(asyncio.Event())
    assert scene.queue.get(id).state is State.PROMOTED
    assert scene.said(id) == f"nice {min(19, os.nice(0) + 3)}\n"
    for _ in range(2):
        await news.tell(scene.queue, scene.log)
    (said,) = await scene.notices()
    assert said.startswith(f"Run {id} (chat) made a new model")
    ended = await scene.log.mailbox.request(request)
    assert ended is not None
    assert (ended.state, ended.note) == (RequestState.DONE, said)


async def test_a_failed_run_says_why_in_one_line_keeps_everything_and_is_told_of_once(scene: Scene) -> None:
    request = await scene.log.mailbox.ask("retrain", CHAT, ANN)
    id, supervisor = scene.asked(request), scene.supervisor("fail")
    for _ in range(2):
        await supervisor.step(asyncio.Event())
        await news.tell(scene.queue, scene.log)
    failed = scene.queue.get(id)
    assert (failed.state, failed.outcome) == (State.FAILED, "the disk is full; make room")
    assert begun(scene.folder) == [(id, begun(scene.folder)[0][1])]
    assert (scene.folder / "kept").exists()
    assert await scene.notices() == [f"Run {id} (chat) has failed; the model stays: the disk is full; make room"]
    ended = await scene.log.mailbox.request(request)
    assert ended is not None
    assert ended.state is RequestState.FAILED


async def test_runs_wait_while_there_is_a_pause(scene: Scene) -> None:
    id, supervisor = scene.asked(), scene.supervisor("well")
    scene.queue.set_pause(Pause("somebody", now()))
    await supervisor.step(asyncio.Event())
    assert scene.queue.get(id).state is State.WAITING
    scene.queue.set_pause(None)
    await supervisor.step(asyncio.Event())
    assert scene.queue.get(id).state is State.PROMOTED


async def test_no_run_begins_while_another_process_carries_one_out(scene: Scene) -> None:
    other, supervisor = scene.asked(), scene.supervisor("well")
    with scene.queue.holding(other):
        scene.queue.start(other, os.getpid(), now())
        id = scene.asked()
        await supervisor.step(asyncio.Event())
        assert scene.queue.get(id).state is State.WAITING
        scene.queue.finish(other, State.SKIPPED, "", None, now())
    await supervisor.step(asyncio.Event())
    assert scene.queue.get(id).state is State.PROMOTED


async def test_a_run_waits_without_a_process_while_somebody_trains_by_hand(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    id, supervisor = scene.asked(), scene.supervisor("well")
    with caplog.at_level("INFO"), alone(scene.folder / "trainings", "FINETUNE_TRAININGS"):
        for _ in range(2):
            await supervisor.step(asyncio.Event())
    assert (scene.queue.get(id).state, begun(scene.folder)) == (State.WAITING, [])
    assert caplog.text.count("another process is at work") == 1
    await supervisor.step(asyncio.Event())
    assert scene.queue.get(id).state is State.PROMOTED


@pytest.mark.parametrize(("how", "level"), [("well", "INFO"), ("fail", "WARNING"), ("say so", "WARNING")])
async def test_it_is_logged_when_a_run_begins_and_ends_and_louder_if_it_has_failed(
    scene: Scene, how: str, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    id, supervisor = scene.asked(), scene.supervisor(how)
    with caplog.at_level("INFO"):
        await supervisor.step(asyncio.Event())
    first, last = (each for each in caplog.records if id in each.getMessage())
    assert "begins" in first.getMessage()
    assert (last.levelname, scene.queue.get(id).outcome in last.getMessage()) == (level, True)


async def test_a_run_that_is_killed_is_taken_up_until_it_has_failed(scene: Scene) -> None:
    id, supervisor = scene.asked(), scene.supervisor("die", attempts=2)
    for attempts in (1, 2):
        await supervisor.step(asyncio.Event())
        record = scene.queue.get(id)
        assert (record.state, record.attempts) == (State.RUNNING, attempts)
    await supervisor.step(asyncio.Event())
    assert [run for run, _ in begun(scene.folder)] == [id, id]
    assert scene.queue.get(id).state is State.FAILED
    assert "died 2 times" in scene.queue.get(id).outcome


async def test_a_run_that_is_told_to_stop_writes_a_checkpoint_and_waits(scene: Scene) -> None:
    id, supervisor, closing = scene.asked(), scene.supervisor("hold"), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.step(closing))
        await until(lambda: len(begun(scene.folder)) == 1)
        closing.set()
    assert "a checkpoint is written" in scene.said(id)
    record = scene.queue.get(id)
    assert (record.state, record.attempts) == (State.WAITING, 0)
    await news.tell(scene.queue, scene.log)
    assert await scene.notices() == []


async def test_a_run_that_somebody_else_has_told_to_stop_goes_on_later(scene: Scene) -> None:
    id, supervisor = scene.asked(), scene.supervisor("give back")
    await supervisor.step(asyncio.Event())
    assert scene.queue.get(id).state is State.WAITING
    await supervisor.step(asyncio.Event())
    assert scene.queue.get(id).state is State.PROMOTED


async def test_a_run_that_does_not_stop_is_killed_and_waits(scene: Scene) -> None:
    id, supervisor, closing = scene.asked(), scene.supervisor("ignore", grace_s=0.1), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.step(closing))
        await until(lambda: len(begun(scene.folder)) == 1)
        closing.set()
    assert scene.queue.get(id).state is State.WAITING
    assert not scene.queue.is_carried_out(id)


async def test_what_a_run_has_started_ends_with_it(scene: Scene) -> None:
    scene.asked()
    await scene.supervisor("leave a child").step(asyncio.Event())
    child = int((scene.folder / "child").read_text())
    await until(lambda: not is_alive(child))


async def test_a_run_that_cannot_be_started_has_failed_and_says_why(scene: Scene) -> None:
    first = scene.asked()
    await scene.with_command((str(scene.folder / "no-such-program"),)).step(asyncio.Event())
    assert "could not be started" in scene.queue.get(first).outcome
    second = scene.asked()
    await scene.with_command((sys.executable, "-c", "import sys; sys.exit(3)")).step(asyncio.Event())
    assert scene.queue.get(second).outcome == "its process ended with 3 and said nothing"
    # One that dies before it has begun would otherwise be started for ever.
    third = scene.asked()
    await scene.with_command((sys.executable, "-c", f"import os; os.kill(os.getpid(), {signal.SIGKILL})")).step(
        asyncio.Event()
    )
    assert scene.queue.get(third).state is State.FAILED


def is_alive(pid: int) -> bool:
    """Whether a process is there that is more than a row in a table."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
