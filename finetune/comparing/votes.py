"""What people have said of two models, as it is kept: judges, and their votes in the order in which they came.

One vote of a judge counts for each item, however often it is sent. Pure rules and the form on disk; knows nothing of
pages, texts or files.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Outcome(StrEnum):
    """What became of one item, as seen by the model that is judged."""

    WIN = "win"
    LOSS = "loss"
    TIE = "tie"
    BOTH_BAD = "both bad"
    SKIP = "skip"


class Vote(BaseModel):
    """What one judge said of one item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    outcome: Outcome
    at: datetime


class Sitting(BaseModel):
    """All that one judge says of the items of one source.

    Attributes:
        secret: What order and sides go by, so that they differ from judge to judge.
        votes: One for each item, oldest first.
        ended_at: When the judge has asked which was which; nothing changes afterwards.
        equal: Items of which both answers are the same, and which are not shown; 0 until the sitting has ended.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    source: str
    secret: str
    votes: tuple[Vote, ...] = ()
    ended_at: datetime | None = None
    equal: int = 0

    def with_vote(self, vote: Vote) -> "Sitting":
        """The same with one more vote, in place of an earlier one for the same item."""
        others = tuple(each for each in self.votes if each.item != vote.item)
        return self.model_copy(update={"votes": (*others, vote)})

    def without_last(self, item: str) -> "Sitting":
        """The same without its last vote, if that is for this item; a wish that is sent twice takes back one."""
        if not self.votes or self.votes[-1].item != item:
            return self
        return self.model_copy(update={"votes": self.votes[:-1]})

    def ended(self, equal: int, at: datetime) -> "Sitting":
        """The same, never to change again."""
        return self.model_copy(update={"ended_at": at, "equal": equal})


class Votes(BaseModel):
    """The file of one comparison.

    Attributes:
        version: The model that is judged.
        against: The one that it is compared with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: str
    against: str
    sittings: tuple[Sitting, ...] = ()

    def sitting(self, judge: str, source: str) -> Sitting | None:
        """That of a judge, if there is one."""
        return next((each for each in self.sittings if (each.judge, each.source) == (judge, source)), None)

    def with_sitting(self, sitting: Sitting) -> "Votes":
        """The same with a sitting, in place of the same judge's that was there."""
        keys = [(each.judge, each.source) for each in self.sittings]
        kept = [each for each, key in zip(self.sittings, keys, strict=True) if key != (sitting.judge, sitting.source)]
        return self.model_copy(update={"sittings": (*kept, sitting)})

    def count(self, outcome: Outcome) -> int:
        """How many votes of all judges have come out so."""
        return sum(vote.outcome is outcome for sitting in self.sittings for vote in sitting.votes)

    @property
    def equal(self) -> int:
        """How many items nobody had to judge; all judges of a source have the same ones, so each counts once."""
        sources = {sitting.source for sitting in self.sittings}
        return sum(max(each.equal for each in self.sittings if each.source == source) for source in sources)
