"""What two models have answered to the same questions.

Knows nothing of sides, votes or pages.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Self

from engine.generation import Generation, GenerationRequest, TextEngine
from engine.sampling import SamplingParams
from finetune.comparing.questions import Question, digest

# As many as the engine writes at a time by default.
CONCURRENT = 16
MAX_TOKENS = 256


@dataclass(frozen=True)
class Pair:
    """One question with both answers.

    Attributes:
        id: Made of the question and both answers, in such a way that it does not tell whose is whose.
        version: The answer of the model that is judged.
        against: The other one's.
    """

    id: str
    question: Question
    version: str
    against: str

    @property
    def is_equal(self) -> bool:
        """Whether there is nothing to choose between."""
        return self.version == self.against

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        return cls(row["id"], Question.from_json(row["question"]), row["version"], row["against"])


def pair(questions: Iterable[Question], version: Iterable[str], against: Iterable[str]) -> tuple[Pair, ...]:
    """Each question with both answers to it, which come in the questions' order."""
    return tuple(
        Pair(digest(question.id, *sorted(both)), question, *both)
        for question, *both in zip(questions, version, against, strict=True)
    )


async def answers(
    engine: TextEngine,
    questions: Sequence[Question],
    *,
    sampling: SamplingParams | None = None,
    max_tokens: int = MAX_TOKENS,
    on_done: Callable[[], None] = lambda: None,
) -> list[str]:
    """What the engine answers to each question, in their order; an answer that the limit cuts off as far as it goes.

    Args:
        sampling: How to draw; the seed goes by the question, so that both models draw alike.
        on_done: Called after each answer.

    Raises:
        EngineError: A request is refused, or an answer cannot be finished.
    """
    sampling = sampling or SamplingParams()
    waiting = iter([_request(question, sampling, max_tokens) for question in questions])
    running: deque[Generation] = deque()
    said: list[str] = []
    try:
        while len(said) < len(questions):
            for request in islice(waiting, CONCURRENT - len(running)):
                running.append(await engine.submit(request))
            completion = await running[0].result()
            running.popleft()
            said.append(completion.text.strip())
            on_done()
    finally:
        for generation in running:
            generation.cancel()
    return said


def _request(question: Question, sampling: SamplingParams, max_tokens: int) -> GenerationRequest:
    # 8 of the 12 bytes: what a generator of the engine takes as a seed.
    seed = int(question.id[:16], 16)
    return GenerationRequest(question.messages, question.id, replace(sampling, seed=seed), max_tokens)
