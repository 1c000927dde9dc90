"""The queue of runs, as several processes use it."""

import multiprocessing
import os
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from finetune.errors import StoreError
from finetune.flywheel.record import RunRecord, State, Trigger
from finetune.schedule.queue import Pause, RunQueue

NOW = datetime(2026, 11, 21, 4, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def queue(tmp_path: Path) -> RunQueue:
    return RunQueue(tmp_path / "data" / "schedule.db")


def added(queue: RunQueue, trigger: Trigger = Trigger.CRON, **given: int) -> RunRecord:
    return queue.add(trigger, "why", now=NOW, **given)


def killed(path: Path, id: str) -> None:
    """Begin a run in a process that is killed in the middle of it."""

    def work() -> None:
        queue = RunQueue(path)
        with queue.holding(id):
            queue.start(id, os.getpid(), NOW)
            os.kill(os.getpid(), 9)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -9


def test_a_run_is_known_by_its_time_and_a_number(queue: RunQueue) -> None:
    record = added(queue)
    assert re.fullmatch(r"20261121-040000-[0-9a-f]{4}", record.id)
    assert record == RunRecord(record.id, Trigger.CRON, "why", State.WAITING, NOW)
    assert queue.get(record.id) == record
    queue.finish(record.id, State.SKIPPED, "nothing new", None, LATER)
    other = added(queue)
    assert other.id > record.id
    assert queue.newest(5) == [other, queue.get(record.id)]
    assert queue.newest(1) == [other]


def test_what_becomes_of_a_run_is_written_down(queue: RunQueue) -> None:
    id = added(queue, Trigger.CHAT, request_id=7).id
    with queue.holding(id):
        assert queue.start(id, 4711, LATER).state is State.RUNNING
        queue.at_step(id, "train 3/120")
        running = queue.running()
        assert running is not None
        assert (running.id, running.step, running.attempts, running.started_at) == (id, "train 3/120", 1, LATER)
        queue.finish(id, State.PROMOTED, "better\nby 7 %", "v2", LATER + timedelta(hours=1))
    assert queue.running() is None
    done = queue.get(id)
    assert (done.state, done.outcome, done.version) == (State.PROMOTED, "better by 7 %", "v2")
    assert done.ended_at == LATER + timedelta(hours=1)
    assert queue.of_request(7) == done
    assert queue.of_request(8) is None
    assert queue.newest_of(State.PROMOTED) == done
    assert queue.newest_of(State.PROMOTED, trigger=Trigger.CRON) is None


def test_the_folder_has_no_lock_left_when_nobody_is_at_work(queue: RunQueue) -> None:
    id = added(queue).id
    with queue.holding(id), queue.scheduling_alone():
        assert len(list(queue.path.parent.glob("*.lock"))) == 2
    assert list(queue.path.parent.glob("*.lock")) == []


@pytest.mark.parametrize(
    ("waiting", "asked", "is_served"),
    [
        (Trigger.CRON, Trigger.CRON, True),
        (Trigger.CRON, Trigger.VOLUME, True),
        (Trigger.FORGET, Trigger.CRON, True),
        (Trigger.MANUAL, Trigger.MANUAL, True),
        (Trigger.CRON, Trigger.FORGET, False),
        (Trigger.CHAT, Trigger.FORGET, False),
    ],
)
def test_what_waits_serves_whoever_wants_no_more_than_that(
    queue: RunQueue, waiting: Trigger, asked: Trigger, is_served: bool
) -> None:
    first = added(queue, waiting)
    assert (added(queue, asked) == first) is is_served
    assert len(queue.waiting()) == (1 if is_served else 2)


def test_a_run_under_way_serves_nobody_who_asks_now(queue: RunQueue) -> None:
    first = added(queue)
    with queue.holding(first.id):
        queue.start(first.id, 1, NOW)
        assert added(queue).id != first.id


def test_what_is_wanted_in_any_case_comes_first(queue: RunQueue) -> None:
    first, forced = added(queue), added(queue, Trigger.FORGET)
    later = added(queue, Trigger.CHAT)
    assert [record.id for record in queue.waiting()] == [first.id, forced.id, later.id]
    order = []
    while (record := queue.next_waiting()) is not None:
        order.append(record.id)
        queue.finish(record.id, State.SKIPPED, "", None, NOW)
    assert order == [forced.id, later.id, first.id]


def test_a_run_is_carried_out_by_one_process(queue: RunQueue) -> None:
    id = added(queue).id
    with queue.holding(id):
        queue.start(id, 1, NOW)
        with pytest.raises(StoreError, match="another process carries out"), RunQueue(queue.path).holding(id):
            pass
        with pytest.raises(StoreError, match="is running, expected waiting"):
            queue.start(id, 2, NOW)
        assert queue.adopt_orphans(3, NOW) == ()
        queue.finish(id, State.FAILED, "no", None, NOW)
    with pytest.raises(StoreError, match="is failed, expected waiting or running"):
        queue.finish(id, State.PROMOTED, "yes", None, NOW)


def test_a_run_whose_process_has_died_is_taken_up_as_often_as_it_may_be(queue: RunQueue) -> None:
    id = added(queue).id
    killed(queue.path, id)
    assert queue.get(id).state is State.RUNNING
    assert queue.running() is None
    assert [record.state for record in queue.adopt_orphans(2, LATER)] == [State.WAITING]
    assert queue.adopt_orphans(2, LATER) == ()
    killed(queue.path, id)
    (failed,) = queue.adopt_orphans(2, LATER)
    assert (failed.state, failed.attempts, failed.ended_at) == (State.FAILED, 2, LATER)
    assert "died 2 times" in failed.outcome
    assert failed.started_at == NOW
    assert list(queue.path.parent.glob("*.lock")) == []


def test_that_a_run_was_told_to_stop_does_not_count(queue: RunQueue) -> None:
    id = added(queue).id
    killed(queue.path, id)
    queue.give_back(id)
    assert (queue.get(id).state, queue.get(id).attempts) == (State.WAITING, 0)


def test_what_is_over_is_told_of_once(queue: RunQueue) -> None:
    first = added(queue)
    assert queue.untold() == []
    queue.finish(first.id, State.FAILED, "no", None, NOW)
    assert [record.id for record in queue.untold()] == [first.id]
    queue.told(first.id)
    assert queue.untold() == []


def test_a_pause_is_kept_until_it_ends(queue: RunQueue) -> None:
    assert queue.pause is None
    queue.set_pause(Pause("an operator", NOW))
    assert RunQueue(queue.path).pause == Pause("an operator", NOW)
    queue.set_pause(None)
    assert queue.pause is None


def test_there_is_one_scheduler(queue: RunQueue) -> None:
    assert not queue.has_scheduler
    with queue.scheduling_alone():
        assert RunQueue(queue.path).has_scheduler
        with pytest.raises(StoreError, match="another scheduler"), RunQueue(queue.path).scheduling_alone():
            pass
    assert not queue.has_scheduler


def test_many_processes_that_ask_at_once_ask_for_one_run(queue: RunQueue) -> None:
    context = multiprocessing.get_context("fork")

    def ask() -> None:
        for _ in range(5):
            RunQueue(queue.path).add(Trigger.CRON, "why", now=NOW)

    processes = [context.Process(target=ask) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(queue.newest(10)) == 1


def test_a_file_that_is_not_ours_is_refused_with_what_to_do(tmp_path: Path) -> None:
    newer = RunQueue(tmp_path / "newer.db").path
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="format 99"):
        RunQueue(newer)
    (tmp_path / "other.db").write_text("something else " * 100)
    with pytest.raises(StoreError, match="see SCHEDULE_DATABASE"):
        RunQueue(tmp_path / "other.db")
    with pytest.raises(StoreError, match="there is no run"):
        RunQueue(tmp_path / "new.db").get("20260101-000000-0001")


def test_only_its_owner_may_read_the_file(queue: RunQueue) -> None:
    added(queue)
    assert {path.stat().st_mode & 0o077 for path in queue.path.parent.glob("schedule.db*")} == {0}
