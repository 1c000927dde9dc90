"""Answers of a real tiny model to held-out conversations, and who is asked."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.sampling import SamplingParams
from finetune.dataset.example import ExampleMessage
from finetune.evaluation.answers import Answer, Prompt, generate, prompt_of, prompts
from tests.finetune.evaluation.material import example, question

SAMPLING = SamplingParams(temperature=1.0, top_p=0.9)


def test_a_prompt_is_all_that_stood_before_the_last_answer() -> None:
    held_out = example(1)
    prompt = prompt_of(held_out)
    assert prompt is not None
    assert [message.role for message in prompt.messages] == ["system", "user", "assistant", "user"]
    assert prompt.question == held_out.messages[3].content


def test_what_nobody_asked_is_no_prompt() -> None:
    said = ExampleMessage("assistant", "Hello.", 1.0)
    assert prompt_of(replace(example(1), messages=(said,))) is None
    assert prompt_of(replace(example(1), messages=(*example(1).messages[:2],))) is None
    assert prompt_of(replace(example(1), messages=(*example(1).messages[:3], said))) is None


def test_each_conversation_is_asked_once_and_general_questions_make_up_for_what_lacks() -> None:
    test = [replace(example(n), id=f"{n}:{part}") for n in range(5) for part in range(3)]
    anchor = [question(n) for n in range(9)]
    chosen = prompts(test, anchor, 8)
    assert {prompt.id.split(":")[0] for prompt in chosen[:5]} == {"0", "1", "2", "3", "4"}
    assert [prompt.id for prompt in chosen[5:]] == [each.id for each in anchor[:3]]
    assert len(prompts(test, anchor, 100)) == 5 + 9


def test_who_is_asked_does_not_depend_on_the_order_of_the_examples() -> None:
    test = [example(n) for n in range(9)]
    assert prompts(test, (), 4) == prompts(test[::-1], (), 4)


async def test_each_prompt_is_answered_so_many_times_with_other_seeds_and_alike_again(
    start_engine: Callable[..., Any],
) -> None:
    engine = await start_engine()
    asked = prompts([example(n) for n in range(3)], (), 3)
    done: list[None] = []
    answers = await generate(engine, asked, SAMPLING, 12, on_done=lambda: done.append(None))
    assert [answer.prompt for answer in answers] == [prompt.id for prompt in asked] * 2
    assert len(done) == 6
    assert len({answer.text for answer in answers}) == 6
    assert await generate(engine, asked, SAMPLING, 12) == answers


async def test_the_second_answer_to_a_prompt_takes_over_what_the_first_has_computed(
    start_engine: Callable[..., Any],
) -> None:
    engine = await start_engine(max_batch=16, slots=24)
    await generate(engine, prompts([example(n) for n in range(32)], (), 32), SAMPLING, 8)
    assert engine.metrics().cached_share > 0.4


async def test_an_answer_that_the_limit_cuts_off_has_not_ended(start_engine: Callable[..., Any]) -> None:
    engine = await start_engine()
    prompt = prompt_of(example(1))
    assert prompt is not None
    # The token that ends the tiny model's answers.
    for bias, has_ended in ((100.0, True), (-100.0, False)):
        sampling = replace(SAMPLING, logit_bias={2: bias})
        answers = await generate(engine, [prompt], sampling, 5)
        assert [answer.has_ended for answer in answers] == [has_ended] * 2


async def test_the_answers_of_one_prompt_do_not_depend_on_the_others(start_engine: Callable[..., Any]) -> None:
    engine = await start_engine()
    asked: list[Prompt] = list(prompts([example(n) for n in range(4)], (), 4))
    alone: list[Answer] = []
    for prompt in asked:
        alone += await generate(engine, [prompt], SAMPLING, 8)
    together = await generate(engine, asked, SAMPLING, 8)
    assert sorted(together, key=str) == sorted(alone, key=str)
