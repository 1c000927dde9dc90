"""The engine on a tiny real model: text, limits, fairness, and swaps under way."""

import asyncio
import gc
import json
import shutil
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine import (
    BundleError,
    ChatMessage,
    Engine,
    EngineClosedError,
    EngineError,
    FinishReason,
    GenerationRequest,
    InvalidRequestError,
    NonFiniteLogitsError,
    PromptTooLongError,
    QueueFullError,
    Registry,
    RegistryError,
    SamplingParams,
)

GREEDY = SamplingParams(temperature=0)
StartEngine = Callable[..., Awaitable[Engine]]


def request(text: str = "Hello there", chat: str = "chat", **options: Any) -> GenerationRequest:
    options = {"sampling": GREEDY, "max_tokens": 12} | options
    return GenerationRequest((ChatMessage("user", text),), chat, **options)


async def answer(engine: Engine, wanted: GenerationRequest) -> Any:
    return await (await engine.submit(wanted)).result()


async def test_streamed_pieces_add_up_to_the_answer(start_engine: StartEngine) -> None:
    engine = await start_engine()
    generation = await engine.submit(request(max_tokens=30))
    pieces = [piece async for piece in generation]
    completion = await generation.result()
    assert "".join(pieces) == completion.text
    assert completion.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)
    assert len(completion.token_ids) == 30 or completion.finish_reason is FinishReason.STOP
    assert completion.version == engine.version


async def test_a_greedy_answer_is_the_same_alone_and_in_a_full_batch(start_engine: StartEngine) -> None:
    engine = await start_engine()
    texts = [f"Message number {i}, {'word ' * i}" for i in range(8)]
    alone = [(await answer(engine, request(t, f"alone-{i}", max_tokens=20))).token_ids for i, t in enumerate(texts)]
    generations = [await engine.submit(request(t, f"batch-{i}", max_tokens=20)) for i, t in enumerate(texts)]
    together = [(await g.result()).token_ids for g in generations]
    assert together == alone
    assert engine.metrics().mean_batch_size > 1.5, "the requests did not share steps"


async def test_a_sampled_answer_with_a_seed_does_not_depend_on_its_neighbours(start_engine: StartEngine) -> None:
    engine = await start_engine()
    seeded = SamplingParams(temperature=1.0, seed=3)
    alone = await answer(engine, request(chat="a", sampling=seeded, max_tokens=25))
    noise = [await engine.submit(request(f"noise {i}", f"n{i}", sampling=SamplingParams())) for i in range(3)]
    together = await answer(engine, request(chat="b", sampling=seeded, max_tokens=25))
    assert together.token_ids == alone.token_ids
    for generation in noise:
        await generation.result()


async def test_the_next_turn_reuses_the_cache_and_says_the_same_as_without(start_engine: StartEngine) -> None:
    engine = await start_engine()
    first = await answer(engine, request("Tell me of birds", "kept", max_tokens=16))
    turns = (
        ChatMessage("user", "Tell me of birds"),
        ChatMessage("assistant", first.text),
        ChatMessage("user", "And of fish?"),
    )
    kept = await answer(engine, GenerationRequest(turns, "kept", GREEDY, 16))
    # Another engine has nothing to reuse.
    fresh = await answer(await start_engine(), GenerationRequest(turns, "fresh", GREEDY, 16))
    assert kept.cached_tokens > first.prompt_tokens // 2
    assert fresh.cached_tokens == 0
    assert kept.token_ids == fresh.token_ids


async def test_a_stop_string_ends_the_answer_and_is_not_shown(start_engine: StartEngine) -> None:
    engine = await start_engine()
    whole = (await answer(engine, request(max_tokens=30))).text
    stop = whole[8:11]
    generation = await engine.submit(request(max_tokens=30, stop=(stop,)))
    shown = "".join([piece async for piece in generation])
    completion = await generation.result()
    assert completion.finish_reason is FinishReason.STOP
    assert shown == completion.text == whole[: whole.index(stop)]


async def test_log_probabilities_come_with_every_token_when_asked_for(start_engine: StartEngine) -> None:
    engine = await start_engine()
    completion = await answer(engine, request(sampling=SamplingParams(temperature=0, logprobs=2)))
    assert [entry.token_id for entry in completion.logprobs] == list(completion.token_ids)
    assert all(entry.top[0][0] == entry.token_id for entry in completion.logprobs), "greedy takes the best"
    assert all(entry.logprob <= 0 for entry in completion.logprobs)


