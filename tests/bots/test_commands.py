import pytest
from recording_adapter import CHAT

from bots import COMMANDS, Conversation
from bots.chatlog import Trigger
from bots.commands import Invocation, parse, run_command
from bots.testing import ScriptedEngine
from engine import Completion, FinishReason, MetricsSnapshot
from engine.metrics import Metrics


class NothingUnderWay:
    def stop(self):
        return False

    async def retry(self):
        return False


@pytest.fixture
def is_private():
    return True


@pytest.fixture
def conversation(chat_log, is_private):
    return Conversation(CHAT, chat_log, is_private=is_private, persona="Be kind.")


@pytest.fixture
def run(conversation):
    async def run(name, rest="", engine=None):
        engine = engine or ScriptedEngine(version="smollm2-0001")
        return await run_command(Invocation(name, rest), conversation, engine, NothingUnderWay())

    return run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "hello"),
        ("1/2 of it", "1/2 of it"),
        ("//etc/passwd", "/etc/passwd"),
        ("///", "//"),
        ("/help", Invocation("help", "")),
        ("/HELP", Invocation("help", "")),
        ("/persona  You are\na pirate ", Invocation("persona", "You are\na pirate")),
        ("/persona\nYou are", Invocation("persona", "You are")),
        ("/", Invocation("", "")),
        ("/ help", Invocation("help", "")),
        ("/ask  What is up? ", "What is up?"),
        ("/ask", Invocation("ask", "")),
    ],
)
def test_a_slash_makes_a_command_and_two_make_a_message_with_one(text, expected):
    assert parse(text) == expected


async def test_every_command_is_in_the_help_with_its_parameters(run):
    text = await run("help")
    for command in COMMANDS.values():
        assert (command.summary in text) is command.is_listed
    assert "/persona [text]: " in text
    assert "/ask <question>: " in text


@pytest.mark.parametrize(("typed", "meant"), [("rest", "reset"), ("modle", "model"), ("halp", "help")])
async def test_an_unknown_command_names_the_nearest_one(run, typed, meant):
    text = await run(typed)
    assert f"Did you mean /{meant}?" in text
    assert f"//{typed}" in text


async def test_an_unknown_command_that_is_like_nothing_points_to_the_help(run):
    assert "/help" in await run("xyzzy")


async def test_the_persona_is_shown_set_and_set_back(run, conversation):
    assert "Be kind." in await run("persona")
    assert "a pirate" in await run("persona", "You are a pirate")
    assert await conversation.persona() == "You are a pirate"
    assert "Be kind." in await run("persona", "Default")
    assert await conversation.persona() == "Be kind."


async def test_a_persona_that_would_leave_no_room_to_talk_is_refused(run, conversation):
    assert "1000 letters" in await run("persona", "ж" * 501)
    assert await conversation.persona() == "Be kind."


async def test_in_private_everything_is_answered_anyway(run):
    assert "answer everything" in await run("trigger", "every")


@pytest.mark.parametrize("is_private", [False])
async def test_a_group_can_have_more_of_its_messages_answered(run, conversation):
    assert "mention me" in await run("trigger")
    assert "one of: addressed, keywords, every" in await run("trigger", "sometimes")
    assert "separated by commas" in await run("trigger", "keywords")
    assert "bird, big cat" in await run("trigger", "Keywords bird,  big cat ,")
    assert await conversation.trigger() == (Trigger.KEYWORDS, ("bird", "big cat"))
    assert "every message" in await run("trigger", "every")


async def test_a_question_without_words_is_asked_for(run):
    assert "/ask <question>" in await run("ask")


async def test_start_greets(run):
    assert "/help" in await run("start")


async def test_model_names_the_version(run):
    assert await run("model") == "Model version: smollm2-0001"


async def test_model_tells_figures_if_the_engine_has_them(run):
    metrics = Metrics("scripted")
    done = Completion("Hi you", FinishReason.STOP, "scripted", prompt_tokens=100, cached_tokens=80, token_ids=(1, 2, 3))

    class Measured(ScriptedEngine):
        def metrics(self) -> MetricsSnapshot:
            return metrics.snapshot(queue_length=4, num_running=2)

    async def lines() -> list[str]:
        return (await run("model", engine=Measured())).splitlines()

    assert await lines() == ["Model version: scripted", "Now: being written 2, waiting 4"]
    metrics.count_completion(done)
    metrics.count_run(0.5, decoded_rows=1)
    assert (await lines())[2:] == [
        "So far: answers 1, tokens 3, failures 0",
        "Speed: 6 tokens a second, the first after 0.00 s (95 % within 0.00 s)",
        "Cache: 80% of what had to be read was known already",
    ]


async def test_stop_and_retry_say_that_there_is_nothing_to_do(run):
    assert await run("stop") == "There is nothing to stop."
    assert "nothing" in await run("retry")
