"""What became of one message, or one conversation, in one stage; what `--explain` and the report are made of.

Knows nothing of what the stages do.
"""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Whether something went on."""

    DROPPED = "dropped"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Fate:
    """Why something was dropped or changed; what simply passes a stage has none.

    Attributes:
        id: Of the message.
        reason: A stable word that counters go by: `secret`, `too short`, `near duplicate`.
        detail: For people, in words; may name rules, numbers and other ids, and never quotes what was said.
    """

    id: str
    outcome: Outcome
    reason: str
    detail: str = ""


def dropped(id: str, reason: str, detail: str = "") -> Fate:
    """It goes no further."""
    return Fate(id, Outcome.DROPPED, reason, detail)


def changed(id: str, reason: str, detail: str = "") -> Fate:
    """It goes on, otherwise than it came."""
    return Fate(id, Outcome.CHANGED, reason, detail)