async def test_cancelling_keeps_the_text_so_far_and_frees_the_place(start_engine: StartEngine) -> None:
    engine = await start_engine(max_batch=1, slots=2)
    generation = await engine.submit(request(max_tokens=100))
    seen = await anext(generation)
    generation.cancel()
    completion = await generation.result()
    assert completion.finish_reason is FinishReason.CANCELLED
    assert completion.text.startswith(seen)
    assert len(completion.token_ids) < 100
    assert (await answer(engine, request(chat="next", max_tokens=2))).token_ids


async def test_a_waiting_request_can_be_cancelled(start_engine: StartEngine) -> None:
    engine = await start_engine(max_batch=1, slots=1)
    running = await engine.submit(request(chat="a", max_tokens=60))
    waiting = await engine.submit(request(chat="b"))
    assert waiting.position == 1
    waiting.cancel()
    completion = await waiting.result()
    assert (completion.finish_reason, completion.text) == (FinishReason.CANCELLED, "")
    assert (await running.result()).token_ids


async def test_a_deadline_ends_the_answer_as_it_stands(bundles: Callable[..., Path], manual_clock: Any) -> None:
    from engine import EngineSettings

    settings = EngineSettings(threads=1, context_tokens=256, max_batch=2, slots=2)
    async with Engine(settings, bundles(), clock=manual_clock) as engine:
        generation = await engine.submit(request(max_tokens=100, deadline_s=5))
        await anext(generation)
        manual_clock.now += 6
        completion = await generation.result()
    assert completion.finish_reason is FinishReason.DEADLINE
    assert 0 < len(completion.token_ids) < 100


async def test_a_full_queue_refuses_with_the_numbers_and_recovers(start_engine: StartEngine) -> None:
    engine = await start_engine(max_batch=1, slots=1, queue_limit=2)
    running = await engine.submit(request(chat="a", max_tokens=60))
    await anext(running)
    waiting = [await engine.submit(request(chat=c, max_tokens=2)) for c in "bc"]
    with pytest.raises(QueueFullError) as caught:
        await engine.submit(request(chat="d"))
    assert (caught.value.num_waiting, caught.value.limit) == (2, 2)
    assert [g.position for g in waiting] == [1, 2]
    for generation in (running, *waiting):
        await generation.result()
    assert (await answer(engine, request(chat="d", max_tokens=2))).token_ids


async def test_a_busy_chat_does_not_starve_another(start_engine: StartEngine) -> None:
    engine = await start_engine(max_batch=1, slots=2)
    order: list[str] = []

    async def follow(generation: Any, name: str) -> None:
        await generation.result()
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for i in range(6):
            generation = await engine.submit(request(chat="busy", max_tokens=8))
            tasks.create_task(follow(generation, f"busy-{i}"))
        late = await engine.submit(request(chat="quiet", max_tokens=8))
        tasks.create_task(follow(late, "quiet"))
    assert order.index("quiet") <= 2


async def test_a_prompt_that_cannot_fit_is_refused_at_the_door_with_the_numbers(start_engine: StartEngine) -> None:
    engine = await start_engine()
    with pytest.raises(PromptTooLongError) as caught:
        await engine.submit(request("many words " * 200))
    assert caught.value.num_tokens > caught.value.limit_tokens > 0
    assert (await answer(engine, request(max_tokens=2))).token_ids


async def test_a_long_history_loses_whole_turns_from_the_front_and_keeps_the_persona(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine()
    history = [ChatMessage("system", "You are a parrot.")]
    for i in range(30):
        history += [ChatMessage("user", f"question {i}"), ChatMessage("assistant", f"reply {i}")]
    wanted = GenerationRequest((*history, ChatMessage("user", "last")), "long", GREEDY, 8)
    completion = await answer(engine, wanted)
    assert 0 < completion.dropped_turns < 30
    assert completion.prompt_tokens <= 256 - 8
    kept = (history[0], *history[1 + 2 * completion.dropped_turns :], ChatMessage("user", "last"))
    same = await answer(engine, GenerationRequest(kept, "short", GREEDY, 8))
    assert same.prompt_sha256 == completion.prompt_sha256


async def test_an_answer_ends_when_the_context_is_full(start_engine: StartEngine) -> None:
    engine = await start_engine(context_tokens=64)
    completion = await answer(engine, request("Hi", max_tokens=10_000))
    assert completion.finish_reason is FinishReason.LENGTH
    assert len(completion.token_ids) == 32


async def test_an_empty_conversation_is_refused(start_engine: StartEngine) -> None:
    engine = await start_engine()
    with pytest.raises(EngineError, match="no message"):
        await engine.submit(GenerationRequest((), "chat"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"sampling": SamplingParams(logit_bias={512: 1.0})},
        {"sampling": SamplingParams(logit_bias={-1: 1.0})},
        {"sampling": SamplingParams(logit_bias={3: float("nan")})},
        {"sampling": SamplingParams(logit_bias={3: float("inf")})},
    ],
    ids=str,
)
async def test_what_would_fail_in_a_batch_is_refused_at_the_door(start_engine: StartEngine, wrong: Any) -> None:
    engine = await start_engine()
    with pytest.raises(InvalidRequestError):
        await engine.submit(request(**wrong))


