"""Answers that a model writes, to be looked at: held-out conversations go on, as bots would let it.

Who is to be answered is chosen by hash, so that every model is asked the same. Knows nothing of what is healthy.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from engine.generation import ChatMessage, FinishReason, Generation, GenerationRequest, TextEngine
from engine.sampling import SamplingParams
from finetune.dataset.example import Example
from finetune.dataset.replay import CONCURRENT
from finetune.evaluation.losses import order

ROUNDS = 2


@dataclass(frozen=True)
class Prompt:
    """What is to be answered; `id` tells it from others, and the seeds of its answers come of it."""

    id: str
    messages: tuple[ChatMessage, ...]

    @property
    def question(self) -> str:
        """What was said last."""
        return self.messages[-1].content


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        prompt: Id of what it answers.
        has_ended: Whether the model has ended it, and not the limit.
    """

    prompt: str
    text: str
    has_ended: bool


def prompts(test: Iterable[Example], anchor: Iterable[Example], number: int) -> tuple[Prompt, ...]:
    """So many prompts: one of each held-out conversation, and general questions where those are too few."""
    of_conversations: dict[str, Prompt] = {}
    for example in sorted(test, key=lambda each: order(each.id)):
        if (prompt := prompt_of(example)) is not None:
            of_conversations.setdefault(example.conversation, prompt)
    chosen = sorted(of_conversations.values(), key=lambda prompt: order(prompt.id))
    general = (prompt for example in anchor if (prompt := prompt_of(example)) is not None)
    return tuple(islice(chain(chosen, general), number))


def prompt_of(example: Example) -> Prompt | None:
    """What an example's last answer was given to; None if that is no turn of somebody else."""
    place = max((at for at, message in enumerate(example.messages) if message.is_target), default=0)
    before = example.messages[:place]
    if not before or before[-1].role != "user":
        return None
    return Prompt(example.id, tuple(message.chat_message for message in before))


async def generate(
    engine: TextEngine,
    asked: Sequence[Prompt],
    sampling: SamplingParams,
    max_tokens: int,
    *,
    rounds: int = ROUNDS,
    on_done: Callable[[], None] = lambda: None,
) -> list[Answer]:
    """What the engine answers to each prompt, so many times, each time with another seed; once, in their order.

    Args:
        sampling: As bots draw; the seed is set for each answer, by prompt and round.
        on_done: Called after each answer.

    Raises:
        EngineError: A request is refused, or an answer cannot be finished.
    """
    waiting = _in_groups(asked, rounds)
    running: deque[tuple[Prompt, Generation]] = deque()
    found: list[Answer] = []
    try:
        while True:
            for prompt, number in islice(waiting, CONCURRENT - len(running)):
                running.append((prompt, await engine.submit(_request(prompt, number, sampling, max_tokens))))
            if not running:
                return found
            completion = await running[0][1].result()
            prompt, _ = running.popleft()
            found.append(Answer(prompt.id, completion.text, completion.finish_reason is FinishReason.STOP))
            on_done()
    finally:
        for _, generation in running:
            generation.cancel()


def _in_groups(asked: Sequence[Prompt], rounds: int) -> Iterator[tuple[Prompt, int]]:
    """So many prompts once as run at a time, then the same ones again, when the engine still holds what they share."""
    for at in range(0, len(asked), CONCURRENT):
        for number in range(rounds):
            yield from ((prompt, number) for prompt in asked[at : at + CONCURRENT])


def _request(prompt: Prompt, number: int, sampling: SamplingParams, max_tokens: int) -> GenerationRequest:
    name = f"evaluation {number} {prompt.id}"
    seed = int.from_bytes(order(name)[0], "big")
    return GenerationRequest(prompt.messages, name, replace(sampling, seed=seed), max_tokens)
