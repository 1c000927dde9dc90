"""The commands that every platform offers: what they are called, what they take and what they do.

Knows nothing of adapters: text and arguments in, text out. An adapter may list `COMMANDS` in a menu of its own;
what reaches the dispatcher is the typed form.
"""

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from bots.chatlog import Trigger
from bots.conversation import Conversation
from engine.generation import TextEngine
from engine.metrics import MetricsSnapshot

MAX_PERSONA_BYTES = 1000
"""No token is shorter than a byte: with half of the default context for the answer, this leaves room to talk."""


@runtime_checkable
class MeasuredEngine(Protocol):
    """An engine that tells how it is doing."""

    def metrics(self) -> MetricsSnapshot:
        """Figures of the version that answers."""
        ...


class Control(Protocol):
    """What a command can do about the answers of its chat."""

    def stop(self) -> bool:
        """End the answer under way as it stands; False if there is none."""
        ...

    async def retry(self) -> bool:
        """Have the last question answered anew; False if there is none."""
        ...


@dataclass(frozen=True)
class CommandCall:
    """One use of a command: what its function gets.

    Attributes:
        arguments: By parameter name, those that were given.
    """

    arguments: Mapping[str, str]
    conversation: Conversation
    engine: TextEngine
    control: Control


@dataclass(frozen=True)
class Parameter:
    """One argument of a command; the last one takes all the text that is left.

    Attributes:
        choices: The only values it takes, if there are any.
        suggestions: Values to offer while it is typed; others are fine, too.
    """

    name: str
    summary: str
    is_required: bool = False
    choices: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """For instance `[text]`, or `<text>` if it cannot be left out."""
        return f"<{self.name}>" if self.is_required else f"[{self.name}]"


@dataclass(frozen=True)
class Command:
    """What people type, what it does, and how menus and `/help` describe it.

    Attributes:
        run: Returns what to tell the person, if anything. None for the command whose argument is a message
            to the model.
        is_immediate: Acts at once, instead of after the messages before it.
        is_for_moderators: Changes the chat for everyone in it.
        is_listed: Whether menus and `/help` show it.
    """

    name: str
    summary: str
    run: Callable[[CommandCall], Awaitable[str | None]] | None
    parameters: tuple[Parameter, ...] = ()
    is_immediate: bool = False
    is_for_moderators: bool = False
    is_listed: bool = True

    @property
    def usage(self) -> str:
        """For instance `/persona [text]`."""
        return " ".join([f"/{self.name}", *(parameter.usage for parameter in self.parameters)])


@dataclass(frozen=True)
class Invocation:
    """A text that was meant as a command; `name` may be one that does not exist."""

    name: str
    rest: str

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
    invocation = Invocation(name.lower(), rest[0].strip() if rest else "")
    if invocation.command is not None and invocation.command.run is None and invocation.rest:
        return invocation.rest
    return invocation


async def run_command(
    invocation: Invocation, conversation: Conversation, engine: TextEngine, control: Control
) -> str | None:
    """Do what a command asks for, and return what to tell the person."""
    command = invocation.command
    if command is None:
        return _explain_unknown(invocation.name)
    arguments = _arguments(command.parameters, invocation.rest)
    for parameter in command.parameters:
        given = arguments.get(parameter.name)
        if given is None and parameter.is_required:
            return f"Please say more: {command.usage}, where {parameter.name} is {parameter.summary}."
        if given is not None and parameter.choices and given.lower() not in parameter.choices:
            return f"{given!r} is nothing I know. Please take one of: {', '.join(parameter.choices)}."
    if command.run is None:
        return f"Please say more: {command.usage}."
    return await command.run(CommandCall(arguments, conversation, engine, control))


def _arguments(parameters: Sequence[Parameter], rest: str) -> dict[str, str]:
    words = rest.split(maxsplit=max(0, len(parameters) - 1)) if parameters else []
    return {parameter.name: word.strip() for parameter, word in zip(parameters, words, strict=False)}


def _explain_unknown(name: str) -> str:
    listed = [command.name for command in COMMANDS.values() if command.is_listed]
    nearest = difflib.get_close_matches(name, listed, n=1)
    suggestion = f"Did you mean /{nearest[0]}?" if nearest else "/help lists what there is."
    return f"There is no command /{name}. {suggestion} To say it to me, begin with two slashes: //{name}"


async def _help(_call: CommandCall) -> str:
    lines = [f"{command.usage}: {command.summary}" for command in COMMANDS.values() if command.is_listed]
    return "\n".join([*lines, "Anything else goes to me. To begin a message with a slash, type two."])


async def _start(call: CommandCall) -> str:
    return f"Hello! Write to me, and I answer ({call.engine.version} does). /help lists what else I can do."


async def _reset(call: CommandCall) -> str:
    await call.conversation.reset()
    return "I have forgotten our conversation. What shall we talk about?"


async def _persona(call: CommandCall) -> str:
    conversation, text = call.conversation, call.arguments.get("text")
    if text is None:
        return f"My persona: {await conversation.persona() or 'none'}"
    if len(text.encode()) > MAX_PERSONA_BYTES:
        return f"That is too much for me to be. Please say it in {MAX_PERSONA_BYTES} letters or less."
    await conversation.set_persona(None if text.lower() == "default" else text)
    return f"My persona is now: {await conversation.persona()}\n(I still know what we said; /reset forgets it.)"


async def _trigger(call: CommandCall) -> str:
    when, words = call.arguments.get("when"), call.arguments.get("words", "")
    if when is not None:
        keywords = tuple(word.strip() for word in words.split(",") if word.strip())
        if when.lower() == Trigger.KEYWORDS and not keywords:
            return "Please name the words, separated by commas: /trigger keywords mynah, bird"
        await call.conversation.set_trigger(Trigger(when.lower()), keywords)
    trigger, keywords = await call.conversation.trigger()
    if call.conversation.is_private:
        return "Between the two of us I answer everything. /trigger is for groups."
    answered = {
        Trigger.ADDRESSED: "messages that mention me or reply to me",
        Trigger.KEYWORDS: f"messages that mention me, reply to me, or hold one of these words: {', '.join(keywords)}",
        Trigger.EVERY: "every message that I can see",
    }
    return f"In this chat I answer {answered[trigger]}."


async def _model(call: CommandCall) -> str:
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


async def _stop(call: CommandCall) -> str:
    return "Stopped." if call.control.stop() else "There is nothing to stop."


async def _retry(call: CommandCall) -> str | None:
    return None if await call.control.retry() else "There is nothing that I could answer again."


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        command.name: command
        for command in (
            Command("help", "list the commands", _help),
            Command(
                "ask", "ask me something", None, (Parameter("question", "what you want to say", is_required=True),)
            ),
            Command("stop", "stop the answer that I am writing", _stop, is_immediate=True),
            Command("retry", "answer the last question again", _retry),
            Command("reset", "forget our conversation and begin a new one", _reset),
            Command(
                "persona",
                "show who I am to be, or change it; `default` goes back",
                _persona,
                (Parameter("text", "the new persona, or `default`", suggestions=("default",)),),
                is_for_moderators=True,
            ),
            Command(
                "trigger",
                "show or change which messages of a group I answer",
                _trigger,
                (
                    Parameter("when", "which messages", choices=tuple(Trigger)),
                    Parameter("words", "for `keywords`: the words, separated by commas"),
                ),
                is_for_moderators=True,
            ),
            Command("model", "show which model answers, and how fast", _model),
            Command("start", "say hello", _start, is_listed=False),
        )
    }
)
