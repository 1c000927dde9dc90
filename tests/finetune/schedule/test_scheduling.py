"""The scheduler as a process, killed and told to end; and what commands say of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.registry import Registry
from finetune.errors import StoreError
from finetune.flywheel.record import State, Trigger
from finetune.installation import Installation
from finetune.locking import alone
from finetune.schedule.queue import RunQueue
from finetune.schedule.scheduling import Processes, Scheduling
from finetune.schedule.service import FACTS
from finetune.schedule.triggers import Facts
from tests.finetune.schedule.scripted import begun, command
from tests.finetune.workplace import Workplace

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
# As the command does, but with runs that train nothing.
SCHEDULER = """
import json, sys
from finetune.errors import FinetuneError
from finetune.installation import Installation
from finetune.schedule.scheduling import Processes, Scheduling
run, facts = (tuple(json.loads(each)) for each in sys.argv[1:])
try:
    Scheduling(Installation.open(), "", Processes(run, facts, poll_s=0.05)).serve()
except FinetuneError as error:
    sys.exit(f"error: {error}")
"""


def until(is_so: Callable[[], bool]) -> None:
    """Wait for other processes."""
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


class Schedulers:
    """Starts schedulers on one queue, whose runs hold on until the test lets them go."""

    def __init__(self, workplace: Workplace) -> None:
        self.folder, self._workplace = workplace.folder, workplace
        self.queue = RunQueue(workplace.folder / "data" / "schedule.db")
        self._run = json.dumps(command(self.queue.path, self.folder, "hold"))
        self._all: list[subprocess.Popen[str]] = []

    def start(self, facts: str = "") -> "subprocess.Popen[str]":
        """One more, which is looking after the queue when this returns, or has ended; `facts` is what triggers see."""
        gather = json.dumps([sys.executable, "-c", f"print({facts!r})"])
        process = self._workplace.command("-c", SCHEDULER, self._run, gather)
        self._all.append(process)
        return process

    def kill(self) -> None:
        """Kill all that is left."""
        for process in self._all:
            process.kill()
            print(process.communicate()[1])  # for whoever has to find out why a test fails
        for _, pid in begun(self.folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def schedulers(workplace: Workplace) -> Iterator[Schedulers]:
    made = Schedulers(workplace)
    try:
        yield made
    finally:
        made.kill()


def test_a_run_is_lost_neither_with_the_scheduler_nor_with_the_machine(schedulers: Schedulers) -> None:
    queue, folder = schedulers.queue, schedulers.folder
    # What is due goes through the facts of a process, the queue, and a run.
    first = schedulers.start(json.dumps(Facts(new_targets=600).to_json()))
    until(lambda: len(begun(folder)) == 1)
    ((id, _),) = begun(folder)
    assert queue.get(id).trigger is Trigger.VOLUME
    # The scheduler is killed: the run goes on, and the next scheduler leaves it alone.
    first.kill()
    first.wait()
    second = schedulers.start()
    until(lambda: queue.has_scheduler)
    (folder / "go").touch()
    until(lambda: queue.untold() == [] and queue.get(id).state is State.PROMOTED)
    assert len(begun(folder)) == 1
    # The machine goes down: the run is taken up once.
    (folder / "go").unlink()
    again = queue.add(Trigger.MANUAL, "why", now=NOW).id
    until(lambda: len(begun(folder)) == 2)
    second.kill()
    second.wait()
    os.kill(begun(folder)[-1][1], signal.SIGKILL)
    third = schedulers.start()
    until(lambda: len(begun(folder)) == 3)
    (folder / "go").touch()
    until(lambda: queue.get(again).state is State.PROMOTED)
    assert [run for run, _ in begun(folder)] == [id, again, again]
    assert queue.get(again).attempts == 2
    third.terminate()
    assert third.wait(60) == 0
    assert list(queue.path.parent.glob("schedule.db.*.lock")) == []


def test_a_scheduler_stops_cleanly_with_its_run_and_there_is_one_of_it(schedulers: Schedulers) -> None:
    queue, folder = schedulers.queue, schedulers.folder
    id = queue.add(Trigger.MANUAL, "why", now=NOW).id
    first = schedulers.start()
    until(lambda: len(begun(folder)) == 1)
    second = schedulers.start()
    _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "another scheduler runs on" in said
    first.terminate()
    _, said = first.communicate(timeout=60)
    assert first.returncode == 0, said
    assert "Traceback" not in said
    record = queue.get(id)
    assert (record.state, record.attempts) == (State.WAITING, 0)
    assert not queue.has_scheduler
    assert not queue.is_carried_out(id)


@pytest.fixture
def scheduling(workplace: Workplace) -> Scheduling:
    assert workplace.folder == Path.cwd()
    return replace(Scheduling.of(Installation.open()), now=lambda: NOW)


def test_a_cron_that_makes_no_sense_stops_the_scheduler_before_it_starts(scheduling: Scheduling) -> None:
    with pytest.raises(ValueError, match="SCHEDULE_CRON"):
        replace(scheduling, cron="every day").serve()
    with scheduling.queue.scheduling_alone(), pytest.raises(StoreError, match="another scheduler"):
        scheduling.serve()


def test_commands_tell_how_things_are(scheduling: Scheduling) -> None:
    assert scheduling.runs(5) == ["There was no run yet."]
    assert scheduling.report() == "There was no run yet."
    assert scheduling.pause("somebody") == ["no run begins until: python -m finetune resume"]
    queue = scheduling.queue
    queue.keep(FACTS, {"at": NOW.isoformat(), "facts": Facts(new_targets=42).to_json()})
    id = queue.add(Trigger.CRON, "why", now=NOW).id
    said = "\n".join(scheduling.status())
    champion = Registry(scheduling.at.engine.registry).champion()
    for words in ("scheduler is not running", "Paused by somebody", id, "42 new answers", f"Model: {champion}"):
        assert words in said
    # The schedule by default: Sundays at four, by the machine's clock.
    sunday = next(day for day in (NOW.astimezone() + timedelta(days=n) for n in range(8)) if day.isoweekday() == 7)
    assert f"{sunday:%Y-%m-%d} 04:00" in said
    assert scheduling.resume()[0] == "runs begin again when they are due"
    queue.finish(id, State.FAILED, "the disk is full", None, NOW)
    assert scheduling.report().endswith("the disk is full; it has no report.")
    report = scheduling.at.finetune.trainings / id / "report.html"
    report.parent.mkdir(parents=True)
    report.touch()
    assert str(report) in scheduling.report()
    assert "the disk is full" in scheduling.runs(1)[0]


def test_the_scheduler_starts_our_own_commands() -> None:
    """The other tests give it others."""
    processes = Processes()
    assert processes.run[1:] == ("-m", "finetune", "run", "--id")
    assert processes.facts[1:] == ("-m", "finetune.schedule.facts")


def test_the_command_says_on_stderr_that_a_run_begins_which_ends_with_it(workplace: Workplace) -> None:
    queue = RunQueue(workplace.folder / "data" / "schedule.db")
    id = queue.add(Trigger.MANUAL, "why", now=NOW).id
    process = workplace.command("-m", "finetune", "schedule", "--cron", "")
    assert process.stderr is not None
    try:
        assert next(line for line in process.stderr if id in line).endswith(f"run {id} begins: why\n")
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert queue.get(id).state is State.WAITING


def test_a_run_that_was_begun_waits_while_somebody_trains_and_ends_when_it_is_told_to(workplace: Workplace) -> None:
    queue, trainings = RunQueue(workplace.folder / "data" / "schedule.db"), workplace.folder / "data" / "trainings"
    id = queue.add(Trigger.MANUAL, "why", now=NOW).id
    with alone(trainings, "FINETUNE_TRAININGS"):
        process = workplace.command("-m", "finetune", "run", "--id", id)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("the run waits, as another process is at work in ")
        assert (queue.get(id).state, queue.is_carried_out(id)) == (State.WAITING, False)
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert said == ""
    assert queue.get(id).state is State.WAITING
