"""The general questions, and what a tiny real model answers to them."""

from collections.abc import Awaitable, Callable
from itertools import combinations, product

from engine import Engine, GenerationRequest, SamplingParams
from finetune.dataset import replay
from finetune.dataset.example import Example
from finetune.dataset.similarity import SHINGLE_CHARS, normalised
from finetune.evaluation.anchor import MAX_TOKENS, answers, prompts

StartEngine = Callable[..., Awaitable[Engine]]
# Of the replayed questions, the nearest one is at 0.34.
NEAR = 0.4


def shingles(text: str) -> frozenset[str]:
    words = normalised(text)
    return frozenset(words[at : at + SHINGLE_CHARS] for at in range(max(1, len(words) - SHINGLE_CHARS + 1)))


def likeness(a: frozenset[str], b: frozenset[str]) -> float:
    """Jaccard similarity."""
    return len(a & b) / len(a | b)


async def collect(engine: Engine, persona: str | None = None) -> tuple[list[Example], int]:
    done: list[None] = []
    return [each async for each in answers(engine, persona, lambda: done.append(None))], len(done)


def test_there_are_200_questions_and_none_is_like_another() -> None:
    assert len(prompts()) == 200
    assert all(prompt == prompt.strip() and 1 < len(prompt) <= 200 for prompt in prompts())
    assert max(likeness(a, b) for a, b in combinations(map(shingles, prompts()), 2)) < NEAR


def test_no_question_is_like_one_whose_answer_is_learnt() -> None:
    ours, learnt = (tuple(map(shingles, some)) for some in (prompts(), replay.prompts()))
    assert max(likeness(a, b) for a, b in product(ours, learnt)) < NEAR


async def test_answers_are_what_is_to_be_said_and_are_known_by_their_question(start_engine: StartEngine) -> None:
    made, asked = await collect(await start_engine(), "You are kind.")
    assert asked == 200
    assert 0 < len(made) < 200, "some are cut off, and left out"
    assert len({example.conversation for example in made}) == len(made)
    for example in made:
        assert [message.role for message in example.messages] == ["system", "user", "assistant"]
        assert [message.is_target for message in example.messages] == [False, False, True]
        assert example.messages[1].content in prompts()
        assert (example.source, example.id) == ("anchor", example.conversation)
        assert example.id.startswith("anchor:")
        assert example.targets[0].strip()


async def test_the_answers_are_those_that_the_model_finds_likeliest(start_engine: StartEngine) -> None:
    engine = await start_engine()
    given = answers(engine, None)
    found = await anext(given)
    await given.aclose()  # type: ignore[attr-defined]  # it is a generator
    (question, answer) = found.messages
    request = GenerationRequest((question.chat_message,), "chat", SamplingParams(temperature=0.0), MAX_TOKENS)
    assert (await (await engine.submit(request)).result()).text.strip() == answer.content
