"""What a gate says of a model.

Knows nothing of how anything is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Verdict:
    """One figure with its limit.

    Attributes:
        gate: `data`, `training`, or which of the promotion gates: `held-out loss`, `general anchor`, `ranking`,
            `health`, `memorisation`, `parity`, `serving`, `preference`, `human`.
        name: What is looked at, in a few words.
        value: As people read it; `limit` likewise.
        meaning: What it means if it does not hold, and what to do.
        is_waived: It does not hold, and need not this time; `meaning` says why.
    """

    gate: str
    name: str
    value: str
    limit: str
    holds: bool
    meaning: str
    is_waived: bool = False

    @property
    def is_refusal(self) -> bool:
        """Whether a model is not promoted because of it."""
        return not self.holds and not self.is_waived

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(**row)


def refusals(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Those because of which a model is not promoted."""
    return tuple(verdict for verdict in verdicts if verdict.is_refusal)


def in_one_line(verdicts: Sequence[Verdict]) -> str:
    """Why a model is refused; empty if it is not."""
    return "; ".join(f"{each.gate}: {each.name} is {each.value}, limit {each.limit}" for each in refusals(verdicts))
