"""One figure held against one limit.

What was not measured, or is no number, holds no limit. Knows nothing of what is measured.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from finetune.evaluation.verdict import Verdict

# Shares are quotients of counts: a limit is held, too, where arithmetic puts them this little beyond it.
ROUNDING = 1e-9
NOT_MEASURED = "not measured"

Show = Callable[[float], str]


@dataclass(frozen=True)
class Measured:
    """A figure that waits for its limit.

    Attributes:
        gate: As in `Verdict`; so are `name` and `meaning`.
        value: None if it could not be measured.
        show: Writes value and limit as people read them.
        note: Put behind the value.
    """

    gate: str
    name: str
    value: float | None
    show: Show
    meaning: str
    note: str = ""

    def at_most(self, limit: float) -> Verdict:
        """Holds up to the limit."""
        return self._verdict("at most", limit, lambda value: value <= limit + ROUNDING)

    def at_least(self, limit: float) -> Verdict:
        """Holds from the limit on."""
        return self._verdict("at least", limit, lambda value: value >= limit - ROUNDING)

    def below(self, limit: float) -> Verdict:
        """Holds short of the limit, and not at it."""
        return self._verdict("below", limit, lambda value: value < limit)

    def _verdict(self, words: str, limit: float, is_held_by: Callable[[float], bool]) -> Verdict:
        if self.value is None or math.isnan(self.value):
            shown, holds = NOT_MEASURED, False
        else:
            shown = f"{self.show(self.value)}{self.note}"
            holds = math.isfinite(self.value) and math.isfinite(limit) and is_held_by(self.value)
        asked = NOT_MEASURED if math.isnan(limit) else self.show(limit)
        return Verdict(self.gate, self.name, shown, f"{words} {asked}", holds, self.meaning)


def count(value: float) -> str:
    """A number of things: `1,234`."""
    return f"{value:,.0f}"


def plain(value: float) -> str:
    """A number as short as it is exact enough: `1.023`."""
    return f"{value:,.4g}"


def share(value: float) -> str:
    """`12.3%`; `0.45%` of what is small."""
    return f"{value:.1%}" if abs(value) >= 0.1 else f"{value:.2%}"


def signed(value: float) -> str:
    """A difference: `+1.20%`."""
    return f"{value:+.2%}"
