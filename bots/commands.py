"""The commands that every platform offers, as plain functions over a conversation.

Knows nothing of adapters: it takes text and returns text. An adapter may list `COMMANDS` in a menu of its
own; what reaches the dispatcher is the typed form.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from bots.conversation import Conversation
from engine.generation import TextEngine
from engine.metrics import MetricsSnapshot


@runtime_checkable
class MeasuredEngine(Protocol):
    """An engine that tells how it is doing."""

    def metrics(self) -> MetricsSnapshot:
        """Figures of the version that answers."""
        ...


@dataclass(frozen=True)
class CommandCall:
    """One use of a command: what its function gets."""

    argument: str
    conversation: Conversation
    engine: TextEngine


@dataclass(frozen=True)
class Parameter:
    """The one argument of a command; it takes all the text after the command's name."""

    name: str
    summary: str
    is_required: bool = False


@dataclass(frozen=True)
class Command:
    """What people type, what it does, and how menus and `/help` describe it.

    Attributes:
        run: Returns what to tell the person.
        is_immediate: Acts at once, instead of after the messages before it.
    """

    name: str
    summary: str
    run: Callable[[CommandCall], str]
    parameter: Parameter | None = None
    is_immediate: bool = False

    @property
    def usage(self) -> str:
        """For instance `/persona [text]`."""
        if self.parameter is None:
            return f"/{self.name}"
        brackets = "<{}>" if self.parameter.is_required else "[{}]"
        return f"/{self.name} {brackets.format(self.parameter.name)}"


@dataclass(frozen=True)
class Invocation:
    """A text that was meant as a command; `name` may be one that does not exist."""

    name: str
    argument: str

    @property
    def command(self) -> Command | None:
        """The command of that name."""
        return COMMANDS.get(self.name)


def parse(text: str) -> Invocation | str:
    """Tell commands from what is meant for the model.

    Returns:
        The command that `text` calls, or the text for the model. `//` at the start stands for one slash
        that the model is to see.
    """
    if text.startswith("//"):
        return text[1:]
    if not text.startswith("/"):
        return text
    name, *rest = text[1:].split(maxsplit=1)[:2] or [""]
    return Invocation(name.lower(), rest[0].strip() if rest else "")


def run_command(invocation: Invocation, conversation: Conversation, engine: TextEngine) -> str:
    """Do what a command asks for, and return what to tell the person."""
    if invocation.command is None:
        return _explain_unknown(invocation.name)
    return invocation.command.run(CommandCall(invocation.argument, conversation, engine))


def _explain_unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name, COMMANDS, n=1)
    suggestion = f"Did you mean /{nearest[0]}?" if nearest else "/help lists what there is."
    return f"There is no command /{name}. {suggestion} To say it to me, begin with two slashes: //{name}"


def _help(_call: CommandCall) -> str:
    width = max(len(command.usage) for command in COMMANDS.values())
    lines = [f"{command.usage:<{width}}  {command.summary}" for command in COMMANDS.values()]
    return "\n".join([*lines, "Anything else goes to me. To begin a message with a slash, type two."])


def _reset(call: CommandCall) -> str:
    call.conversation.reset()
    return "I have forgotten our conversation. What shall we talk about?"


def _persona(call: CommandCall) -> str:
    conversation = call.conversation
    if not call.argument:
        return f"My persona: {conversation.persona}"
    is_default = call.argument.lower() == "default"
    conversation.persona = conversation.default_persona if is_default else call.argument
    return f"My persona is now: {conversation.persona}\n(I still know what we said; /reset forgets it.)"


def _model(call: CommandCall) -> str:
    lines = [f"Model version: {call.engine.version}"]
    if isinstance(call.engine, MeasuredEngine):
        lines += _figures(call.engine.metrics())
    return "\n".join(lines)


def _figures(metrics: MetricsSnapshot) -> list[str]:
    """What a person wants to know of an engine, a line each; of one that has answered nothing, little."""
    now = f"Now: being written {metrics.num_running}, waiting {metrics.queue_length}"
    num_answers = sum(metrics.finished.values())
    if not num_answers:
        return [now]
    return [
        now,
        f"So far: answers {num_answers}, tokens {metrics.answer_tokens}, failures {metrics.failed}",
        f"Speed: {metrics.tokens_per_second:.0f} tokens a second, the first after "
        f"{metrics.time_to_first_token_p50_s:.2f} s (95 % within {metrics.time_to_first_token_p95_s:.2f} s)",
        f"Cache: {metrics.cached_share:.0%} of what had to be read was known already",
    ]


def _stop(call: CommandCall) -> str:
    return "Stopped." if call.conversation.stop() else "There is nothing to stop."


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        command.name: command
        for command in (
            Command("help", "list the commands", _help),
            Command("reset", "forget our conversation and begin a new one", _reset),
            Command(
                "persona",
                "show who I am to be, or change it; `default` goes back",
                _persona,
                Parameter("text", "the new persona, or `default`"),
            ),
            Command("model", "show which model answers, and how fast", _model),
            Command("stop", "stop the answer that I am writing", _stop, is_immediate=True),
        )
    }
)
