"""Which stretch of a path an example is made of, by what its turns cost.

An answer is whole: all that the model says in a row. What is cut off is what was said long before it, at a turn. Knows
nothing of rendering: costs are estimates.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise, takewhile

from finetune.conversation import Conversation, Turn
from finetune.dataset.paths import Voice
from finetune.message import Role


@dataclass(frozen=True)
class Answer:
    """What is learnt in one piece: places on a way, from the first to the last.

    Attributes:
        is_cut: Whether its author goes on with something that is not learnt; then an example has to end here.
    """

    first: int
    last: int
    is_cut: bool = False


@dataclass(frozen=True)
class Window:
    """A stretch of a way that ends with an answer, and the answers in it that are to be learnt."""

    way: "Way"
    start: int
    answers: tuple[Answer, ...]

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All that is shown, with what the source has as the system's before it."""
        return (*self.way.system, *self.way.turns[self.start : self.answers[-1].last + 1])

    @property
    def learnt(self) -> tuple[Turn, ...]:
        """What is to be learnt."""
        return tuple(turn for answer in self.answers for turn in self.way.turns[answer.first : answer.last + 1])

    @property
    def weights(self) -> tuple[float, ...]:
        """How much each of the turns counts; 0 for what is not to be learnt."""
        learnt = {turn.ids for turn in self.learnt}
        return tuple(turn.link.weight if turn.ids in learnt else 0.0 for turn in self.turns)

    def of_first_answer(self) -> "Window":
        """The same up to its first answer."""
        return replace(self, answers=self.answers[:1])

    def shorter(self) -> "Window | None":
        """The same without what was said first; None if only that is left which is answered."""
        first = self.answers[0].first
        starts = (place for place in range(self.start + 1, first) if not self.way.is_voice(place))
        start = next(starts, None)
        return None if start is None else replace(self, start=start)


@dataclass(frozen=True)
class Way:
    """A path through a conversation, as one voice is to learn it.

    Attributes:
        path: Numbers of turns, from a root on.
        costs: Of all turns of the conversation, in tokens.
    """

    conversation: Conversation
    voice: Voice
    path: Sequence[int]
    costs: Sequence[int]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The path without what the source has as the system's; a place is an index of this."""
        return tuple(n for n in self.path if self.conversation.turns[n].role is not Role.SYSTEM)

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """What is said, by place."""
        return tuple(self.conversation.turns[n] for n in self.numbers)

    @cached_property
    def system(self) -> tuple[Turn, ...]:
        """What the source has as the system's."""
        turns = (self.conversation.turns[n] for n in self.path)
        return tuple(turn for turn in turns if turn.role is Role.SYSTEM)

    @cached_property
    def system_cost(self) -> int:
        """What of the context that takes."""
        return sum(self.costs[n] for n in self.path if self.conversation.turns[n].role is Role.SYSTEM)

    def is_voice(self, place: int) -> bool:
        """Whether the model speaks there."""
        return self.voice.is_speaking(self.turns[place])

    def answers(self, wanted: Collection[int]) -> tuple[list[Answer], list[Turn]]:
        """The answers that some turns make, and those of the turns that go on from something that is not wanted."""
        answers: list[Answer] = []
        late: list[Turn] = []
        for is_voice, run in groupby(range(len(self.numbers)), key=self.is_voice):
            if not is_voice:
                continue
            places = list(run)
            whole = list(takewhile(lambda place: self.numbers[place] in wanted, places))
            late += [self.turns[place] for place in places[len(whole) :] if self.numbers[place] in wanted]
            if whole:
                answers.append(Answer(whole[0], whole[-1], is_cut=len(whole) < len(places)))
        return answers, late

    def window(self, answers: Sequence[Answer], room: int) -> Window:
        """The first of some answers, and as many after it as fit, with what was said before.

        With more than one, half of the room is for them: fewer examples, each with some history.
        """
        start = self._start(answers[0], room // 2)
        total = self._cost(start, answers[0].last)
        taken = [answers[0]]
        for before, answer in pairwise(answers):
            total += self._cost(before.last + 1, answer.last)
            if before.is_cut or total > room:
                break
            taken.append(answer)
        return self.window_of(answers[0], room) if len(taken) == 1 else Window(self, start, tuple(taken))

    def window_of(self, answer: Answer, room: int) -> Window:
        """One answer, with as much before it as there is room for."""
        return Window(self, self._start(answer, room), (answer,))

    def half_window_of(self, answer: Answer, room: int) -> Window:
        """One answer, with what half of the room holds of what was said before it, however long the answer is."""
        return self.window_of(answer, room // 2 + self._cost(answer.first, answer.last))

    def _start(self, answer: Answer, room: int) -> int:
        """Where to begin so that all up to an answer fits: with what somebody says to the model.

        At least what is answered is there, whether it fits or not.
        """
        start, total = answer.first, self._cost(answer.first, answer.last)
        while start > 0 and total + self.costs[self.numbers[start - 1]] <= room:
            start -= 1
            total += self.costs[self.numbers[start]]
        if start == answer.first and start > 0:
            start -= 1
        while start < answer.first and self.is_voice(start):
            start += 1
        return start

    def _cost(self, first: int, last: int) -> int:
        return sum(self.costs[n] for n in self.numbers[first : last + 1])
