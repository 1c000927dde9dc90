"""The queue of runs: which wait, which one is carried out, and what became of the others.

Several processes use it at once: the scheduler, the process that carries out a run, and commands. Whether a run is
still carried out is decided by a lock that dies with its process. Knows nothing of training, nor of what makes a run
due.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Update, func, insert, literal, select, update
from sqlalchemy.dialects import sqlite

from finetune.errors import StoreError
from finetune.flywheel.record import RunRecord, State, Trigger
from finetune.schedule.database import explained, kept, open_engine, runs
from finetune.schedule.locks import held, is_held

PAUSE = "pause"
FIELDS = [runs.c[name] for name in RunRecord.__dataclass_fields__]


@dataclass(frozen=True)
class Pause:
    """Why no run is begun.

    Attributes:
        who: Who has said so, in words.
    """

    who: str
    since: datetime


class RunQueue:
    """All runs, in a file; made on first use.

    Every method raises StoreError if the file cannot be used; nothing was done then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = open_engine(path)

    # What is asked for

    def add(self, trigger: Trigger, reason: str, *, now: datetime, request_id: int | None = None) -> RunRecord:
        """Ask for a run; if one waits that does what this one would, that one.

        A run that waits serves all further wishes but those of another kind for a run whether or not there is much
        to learn (`Trigger.is_forced`).
        """
        with self._write() as connection:
            for waiting in self._found(connection, runs.c.state == State.WAITING):
                if waiting.trigger is trigger or not trigger.is_forced:
                    return waiting
            number = connection.execute(select(func.coalesce(func.max(runs.c.number), 0))).scalar_one() + 1
            record = RunRecord(
                _id_of(number, now), trigger, reason, State.WAITING, now.astimezone(UTC), request_id=request_id
            )
            values = {field: getattr(record, field) for field in RunRecord.__dataclass_fields__}
            connection.execute(insert(runs).values(number=number, **values))
            return record

    def next_waiting(self) -> RunRecord | None:
        """What to begin next: what somebody wants whether or not there is much to learn, then what waits longest."""
        with self._read() as connection:
            waiting = self._found(connection, runs.c.state == State.WAITING)
        return min(waiting, key=lambda record: not record.trigger.is_forced, default=None)

    # What becomes of it

    def holding(self, id: str) -> AbstractContextManager[None]:
        """Be the process that carries out a run; to be entered before `start`, and left after `finish`.

        Raises:
            StoreError: Another process is at it.
        """
        return held(self._lock_of(id), f"another process carries out the run {id}; let it finish")

    def start(self, id: str, pid: int, now: datetime) -> RunRecord:
        """Note that a run begins, or goes on after a crash.

        Raises:
            StoreError: It does not wait.
        """
        values = {"state": State.RUNNING, "pid": pid, "attempts": runs.c.attempts + 1, "step": ""}
        first = func.coalesce(runs.c.started_at, literal(now, runs.c.started_at.type))
        self._change(id, State.WAITING, update(runs).values(started_at=first, **values))
        return self.get(id)

    def at_step(self, id: str, step: str) -> None:
        """Note what a run is at."""
        self._change(id, State.RUNNING, update(runs).values(step=step))

    def finish(self, id: str, state: State, outcome: str, version: str | None, now: datetime) -> None:
        """Note what became of a run; `outcome` is one line.

        Raises:
            StoreError: It is over already.
        """
        assert state.is_over
        values = {"state": state, "outcome": " ".join(outcome.split()), "version": version, "ended_at": now}
        self._change(id, (State.WAITING, State.RUNNING), update(runs).values(pid=None, **values))

    def give_back(self, id: str) -> None:
        """Let a run wait again that was told to stop: that it was begun does not count."""
        self._change(
            id, State.RUNNING, update(runs).values(state=State.WAITING, pid=None, attempts=runs.c.attempts - 1)
        )

    def adopt_orphans(self, attempts: int, now: datetime) -> tuple[RunRecord, ...]:
        """Let runs wait again whose process has died; returns those, as they are now.

        Args:
            attempts: How often a run is begun at most; what has died that often has failed.
        """
        adopted = []
        for record in self._running():
            if is_held(self._lock_of(record.id)):
                continue
            if record.attempts < attempts:
                self._change(record.id, State.RUNNING, update(runs).values(state=State.WAITING, pid=None))
            else:
                at = f" at: {record.step}" if record.step else ""
                outcome = f"its process has died {record.attempts} times{at}; see its log.txt"
                self.finish(record.id, State.FAILED, outcome, None, now)
            self._lock_of(record.id).unlink(missing_ok=True)
            adopted.append(self.get(record.id))
        return tuple(adopted)

    # What is known

    def get(self, id: str) -> RunRecord:
        """A run.

        Raises:
            StoreError: There is none of that id.
        """
        with self._read() as connection:
            found = self._found(connection, runs.c.id == id)
        if not found:
            raise StoreError(f"there is no run {id}; `python -m finetune runs` lists them")
        return found[0]

    def newest(self, number: int) -> list[RunRecord]:
        """The newest runs, newest first."""
        with self._read() as connection:
            rows = connection.execute(select(*FIELDS).order_by(runs.c.number.desc()).limit(number)).all()
        return [_record(row) for row in rows]

    def newest_of(self, *states: State, trigger: Trigger | None = None) -> RunRecord | None:
        """The newest run in one of some states."""
        is_it = runs.c.state.in_(states) if trigger is None else runs.c.state.in_(states) & (runs.c.trigger == trigger)
        with self._read() as connection:
            found = self._found(connection, is_it)
        return found[-1] if found else None

    def of_request(self, request_id: int) -> RunRecord | None:
        """The run that somebody has asked for in a chat."""
        with self._read() as connection:
            found = self._found(connection, runs.c.request_id == request_id)
        return found[0] if found else None

    def waiting(self) -> list[RunRecord]:
        """All that wait, in the order in which they were asked for."""
        with self._read() as connection:
            return self._found(connection, runs.c.state == State.WAITING)

    def unfinished(self) -> list[RunRecord]:
        """All that are not over, whether or not their process is alive."""
        with self._read() as connection:
            return self._found(connection, runs.c.state.in_((State.WAITING, State.RUNNING)))

    def running(self) -> RunRecord | None:
        """What is carried out just now, by a process that is alive."""
        return next((record for record in self._running() if is_held(self._lock_of(record.id))), None)

    def is_carried_out(self, id: str) -> bool:
        """Whether a process that is alive is at a run."""
        return is_held(self._lock_of(id))

    def untold(self) -> list[RunRecord]:
        """What is over, and nobody was told of."""
        with self._read() as connection:
            found = self._found(connection, runs.c.is_told.is_(False))
        return [record for record in found if record.state.is_over]

    def told(self, id: str) -> None:
        """Note that people were told of a run."""
        with self._write() as connection:
            connection.execute(update(runs).where(runs.c.id == id).values(is_told=True))

    # What holds for all runs

    @property
    def pause(self) -> Pause | None:
        """Why no run is begun; None if runs are."""
        row = self.recall(PAUSE)
        return row and Pause(row["who"], datetime.fromisoformat(row["since"]))

    def set_pause(self, pause: Pause | None) -> None:
        """Begin no runs from now on; or, with None, do."""
        self.keep(PAUSE, pause and {"who": pause.who, "since": pause.since.astimezone(UTC).isoformat()})

    def keep(self, name: str, value: Any) -> None:
        """Keep a value that JSON knows, in place of the one before; None keeps nothing."""
        put = sqlite.insert(kept).values(name=name, value=json.dumps(value))
        with self._write() as connection:
            connection.execute(put.on_conflict_do_update(index_elements=["name"], set_={"value": put.excluded.value}))

    def recall(self, name: str) -> Any:
        """What was kept under a name; None if nothing was."""
        with self._read() as connection:
            value = connection.execute(select(kept.c.value).where(kept.c.name == name)).scalar()
        return None if value is None else json.loads(value)

    def scheduling_alone(self) -> AbstractContextManager[None]:
        """Be the one scheduler of this queue.

        Raises:
            StoreError: Another process is.
        """
        return held(self._scheduler_lock, f"another scheduler runs on {self.path}; end it, or set SCHEDULE_DATABASE")

    @property
    def has_scheduler(self) -> bool:
        """Whether a scheduler is running."""
        return is_held(self._scheduler_lock)

    @property
    def _scheduler_lock(self) -> Path:
        return self.path.with_name(f"{self.path.name}.lock")

    def _lock_of(self, id: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{id}.lock")

    def _running(self) -> list[RunRecord]:
        with self._read() as connection:
            return self._found(connection, runs.c.state == State.RUNNING)

    def _found(self, connection: Connection, is_it: Any) -> list[RunRecord]:
        rows = connection.execute(select(*FIELDS).where(is_it).order_by(runs.c.number)).all()
        return [_record(row) for row in rows]

    def _change(self, id: str, before: State | Sequence[State], change: Update) -> None:
        states = (before,) if isinstance(before, State) else before
        with self._write() as connection:
            done = connection.execute(change.where(runs.c.id == id, runs.c.state.in_(states)))
            is_changed = done.rowcount == 1
        if not is_changed:
            raise StoreError(f"the run {id} is {self.get(id).state}, expected {' or '.join(states)}; leave it to that")

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with explained(self.path), self._engine.begin() as connection:
            yield connection

    _read = _write  # both take milliseconds, and one way in is simpler than two


def _id_of(number: int, now: datetime) -> str:
    """Unique, as numbers are, and in the order of time."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{number % 0x10000:04x}"


def _record(row: Row[Any]) -> RunRecord:
    values = dict(row._mapping)
    return RunRecord(**values | {"trigger": Trigger(values["trigger"]), "state": State(values["state"])})
