"""The default model, with its real weights: what the engine writes is what transformers writes.

Compared are fp32 weights on both sides. Two implementations add the same numbers in different orders, so logits
differ in their last bits; where the two best are closer than `TIE`, either is right, and the comparison ends.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine import ChatMessage, Completion, Engine, EngineSettings, FinishReason, GenerationRequest, SamplingParams
from tests.engine.chat_styles import as_dicts

GREEDY = SamplingParams(temperature=0)
TIE = 1e-3  # of logits around 20; the exporter bounds the difference between the two graphs by less
MAX_TOKENS = 40
PERSONA = ChatMessage("system", "You are a pirate. Answer in one sentence.")
CHATS: tuple[tuple[ChatMessage, ...], ...] = (
    (ChatMessage("user", "What is the capital of France?"),),
    (PERSONA, ChatMessage("user", "Where is the treasure?")),
    (ChatMessage("user", "Write a Python function that adds two numbers."),),
    (ChatMessage("user", "Tell me a joke about a 🐈 and a 🐕, please 😀"),),
    (ChatMessage("user", "你好! Wie heißt die Hauptstadt von Österreich?"),),
    (
        ChatMessage("user", "Please remember the number 42."),
        ChatMessage("assistant", "I will remember the number 42."),
        ChatMessage("user", "".join(f"Line {n} says that {n} birds sing. " for n in range(40)) + "What do birds do?"),
    ),
)
FOLLOW_UPS = ("Tell me more about that.", "And why?", "Say it in other words.")


@dataclass(frozen=True)
class Reference:
    """What transformers writes.

    Attributes:
        certain: How many of the first ids are beyond doubt: before any two best logits are closer than `TIE`.
    """

    ids: tuple[int, ...]
    certain: int


class Transformers:
    """The reference: the checkpoint in fp32, run by transformers' own `generate`."""

    def __init__(self, checkpoint: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self._model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        self._model.eval()

    def answer(self, messages: Sequence[ChatMessage]) -> Reference:
        """Greedy, alone."""
        prompt = self._tokenizer.apply_chat_template(
            as_dicts(messages), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        options: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        done = self._model.generate(
            **prompt, **options, max_new_tokens=MAX_TOKENS, output_logits=True, return_dict_in_generate=True
        )
        ids = tuple(done.sequences[0, prompt["input_ids"].shape[1] :].tolist())
        gaps = [(pair[0] - pair[1]).item() for pair in (logits[0].topk(2).values for logits in done.logits)]
        close = [place for place, gap in enumerate(gaps) if gap < TIE]
        return Reference(ids, close[0] if close else len(ids))


@pytest.fixture(scope="module")
def transformers(real_model: tuple[Path, Path]) -> Iterator[Transformers]:
    """The default model in transformers.

    On one thread: torch's threads wait for each other in a busy loop, and on two cores with anything else to do
    that makes them ten times as slow as one alone (36 s instead of 3 s for 40 tokens).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Transformers(real_model[0])
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def references(transformers: Transformers) -> list[Reference]:
    """What transformers answers to `CHATS`."""
    return [transformers.answer(messages) for messages in CHATS]


@pytest.fixture
async def engine(real_model: tuple[Path, Path]) -> AsyncIterator[Engine]:
    """A fresh engine, with nothing in its cache."""
    settings = EngineSettings(threads=2, context_tokens=1024, max_batch=8, slots=16, prefill_chunk=128)
    async with Engine(settings, real_model[1]) as engine:
        yield engine


def request(messages: Sequence[ChatMessage], chat: str, **options: Any) -> GenerationRequest:
    return GenerationRequest(tuple(messages), chat, **({"sampling": GREEDY, "max_tokens": MAX_TOKENS} | options))


async def answer(engine: Engine, messages: Sequence[ChatMessage], chat: str) -> Completion:
    return await (await engine.submit(request(messages, chat))).result()


def assert_same(completion: Completion, reference: Reference) -> None:
    assert completion.token_ids[: reference.certain] == reference.ids[: reference.certain]
    if reference.certain == len(reference.ids):
        assert len(completion.token_ids) == len(reference.ids), "it ended elsewhere"


def test_the_reference_is_long_and_certain_enough_to_show_something(references: list[Reference]) -> None:
    assert len({r.ids for r in references}) == len(CHATS)
    assert sum(r.certain for r in references) >= 0.8 * sum(len(r.ids) for r in references) > 100


async def test_it_knows_the_capital_of_france(engine: Engine) -> None:
    completion = await answer(engine, CHATS[0], "chat")
    assert "Paris" in completion.text
    assert completion.finish_reason is FinishReason.STOP


async def test_greedy_text_equals_that_of_transformers_alone(engine: Engine, references: list[Reference]) -> None:
    for number, (messages, reference) in enumerate(zip(CHATS, references, strict=True)):
        assert_same(await answer(engine, messages, f"chat-{number}"), reference)


async def test_greedy_text_equals_that_of_transformers_in_a_batch(engine: Engine, references: list[Reference]) -> None:
    generations = [await engine.submit(request(m, f"chat-{i}")) for i, m in enumerate(CHATS)]
    for generation, reference in zip(generations, references, strict=True):
        assert_same(await generation.result(), reference)
    assert engine.metrics().mean_batch_size > 2, "the requests did not share steps"


async def test_greedy_text_of_second_turns_equals_that_of_transformers_with_and_without_a_reused_prefix(
    engine: Engine, transformers: Transformers
) -> None:
    firsts = [await answer(engine, messages, f"kept-{i}") for i, messages in enumerate(CHATS[: len(FOLLOW_UPS)])]
    seconds = [
        (*messages, ChatMessage("assistant", first.text), ChatMessage("user", follow_up))
        for messages, first, follow_up in zip(CHATS, firsts, FOLLOW_UPS, strict=False)
    ]
    kept = await asyncio.gather(*(answer(engine, messages, f"kept-{i}") for i, messages in enumerate(seconds)))
    for first, second, messages in zip(firsts, kept, seconds, strict=True):
        assert second.cached_tokens >= first.prompt_tokens, "nothing was reused"
        assert_same(second, transformers.answer(messages))


async def test_second_turns_are_the_same_in_a_fresh_engine(engine: Engine, real_model: tuple[Path, Path]) -> None:
    first = await answer(engine, CHATS[1], "kept")
    messages = (*CHATS[1], ChatMessage("assistant", first.text), ChatMessage("user", FOLLOW_UPS[1]))
    kept = await answer(engine, messages, "kept")
    settings = EngineSettings(threads=2, context_tokens=1024, max_batch=1, slots=1, prefill_chunk=512)
    async with Engine(settings, real_model[1]) as other:
        fresh = await answer(other, messages, "fresh")
    assert kept.cached_tokens > 0 == fresh.cached_tokens
    assert (kept.token_ids, kept.text) == (fresh.token_ids, fresh.text)


async def test_greedy_text_equals_that_of_transformers_while_neighbours_come_and_go(
    engine: Engine, references: list[Reference]
) -> None:
    """Each arrival is prefilled between two decodes, and each departure moves slots together."""

    async def neighbour(number: int, num_pieces: int) -> FinishReason:
        text = f"Tell me story number {number}. " + "Make it long. " * number
        generation = await engine.submit(request([ChatMessage("user", text)], f"neighbour-{number}", max_tokens=60))
        for _ in range(num_pieces):
            await anext(generation, None)
        generation.cancel()
        return (await generation.result()).finish_reason

    gone: list[FinishReason] = []

    async def neighbours() -> None:
        for number in range(10):
            gone.append(await neighbour(number, 1 + number % 4))

    async with asyncio.TaskGroup() as tasks:
        generations = [await engine.submit(request(m, f"chat-{i}")) for i, m in enumerate(CHATS)]
        tasks.create_task(neighbours())
        completions = [await generation.result() for generation in generations]
        assert gone.count(FinishReason.CANCELLED) >= 5, "hardly any neighbour came and went meanwhile"
    for completion, reference in zip(completions, references, strict=True):
        assert_same(completion, reference)
