import asyncio

import pytest
from manual_time import settle

from bots import AnswerOptions, ChatRef, Conversation
from bots.conversation import Turn
from bots.testing import InQueue, Refusal, ScriptedEngine
from engine.errors import EngineError, QueueFullError
from engine.generation import ChatMessage, Completion, FinishReason, Generation
from engine.sampling import SamplingParams

CHAT = ChatRef("memory", "bot", "room")


def turns(*texts):
    return tuple(Turn(question, answer) for question, answer in zip(texts[::2], texts[1::2], strict=True))


def messages(*texts):
    roles = ["user", "assistant"] * len(texts)
    return tuple(ChatMessage(role, text) for role, text in zip(roles, texts, strict=False))


def converse(engine):
    return Conversation(CHAT, engine, persona="Be kind.")


async def answer(conversation, text):
    async with conversation.ask(text) as generation:
        return "".join([piece async for piece in generation])


async def test_the_engine_sees_the_persona_what_was_said_and_the_question():
    async with ScriptedEngine([["Hi", " Ann"], ["Paris"]]) as engine:
        conversation = converse(engine)
        assert await answer(conversation, "Hello") == "Hi Ann"
        assert await answer(conversation, "Capital of France?") == "Paris"
    persona = ChatMessage("system", "Be kind.")
    assert engine.requests[0].messages == (persona, *messages("Hello"))
    assert engine.requests[1].messages == (persona, *messages("Hello", "Hi Ann", "Capital of France?"))
    assert conversation.turns == turns("Hello", "Hi Ann", "Capital of France?", "Paris")
    assert {request.chat for request in engine.requests} == {"memory/bot/room"}


async def test_the_options_reach_the_engine_and_an_empty_persona_does_not():
    options = AnswerOptions(sampling=SamplingParams(seed=7), max_tokens=5, deadline_s=9.0)
    async with ScriptedEngine() as engine:
        await answer(Conversation(CHAT, engine, persona="", options=options), "Hello")
    (request,) = engine.requests
    assert (request.sampling.seed, request.max_tokens, request.deadline_s) == (7, 5, 9.0)
    assert request.messages == messages("Hello")


async def test_a_stopped_answer_is_remembered_as_far_as_it_was_shown():
    gate = asyncio.Event()
    async with ScriptedEngine([["Once upon", gate.wait, " a time"]]) as engine:
        conversation = converse(engine)
        async with conversation.ask("A story") as generation:
            pieces = [await anext(generation)]
            assert conversation.stop()
            pieces += [piece async for piece in generation]
        assert pieces == ["Once upon"]
        assert conversation.turns == turns("A story", "Once upon")


async def test_a_question_stopped_before_any_word_leaves_no_trace():
    async with ScriptedEngine([[InQueue(3), asyncio.Event().wait]]) as engine:
        conversation = converse(engine)
        async with conversation.ask("A story") as generation:
            conversation.stop()
            assert [piece async for piece in generation] == []
        assert conversation.turns == ()
        assert not conversation.stop()


async def test_a_stop_that_comes_while_the_question_is_handed_over_is_not_lost():
    class SlowToAccept(ScriptedEngine):
        async def submit(self, request):
            await gate.wait()
            return await super().submit(request)

    gate = asyncio.Event()
    async with SlowToAccept([[asyncio.Event().wait]]) as engine:
        conversation = converse(engine)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(answer(conversation, "A story"))
            await settle()
            assert conversation.stop()
            gate.set()
        assert asking.result() == ""


@pytest.mark.parametrize("script", [[Refusal(QueueFullError(9, 9))], ["Half an ", EngineError("broken")]])
async def test_a_question_that_failed_can_be_asked_again_as_if_for_the_first_time(script):
    async with ScriptedEngine([["Hi"], script, ["Paris"]]) as engine:
        conversation = converse(engine)
        await answer(conversation, "Hello")
        with pytest.raises(EngineError):
            await answer(conversation, "Capital of France?")
        assert conversation.turns == turns("Hello", "Hi")
        assert await answer(conversation, "Capital of France?") == "Paris"
    assert engine.requests[1].messages == engine.requests[2].messages


async def test_an_answer_that_could_not_be_shown_is_stopped_and_forgotten():
    async with ScriptedEngine([["Half", asyncio.Event().wait]]) as engine:
        conversation = converse(engine)
        with pytest.raises(ConnectionError):
            async with conversation.ask("Hello"):
                raise ConnectionError
        assert engine.num_running == 0
        assert conversation.turns == ()


async def test_a_cancelled_caller_lets_go_of_the_answer():
    async with ScriptedEngine([["Half", asyncio.Event().wait]]) as engine:
        conversation = converse(engine)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await answer(conversation, "Hello")
        assert engine.num_running == 0


async def test_questions_are_answered_one_after_the_other():
    gate = asyncio.Event()
    async with ScriptedEngine([["One", gate.wait], ["Two"]]) as engine:
        conversation = converse(engine)
        async with asyncio.TaskGroup() as group:
            group.create_task(answer(conversation, "first"))
            await settle()
            group.create_task(answer(conversation, "second"))
            await settle()
            assert len(engine.requests) == 1
            gate.set()
    assert conversation.turns == turns("first", "One", "second", "Two")


async def test_a_reset_forgets_the_answer_that_is_being_written_too():
    gate = asyncio.Event()
    async with ScriptedEngine([["One", gate.wait]]) as engine:
        conversation = converse(engine)
        async with asyncio.TaskGroup() as group:
            group.create_task(answer(conversation, "first"))
            await settle()
            conversation.reset()
            gate.set()
        assert conversation.turns == ()
        assert conversation.persona == "Be kind."


async def test_turns_that_no_longer_fit_the_model_are_forgotten():
    class Dropping(ScriptedEngine):
        async def submit(self, request):
            self.requests.append(request)
            generation = Generation()
            dropped = 1 if len(request.messages) > 4 else 0
            generation.finish(
                Completion(text="Yes", finish_reason=FinishReason.STOP, version="1", dropped_turns=dropped)
            )
            return generation

    async with Dropping() as engine:
        conversation = converse(engine)
        for text in ("one", "two", "three"):
            async with conversation.ask(text):
                pass
        assert conversation.turns == turns("two", "Yes", "three", "Yes")
