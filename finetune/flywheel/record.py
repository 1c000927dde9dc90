"""What is known of a run: what started it, how far it is, and what became of it.

Plain data; knows nothing of where it is kept.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Trigger(StrEnum):
    """What has made a run due."""

    MANUAL = "manual"
    CHAT = "chat"
    CRON = "cron"
    VOLUME = "volume"
    DRIFT = "drift"
    FEEDBACK = "feedback"
    FORGET = "forget"

    @property
    def is_forced(self) -> bool:
        """Whether somebody wants it whether or not there is much that is new."""
        return self in (Trigger.MANUAL, Trigger.CHAT, Trigger.FORGET)


class State(StrEnum):
    """How far a run is."""

    WAITING = "waiting"
    RUNNING = "running"
    PROMOTED = "promoted"  # the new model is the champion
    REFUSED = "refused"  # a model came out, and a gate has refused it
    SKIPPED = "skipped"  # the data gate: there was too little to learn, or too little that is new
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more is going to happen to it."""
        return self not in (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        id: Unique, in the order of time, and the name of its folder: `20261121-040000-3f9a`.
        reason: What made it due, in words.
        request_id: Of the mailbox, if somebody asked in a chat.
        attempts: How often it was begun.
        step: What it is at, or was when it ended.
        outcome: One line: what became of it, and why.
        version: The model that came out, promoted or not.
    """

    id: str
    trigger: Trigger
    reason: str
    state: State
    asked_at: datetime
    request_id: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    step: str = ""
    outcome: str = ""
    version: str | None = None
