"""What people make of a model in the end: how often it was liked better, a tie being half of that.

Knows nothing of single votes, nor of who has given them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from finetune.comparing import wilson
from finetune.comparing.store import read_votes, votes_path
from finetune.comparing.votes import Outcome, Votes

CONFIDENCE = 0.9


@dataclass(frozen=True)
class HumanResult:
    """All votes on one model against another; what was skipped does not count.

    Attributes:
        version: The model that is judged.
        against: The one that it was compared with.
        wins: How often it was liked better; `losses`, how often the other one was.
        ties: Both are as good.
        both_bad: Neither is any good: a tie as well, as none was liked less.
        equal: Answers that were the same, and shown to nobody: ties, but no votes.
        lower_bound: What `share` is at least, with a confidence of 90 %; 0 if there are no votes.
    """

    version: str
    against: str
    wins: int
    losses: int
    ties: int
    both_bad: int
    equal: int
    lower_bound: float

    @property
    def judged(self) -> int:
        """How many votes there are."""
        return self.wins + self.losses + self.ties + self.both_bad

    @property
    def points(self) -> float:
        """Wins, and half of what is a tie in any way: a half says nothing for either model."""
        return self.wins + (self.ties + self.both_bad + self.equal) / 2

    @property
    def share(self) -> float:
        """Share of the points, one half for models that are as good; 0 if there are no votes."""
        return self.points / (self.judged + self.equal) if self.judged else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 90 % interval of that share; 0 to 1 if there are no votes."""
        return wilson.interval(self.points, self.judged + self.equal, CONFIDENCE) if self.judged else (0.0, 1.0)

    def in_words(self) -> str:
        """One line for the terminal."""
        if not self.judged:
            return f"{self.version} against {self.against}: no votes yet"
        low, high = self.interval
        return (
            f"{self.version} against {self.against}: better {self.wins}, worse {self.losses}, as good {self.ties}, "
            f"both bad {self.both_bad}, the same {self.equal}; {100 * self.share:.1f} % with ties as halves "
            f"(90 % interval {100 * low:.1f} to {100 * high:.1f} %; one-sided, at least {100 * self.lower_bound:.1f} %)"
        )


def count(votes: Votes) -> HumanResult:
    """What the votes come to."""
    wins, losses, ties, both_bad = (
        votes.count(outcome) for outcome in (Outcome.WIN, Outcome.LOSS, Outcome.TIE, Outcome.BOTH_BAD)
    )
    found = HumanResult(votes.version, votes.against, wins, losses, ties, both_bad, votes.equal, 0.0)
    if not found.judged:
        return found
    bound = wilson.lower_bound(found.points, found.judged + found.equal, CONFIDENCE)
    return replace(found, lower_bound=bound)


def read(folder: Path, version: str, against: str) -> HumanResult | None:
    """What people have said of a model against another one; None if nobody has.

    Args:
        folder: That of all comparisons.

    Raises:
        StoreError: The file is damaged.
    """
    votes = read_votes(votes_path(folder, version, against))
    result = None if votes is None else count(votes)
    return result if result is not None and result.judged else None