async def test_rows_that_cannot_be_sampled_fail_alone_and_the_engine_serves_on(start_engine: StartEngine) -> None:
    engine = await start_engine()
    nothing_left = SamplingParams(temperature=0, logit_bias=dict.fromkeys(range(512), float("-inf")))
    fine = await engine.submit(request(chat="fine", max_tokens=30))
    await anext(fine)
    with pytest.raises(NonFiniteLogitsError):
        await answer(engine, request(chat="broken", sampling=nothing_left))
    assert len((await fine.result()).token_ids) > 1
    assert (await answer(engine, request(chat="whole"))).token_ids


async def test_a_model_that_fails_in_a_run_ends_what_was_running_and_serves_on(start_engine: StartEngine) -> None:
    """A graph that breaks at run time, here because its cache was taken away under it."""
    engine = await start_engine()
    running = await engine.submit(request(chat="a", max_tokens=200))
    waiting = [await engine.submit(request(chat=str(i), max_tokens=5)) for i in range(6)]
    await anext(running)
    session = engine._workers[-1]._session
    bindings = dict(session._bindings)
    session._bindings = dict.fromkeys(range(1, 9), None)
    with pytest.raises(EngineClosedError, match="the model failed"):
        await running.result()
    session._bindings = bindings
    ended = await asyncio.gather(*(g.result() for g in waiting), return_exceptions=True)
    assert all(isinstance(e, EngineClosedError) or e.token_ids for e in ended)
    alone = await answer(await start_engine(), request(chat="fresh"))
    assert (await answer(engine, request(chat="a"))).token_ids == alone.token_ids


async def test_leaving_the_engine_ends_answers_with_an_error_that_says_so(bundles: Callable[..., Path]) -> None:
    from engine import EngineSettings

    settings = EngineSettings(threads=1, context_tokens=256, max_batch=1, slots=1)
    async with Engine(settings, bundles()) as engine:
        running = await engine.submit(request(chat="a", max_tokens=100))
        waiting = await engine.submit(request(chat="b", max_tokens=100))
        await anext(running)
    for generation in (running, waiting):
        with pytest.raises(EngineClosedError):
            await generation.result()
    with pytest.raises(EngineClosedError):
        await engine.submit(request())


async def test_metrics_tell_what_happened(start_engine: StartEngine) -> None:
    engine = await start_engine()
    first = await answer(engine, request("Tell me", "a", max_tokens=10))
    metrics = engine.metrics()
    assert metrics.version == engine.version
    assert metrics.finished == {first.finish_reason: 1}
    assert (metrics.prompt_tokens, metrics.answer_tokens) == (first.prompt_tokens, len(first.token_ids))
    assert (metrics.queue_length, metrics.num_running) == (0, 0)
    assert metrics.tokens_per_second > 0
    assert metrics.time_to_first_token_p50_s > 0


async def test_without_a_champion_the_engine_says_how_to_make_one(start_engine: StartEngine, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="make model"):
        await start_engine(registry=tmp_path)


