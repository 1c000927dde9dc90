import pytest

from bots import COMMANDS, ChatRef, Conversation
from bots.commands import Invocation, parse, run_command
from bots.testing import ScriptedEngine
from engine import Completion, FinishReason, MetricsSnapshot
from engine.metrics import Metrics


@pytest.fixture
def engine():
    return ScriptedEngine(version="smollm2-0001")


@pytest.fixture
def conversation(engine):
    return Conversation(ChatRef("memory", "bot", "room"), engine, persona="Be kind.")


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
    ],
)
def test_a_slash_makes_a_command_and_two_make_a_message_with_one(text, expected):
    assert parse(text) == expected


def test_every_command_is_in_the_help_with_its_parameters(conversation, engine):
    text = run_command(Invocation("help", ""), conversation, engine)
    for command in COMMANDS.values():
        assert f"{command.usage} " in text
        assert command.summary in text
    assert "/persona [text]" in text


@pytest.mark.parametrize(("typed", "meant"), [("rest", "reset"), ("modle", "model"), ("halp", "help")])
def test_an_unknown_command_names_the_nearest_one(conversation, engine, typed, meant):
    text = run_command(Invocation(typed, ""), conversation, engine)
    assert f"Did you mean /{meant}?" in text
    assert f"//{typed}" in text


def test_an_unknown_command_that_is_like_nothing_points_to_the_help(conversation, engine):
    assert "/help" in run_command(Invocation("xyzzy", ""), conversation, engine)


def test_the_persona_is_shown_set_and_set_back(conversation, engine):
    assert "Be kind." in run_command(Invocation("persona", ""), conversation, engine)
    assert "a pirate" in run_command(Invocation("persona", "You are a pirate"), conversation, engine)
    assert conversation.persona == "You are a pirate"
    assert "Be kind." in run_command(Invocation("persona", "Default"), conversation, engine)
    assert conversation.persona == "Be kind."


async def test_reset_forgets_what_was_said(conversation, engine):
    async with engine, conversation.ask("Hello"):
        pass
    assert conversation.turns
    run_command(Invocation("reset", ""), conversation, engine)
    assert conversation.turns == ()


def test_model_names_the_version(conversation, engine):
    assert run_command(Invocation("model", ""), conversation, engine) == "Model version: smollm2-0001"


def test_model_tells_figures_if_the_engine_has_them(conversation):
    metrics = Metrics("scripted")
    done = Completion("Hi you", FinishReason.STOP, "scripted", prompt_tokens=100, cached_tokens=80, token_ids=(1, 2, 3))

    class Measured(ScriptedEngine):
        def metrics(self) -> MetricsSnapshot:
            return metrics.snapshot(queue_length=4, num_running=2)

    def lines() -> list[str]:
        return run_command(Invocation("model", ""), conversation, Measured()).splitlines()

    assert lines() == ["Model version: scripted", "Now: being written 2, waiting 4"]
    metrics.count_completion(done)
    metrics.count_run(0.5, decoded_rows=1)
    assert lines()[2:] == [
        "So far: answers 1, tokens 3, failures 0",
        "Speed: 6 tokens a second, the first after 0.00 s (95 % within 0.00 s)",
        "Cache: 80% of what had to be read was known already",
    ]


def test_stop_says_that_there_is_nothing_to_stop(conversation, engine):
    assert run_command(Invocation("stop", ""), conversation, engine) == "There is nothing to stop."
