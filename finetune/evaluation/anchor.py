"""General questions that the base model answers once, by which it is seen what a model made from it forgets.

What the base model says by itself it finds likely, and so does a model that has forgotten nothing. None of the
questions is one of those whose answers are replayed in training: what is learnt must not judge. Knows nothing of chats.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from importlib import resources

from engine.generation import TextEngine
from engine.sampling import SamplingParams
from finetune.dataset import replay
from finetune.dataset.example import Example

SOURCE = "anchor"
# Half of the default model's answers end by then. Of those that do not, many go round in circles, which any model finds
# likely.
MAX_TOKENS = 128
# What the base model says without luck; its answers are kept, so that nothing depends on that they can be repeated.
GREEDY = SamplingParams(temperature=0.0)


def prompts() -> tuple[str, ...]:
    """The questions that come with the package."""
    text = resources.files("finetune").joinpath("data/anchor_prompts.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


async def answers(
    engine: TextEngine, persona: str | None, on_done: Callable[[], None] = lambda: None
) -> AsyncIterator[Example]:
    """What the base model answers to each question, in their order; empty and unfinished answers are left out.

    Args:
        persona: The system message that models are served with; None for none.
        on_done: Called after each question.

    Raises:
        EngineError: A request is refused, or an answer cannot be finished.
    """
    answered = replay.generate(
        engine, prompts(), persona=persona, sampling=GREEDY, max_tokens=MAX_TOKENS, on_done=on_done
    )
    async for example in answered:
        yield _renamed(example)


def _renamed(example: Example) -> Example:
    """An answer as one of the anchor's, one conversation for each question."""
    key = example.conversation.replace(replay.SOURCE, SOURCE, 1)
    return replace(example, id=key, conversation=key, source=SOURCE)