async def test_a_promotion_breaks_no_stream_and_frees_the_old_version(
    start_engine: StartEngine, bundles: Callable[..., Path], tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    old, new = (registry.add(bundles(seed=seed)) for seed in (0, 1))
    registry.promote(old, "first")
    engine = await start_engine(registry=tmp_path, max_batch=8, slots=8, watch_interval_s=0.05)
    expected = [(await answer(engine, request(f"text {i}", f"e{i}", max_tokens=100))).token_ids for i in range(8)]
    session = weakref.ref(engine._workers[-1]._session)

    generations = [await engine.submit(request(f"text {i}", f"s{i}", max_tokens=100)) for i in range(8)]
    for generation in generations:
        await anext(generation)
    registry.promote(new, "better")
    while engine.version != new:
        await asyncio.sleep(0.01)
    during = await answer(engine, request("new request", "new"))
    streams = [await g.result() for g in generations]

    assert during.version == new
    assert {s.version for s in streams} == {old}
    assert [s.token_ids for s in streams] == expected
    while engine.loaded_versions != (new,):
        await asyncio.sleep(0.01)
    gc.collect()
    assert session() is None, "the old model is still in memory"


async def test_a_corrupt_champion_is_refused_and_the_old_one_serves_on(
    start_engine: StartEngine, bundles: Callable[..., Path], tmp_path: Path, caplog: Any
) -> None:
    registry = Registry(tmp_path / "registry")
    old, new = (registry.add(bundles(seed=seed)) for seed in (0, 1))
    registry.promote(old, "first")
    registry.promote(new, "better")
    registry.rollback("for the test")
    engine = await start_engine(registry=registry.root, watch_interval_s=0.02)
    # Damage what the registry holds, then make it the champion behind its back, as a failing disk might.
    graph = registry.path(new) / "model.onnx.data"
    content = bytearray(graph.read_bytes())
    content[100] ^= 1
    graph.unlink()
    graph.write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        registry.promote(new, "again")
    state = json.loads((registry.root / "registry.json").read_text())
    (registry.root / "registry.json").write_text(json.dumps(state | {"champion": new}))
    while "refused a new champion" not in caplog.text:
        await asyncio.sleep(0.01)
    assert engine.version == old
    assert (await answer(engine, request())).version == old
    assert caplog.text.count("refused a new champion") == 1


async def test_a_graph_that_loads_but_cannot_run_is_refused(
    start_engine: StartEngine, bundles: Callable[..., Path], tmp_path: Path
) -> None:
    """A bundle whose manifest is intact but lies about the model."""
    engine = await start_engine()
    wrong = tmp_path / "wrong"
    shutil.copytree(bundles(), wrong)
    manifest = json.loads((wrong / "bundle.json").read_text())
    manifest["model"]["kv_heads"] = 1
    (wrong / "bundle.json").write_text(json.dumps(manifest))
    before = engine.version
    with pytest.raises(BundleError, match="does not run"):
        await engine.swap(wrong)
    assert engine.version == before
    assert (await answer(engine, request())).token_ids


@pytest.mark.parametrize(
    "damage",
    [
        lambda m: m["model"].update(kv_heads=-2),
        lambda m: m["model"].update(context=-5),
        lambda m: m["model"].update(vocabulary=10**15),
        lambda m: m["model"].update(head_size=32),
    ],
    ids=["kv_heads", "context", "vocabulary", "head_size"],
)
async def test_a_manifest_that_lies_is_refused_and_the_engine_serves_on(
    start_engine: StartEngine, bundles: Callable[..., Path], tmp_path: Path, damage: Callable[[Any], None]
) -> None:
    engine = await start_engine()
    wrong = tmp_path / "wrong"
    shutil.copytree(bundles(), wrong)
    manifest = json.loads((wrong / "bundle.json").read_text())
    damage(manifest)
    (wrong / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError):
        await engine.swap(wrong)
    assert (await answer(engine, request())).token_ids


async def test_a_champion_that_was_repaired_and_promoted_again_is_taken_up(
    start_engine: StartEngine, bundles: Callable[..., Path], tmp_path: Path, caplog: Any
) -> None:
    registry = Registry(tmp_path)
    old, new = (registry.add(bundles(seed=seed)) for seed in (0, 1))
    registry.promote(old, "first")
    engine = await start_engine(registry=tmp_path, watch_interval_s=0.02)
    registry.promote(new, "better")
    template = registry.path(new) / "chat_template.jinja"
    template.write_bytes(b"\xff\xfe")
    while "refused a new champion" not in caplog.text and engine.version == old:
        await asyncio.sleep(0.01)
    registry.add(bundles(seed=1))
    registry.promote(new, "repaired")
    while engine.version != new:
        await asyncio.sleep(0.01)
    assert (await answer(engine, request())).version == new


async def test_a_version_that_is_not_what_its_folder_says_is_refused(
    start_engine: StartEngine, bundles: Callable[..., Path], tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    version = registry.add(bundles())
    other = registry.add(bundles(seed=1))
    registry.path(other).rename(tmp_path / "versions" / "renamed")
    with pytest.raises(BundleError, match="not renamed"):
        registry.promote("renamed", "by hand")
    registry.promote(version, "first")
    assert (await start_engine(registry=tmp_path)).version == version


@pytest.mark.parametrize("wrong", [{"deadline_s": float("nan")}, {"deadline_s": -1}], ids=str)
async def test_a_deadline_that_is_none_is_refused(start_engine: StartEngine, wrong: Any) -> None:
    engine = await start_engine()
    with pytest.raises(InvalidRequestError):
        await engine.submit(request(**wrong))
