"""What the base model itself answers to general questions, learnt again so that it does not forget how.

On the default model, LoRA on 320 conversations made bits per byte of general answers 55 % worse with next to none of
it, and 2 % worse where it was 40 % of what was learnt. Seeds make answers repeatable on one machine; another's
arithmetic may draw others, so that a replay is kept as an input of data sets. Knows nothing of chats.
"""

import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import islice

from engine.generation import ChatMessage, FinishReason, Generation, GenerationRequest, TextEngine
from engine.sampling import SamplingParams
from finetune.dataset.example import Example, ExampleMessage

VERSION = 1

SOURCE = "replay"
# As many as the engine writes at a time by default.
CONCURRENT = 16
MAX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One answer to one prompt; the same prompt may be answered in several rounds."""

    prompt: str
    round: int

    def request(self, persona: str | None, sampling: SamplingParams, max_tokens: int) -> GenerationRequest:
        system = () if persona is None else (ChatMessage("system", persona),)
        return GenerationRequest(
            (*system, ChatMessage("user", self.prompt)),
            chat=f"{SOURCE} {self.round} {_hash(self.prompt):016x}",
            sampling=replace(sampling, seed=_hash(f"{self.round} {self.prompt}")),
            max_tokens=max_tokens,
        )

    def example(self, persona: str | None, answer: str) -> Example:
        system = () if persona is None else (ExampleMessage("system", persona),)
        messages = (*system, ExampleMessage("user", self.prompt), ExampleMessage("assistant", answer, weight=1.0))
        conversation = f"{SOURCE}:{_hash(self.prompt):016x}"
        return Example(f"{conversation}:{self.round}", conversation, SOURCE, messages)


def prompts() -> tuple[str, ...]:
    """The prompts that come with the package: what people ask an assistant, in several moods."""
    text = resources.files("finetune").joinpath("data/replay_prompts.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


async def generate(
    engine: TextEngine,
    prompts: Sequence[str],
    *,
    persona: str | None = None,
    sampling: SamplingParams | None = None,
    max_tokens: int = MAX_TOKENS,
    rounds: int = 1,
    on_done: Callable[[], None] = lambda: None,
) -> AsyncIterator[Example]:
    """What the engine answers to each prompt, in the order of the prompts, round after round.

    Answers that are empty, or that the limit cut off, are left out: a model that learns those learns not to end.

    Args:
        persona: The system message; None for none.
        sampling: How to draw; the seed is set for each answer, by prompt and round. None draws as the engine does.
        rounds: How many answers to each prompt.
        on_done: Called after each answer, also if it is left out.

    Raises:
        EngineError: A request is refused, or an answer cannot be finished.
    """
    sampling = sampling or SamplingParams()
    waiting = iter([_Wanted(prompt, number) for number in range(rounds) for prompt in prompts])
    running: deque[tuple[_Wanted, Generation]] = deque()
    try:
        while True:
            for wanted in islice(waiting, CONCURRENT - len(running)):
                running.append((wanted, await engine.submit(wanted.request(persona, sampling, max_tokens))))
            if not running:
                return
            completion = await running[0][1].result()
            wanted, _ = running.popleft()
            on_done()
            answer = completion.text.strip()
            if completion.finish_reason is FinishReason.STOP and answer:
                yield wanted.example(persona, answer)
    finally:
        for _, generation in running:
            generation.cancel()


def mix(num_target_units: int, replay: Iterable[Example], share: float) -> list[Example]:
    """So much of a replay that it is a share of all that is learnt, in an order by hash; all of it if it is too little.

    Args:
        num_target_units: Bytes of what else is learnt, as `target_bytes` counts them.
        share: At least 0, and below 1.
    """
    wanted = num_target_units * share / (1 - share)
    chosen: list[Example] = []
    total = 0
    for example in sorted(replay, key=lambda example: (_hash(example.id), example.id)):
        if total >= wanted:
            break
        chosen.append(example)
        total += sum(len(target.encode("utf-8", "surrogatepass")) for target in example.targets)
    return chosen


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
