"""Answers of the base model that are learnt again, from a tiny real model."""

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from engine import Engine, FinishReason, GenerationRequest, PromptTooLongError, SamplingParams
from engine.generation import ChatMessage
from finetune.dataset.example import Example, ExampleMessage
from finetune.dataset.replay import CONCURRENT, generate, mix, prompts

StartEngine = Callable[..., Awaitable[Engine]]
# The tiny model is sure of itself, and seldom of the end: so it draws hotly, and the end is made likelier.
ENDS_SOON = SamplingParams(temperature=4.0, top_p=1.0, logit_bias={2: 20.0})


async def collect(engine: Engine, asked: list[str], **options: object) -> list[Example]:
    options = {"sampling": ENDS_SOON, "max_tokens": 12} | options
    return [example async for example in generate(engine, asked, **options)]  # type: ignore[arg-type]


def test_there_are_many_prompts_and_no_two_are_the_same() -> None:
    all_of_them = prompts()
    assert len(all_of_them) >= 240
    assert max(Counter(prompt.casefold() for prompt in all_of_them).values()) == 1
    assert all(prompt == prompt.strip() and 1 < len(prompt) <= 200 for prompt in all_of_them)


async def test_answers_are_learnt_and_prompts_are_not(start_engine: StartEngine) -> None:
    made = await collect(await start_engine(), list(prompts()[:20]), persona="You are kind.")
    assert made
    for example in made:
        assert [message.role for message in example.messages] == ["system", "user", "assistant"]
        assert [message.is_target for message in example.messages] == [False, False, True]
        assert example.messages[1].content in prompts()[:20]
        assert example.source == "replay"
        assert example.targets[0].strip()
        assert (example.message_ids, example.authors) == ((), ())


async def test_every_answer_is_one_that_the_engine_finished(start_engine: StartEngine) -> None:
    engine = await start_engine()
    asked = list(prompts()[:30])
    done: list[None] = []
    made = await collect(engine, asked, on_done=lambda: done.append(None))
    assert len(done) == len(asked)
    assert 0 < len(made) < len(asked), "some answers are cut off, and left out"
    cut = await collect(engine, asked, max_tokens=1, sampling=SamplingParams(logit_bias={2: -100.0}))
    assert cut == []


async def test_the_same_prompt_is_answered_the_same_whoever_is_asked_with_it(start_engine: StartEngine) -> None:
    engine = await start_engine()
    asked = list(prompts()[:24])
    together = {example.id: example for example in await collect(engine, asked)}
    alone = [example for prompt in asked[::-1] for example in await collect(engine, [prompt])]
    assert {example.id: example for example in alone} == together


async def test_rounds_give_other_answers_to_the_same_prompt(start_engine: StartEngine) -> None:
    made = await collect(await start_engine(), list(prompts()[:10]), rounds=4)
    assert len({example.id for example in made}) == len(made) > 10
    answers: dict[str, set[str]] = {}
    for example in made:
        answers.setdefault(example.conversation, set()).add(example.targets[0])
    assert len(answers) <= 10
    assert max(map(len, answers.values())) > 1


async def test_more_prompts_than_the_engine_queues_are_answered_in_their_order(start_engine: StartEngine) -> None:
    engine = await start_engine(queue_limit=CONCURRENT)
    asked = list(prompts()[: 4 * CONCURRENT])
    order = [example.messages[0].content for example in await collect(engine, asked)]
    assert order == [prompt for prompt in asked if prompt in order]


async def test_a_reader_that_goes_away_leaves_the_engine_free(start_engine: StartEngine) -> None:
    engine = await start_engine()
    answers = generate(engine, list(prompts()), sampling=ENDS_SOON, max_tokens=100)
    await anext(answers)
    await answers.aclose()
    request = GenerationRequest((ChatMessage("user", "hello"),), "chat", max_tokens=2)
    completion = await (await engine.submit(request)).result()
    assert completion.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)


async def test_a_persona_that_does_not_fit_is_refused(start_engine: StartEngine) -> None:
    with pytest.raises(PromptTooLongError):
        await collect(await start_engine(), ["hello"], persona="You are kind. " * 200)


def example(number: int, answer: str) -> Example:
    messages = (ExampleMessage("user", f"question {number}"), ExampleMessage("assistant", answer, weight=1.0))
    return Example(f"replay:{number}", f"replay:{number}", "replay", messages)


def test_the_mix_has_the_share_of_all_that_is_learnt() -> None:
    replay = [example(n, "é" * (20 + n % 30)) for n in range(1000)]
    chosen = mix(10_000, replay, 0.15)
    added = sum(len(target.encode()) for each in chosen for target in each.targets)
    assert 0.15 <= added / (10_000 + added) < 0.16


def test_the_mix_does_not_depend_on_the_order() -> None:
    replay = [example(n, "word " * 8) for n in range(100)]
    assert mix(1000, replay, 0.15) == mix(1000, reversed(replay), 0.15)
    assert mix(1000, replay, 0.15) != replay[: len(mix(1000, replay, 0.15))]


def test_the_mix_of_more_begins_with_the_mix_of_less() -> None:
    replay = [example(n, "word " * 8) for n in range(100)]
    less = mix(1000, replay, 0.15)
    assert mix(2000, replay, 0.15)[: len(less)] == less


def test_a_replay_that_is_too_small_is_taken_whole_and_none_where_nothing_is_learnt() -> None:
    replay = [example(n, "word") for n in range(5)]
    assert sorted(each.id for each in mix(10_000, replay, 0.15)) == [each.id for each in replay]
    assert mix(0, replay, 0.15) == []
    assert mix(10_000, replay, 0.0) == []
