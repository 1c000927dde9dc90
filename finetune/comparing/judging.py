"""One judge before the items of one comparison: what comes next, and what becomes of what they say.

All that is said is on disk before it counts, so that a sitting goes on where it was whatever was killed. Has one
caller at a time. Knows nothing of pages; of what it shows nothing tells which model is which until the sitting ends.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.generation import ChatMessage
from finetune.comparing import blinding, result
from finetune.comparing.blinding import Choice
from finetune.comparing.pairs import Pair
from finetune.comparing.result import HumanResult
from finetune.comparing.store import ComparisonStore
from finetune.comparing.votes import Outcome, Sitting, Vote


@dataclass(frozen=True)
class Shown:
    """What a judge sees of one item.

    Attributes:
        item: Its id, which tells nothing.
        number: Its place, from 1.
    """

    item: str
    number: int
    turns: tuple[ChatMessage, ...]
    left: str
    right: str


@dataclass(frozen=True)
class Judged:
    """One item once it is known which was which.

    Attributes:
        outcome: None if it was not judged.
    """

    pair: Pair
    outcome: Outcome | None


class Judging:
    """One judge's sitting, taken up where it was left, or begun."""

    def __init__(
        self,
        store: ComparisonStore,
        source: str,
        pairs: Sequence[Pair],
        judge: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take up the judge's sitting.

        Raises:
            StoreError: The votes cannot be read or written.
        """
        self._store, self._clock = store, clock
        self._sitting = store.votes().sitting(judge, source) or Sitting(
            judge=judge, source=source, secret=secrets.token_hex(16)
        )
        self._pairs = {pair.id: pair for pair in pairs if not pair.is_equal}
        self._num_equal = len(pairs) - len(self._pairs)
        self._order = blinding.order(self._sitting.secret, self._pairs)
        store.keep(self._sitting)

    @property
    def address(self) -> str:
        """The part of the page's address that nobody can guess, the same when a sitting is taken up again."""
        return blinding.address(self._sitting.secret)

    @property
    def versions(self) -> tuple[str, str]:
        """The model that is judged, and the one that it is compared with; not for the judge's eyes before the end."""
        return self._store.version, self._store.against

    @property
    def total(self) -> int:
        """How many items there are to judge."""
        return len(self._order)

    @property
    def is_over(self) -> bool:
        """Whether the judge has asked which was which."""
        return self._sitting.ended_at is not None

    @property
    def last(self) -> str | None:
        """The item whose vote can be taken back; None if there is none."""
        item = self._sitting.votes[-1].item if self._sitting.votes else None
        # What was read may have been withdrawn since, and made anew with other answers.
        return None if self.is_over or item not in self._pairs else item

    def next(self) -> Shown | None:
        """The first item without a vote; None if all have one."""
        done = self._outcomes()
        for number, item in enumerate(self._order, 1):
            if item not in done:
                return self._shown(item, number)
        return None

    def vote(self, item: str, choice: Choice) -> None:
        """Count what the judge says of an item, in place of what they said of it before; too late once it is over.

        Raises:
            KeyError: There is no such item.
            StoreError: It cannot be written, and does not count.
        """
        if item not in self._pairs:
            raise KeyError(item)
        outcome = blinding.outcome(choice, is_left=blinding.is_left(self._sitting.secret, item))
        if not self.is_over:
            self._keep(self._sitting.with_vote(Vote(item=item, outcome=outcome, at=self._clock())))

    def undo(self, item: str) -> None:
        """Take back the last vote, if it is for that item.

        Raises:
            StoreError: It cannot be written.
        """
        if not self.is_over:
            self._keep(self._sitting.without_last(item))

    def end(self) -> None:
        """Let it be known which was which, once every item has a vote; nothing changes afterwards.

        Raises:
            StoreError: It cannot be written.
        """
        if not self.is_over and self.next() is None:
            self._keep(self._sitting.ended(self._num_equal, self._clock()))

    def result(self) -> HumanResult:
        """What all votes of all judges come to."""
        return result.count(self._store.votes())

    def reveal(self) -> tuple[Judged, ...]:
        """Every item with what became of it, in the order in which they were shown."""
        outcomes = self._outcomes()
        return tuple(Judged(self._pairs[item], outcomes.get(item)) for item in self._order)

    def _outcomes(self) -> dict[str, Outcome]:
        return {vote.item: vote.outcome for vote in self._sitting.votes}

    def _shown(self, item: str, number: int) -> Shown:
        pair = self._pairs[item]
        sides = pair.version, pair.against
        left, right = sides if blinding.is_left(self._sitting.secret, item) else sides[::-1]
        return Shown(item, number, pair.question.turns, left, right)

    def _keep(self, sitting: Sitting) -> None:
        if sitting != self._sitting:
            self._store.keep(sitting)
            self._sitting = sitting
