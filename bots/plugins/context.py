"""What a plugin gets at `setup`: the way to register things, and the way to act.

Everything registered belongs to the plugin's scope, and is gone when the plugin is unloaded. What is here is the whole
of what plugins may use; the rest of `bots` may change without notice.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from bots.budget import Sleep
from bots.buttons import MAX_NAME
from bots.commands import Command, CommandCall, CommandTable, Control, Permission
from bots.conversation import Conversation
from bots.message import Button, ButtonPressed, ChatRef, Message, MessageId, User
from bots.plugins.guard import Guard, HandlerFailedError
from bots.plugins.hooks import (
    AfterGenerate,
    BeforeGenerate,
    BeforeLog,
    BeforePress,
    BeforeSend,
    Hooks,
    OnChunk,
    OnFeedback,
    OnModelSwap,
    OnReaction,
    OnUserExport,
    OnUserForget,
)
from bots.plugins.registrations import AnswerButton, ButtonHandler, Listener, Registrations, is_addressed
from bots.plugins.schedule import repeat, trigger_of
from bots.plugins.scope import Handle, Scope
from bots.plugins.signatures import Handler, read_signature
from bots.plugins.store import Store
from engine.generation import TextEngine

C = TypeVar("C")

COMMAND_WITHIN_S = 60.0
"""How long a command of a plugin may take: whoever gave it is waiting, and so does the chat."""
SCHEDULED_WITHIN_S = 600.0

IN_COMMANDS = (CommandCall, Message, User, ChatRef, Conversation, TextEngine, Control)
IN_MESSAGES = (Message, User, ChatRef)
IN_PRESSES = (ButtonPressed, User, ChatRef, str)


class Speaker(Protocol):
    """Who can say something in a chat of any account."""

    def has_buttons(self, chat: ChatRef) -> bool:
        """Whether what is said there can have buttons."""
        ...

    async def say(self, chat: ChatRef, text: str, buttons: Sequence[Button] = ()) -> MessageId | None:
        """Post a message; None if that is not possible at the moment, which is logged."""
        ...

    async def tell_operators(self, text: str) -> int:
        """Say something to those who run the bot, where they want to be told; returns in how many chats it was said."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What all plugins share."""

    registrations: Registrations
    commands: CommandTable
    hooks: Hooks
    guard: Guard
    speaker: Speaker
    engine: TextEngine
    now: Callable[[], datetime]
    sleep: Sleep


class Context(Generic[C]):
    """The bot, as one plugin sees it.

    Attributes:
        config: The plugin's settings.
        store: Where it keeps things.
        engine: The model: `submit` a request, and read the answer.
        hooks: Every hook with its handlers, for a plugin that makes one happen.
        log: Its own logger.
    """

    def __init__(self, scope: Scope, config: C, store: Store, around: Surroundings) -> None:
        self.config, self.store, self.engine = config, store, around.engine
        self.log = logging.getLogger(f"mynah.plugins.{scope.plugin}")
        self._scope, self._around, self.hooks = scope, around, around.hooks

    # What people do.

    def command(
        self,
        name: str,
        handler: Handler,
        *,
        permission: Permission = Permission.EVERYONE,
        shows_without_arguments: bool = False,
        cooldown_s: float = 0.0,
        is_immediate: bool = False,
        is_public: bool = False,
        is_listed: bool = True,
        is_unconditional: bool = False,
    ) -> Handle:
        """Let people use `/name`: a slash command on Discord, an entry in Telegram's menu, and text everywhere.

        The handler's parameters are filled in by type (`bots.plugins.signatures`): those of `IN_COMMANDS` with what
        is going on, all others with what people type, which becomes options on Discord. The first line of its
        docstring is what menus and `/help` say. What it returns is said to the person.

        Args:
            name: a-z, 0-9 and _, a letter first, at most 32 long.
            handler: An async function.
            permission: Who may use it.
            shows_without_arguments: Whether everyone may use it without arguments.
            cooldown_s: How long a person has to wait until using it again in a chat, in seconds.
            is_immediate: Acts at once, instead of after the messages before it.
            is_public: Whether all in the chat see what it says, where a platform could show it to one alone.
            is_listed: Whether menus and `/help` show it.
            is_unconditional: Whether no other plugin may keep people from it, as with `/forget`.

        Raises:
            ValueError: The name is taken or not good.
            TypeError: A parameter cannot be filled in.
        """
        signature = read_signature(handler, IN_COMMANDS, has_arguments=True)
        what = f"/{name}"

        async def run(call: CommandCall) -> str | None:
            available = _available_in(call)

            async def carry_out() -> str | None:
                said = await signature.call(available, call.arguments)
                if said is not None and not isinstance(said, str):
                    raise TypeError(f"it has returned a {type(said).__name__}; it may return a text, or None")
                return said

            return await self._around.guard.run(self._scope, what, carry_out, COMMAND_WITHIN_S)

        command = Command(
            name,
            signature.summary or name,
            run,
            signature.parameters,
            permission,
            shows_without_arguments=shows_without_arguments,
            cooldown_s=cooldown_s,
            is_immediate=is_immediate,
            is_public=is_public,
            is_listed=is_listed,
            is_unconditional=is_unconditional,
            plugin=self._scope.plugin,
        )
        return self.add_command(command)

    def add_command(self, command: Command) -> Handle:
        """Let people use a command that is described already.

        Raises:
            ValueError: The name is taken.
        """
        self._around.commands.add(command)
        return self._scope.own(lambda: self._around.commands.remove(command))

    def on_message(self, handler: Handler, *, when: Callable[[Message], bool] = is_addressed) -> Handle:
        """Let `handler` see messages (filled in by type: `IN_MESSAGES`) before the model does.

        If it returns a text, that is the answer, and the model is not asked; None goes on. `when` chooses the
        messages, and is quick; by default those that are said to the bot. Of the others, nothing that a handler returns
        is said, and nothing is kept.
        """
        listener = Listener(self._scope, read_signature(handler, IN_MESSAGES), when)
        return self._scope.own(self._around.registrations.listen(listener))

    def button(self, name: str, label: str, handler: Handler) -> Callable[[str], Button]:
        """Let `handler` be called when somebody presses the button (filled in by type: `IN_PRESSES`).

        What it returns is told to that person alone. It goes on working after a restart.

        Returns:
            What makes the button, for `say`: from an argument, which the handler gets back as its `str`.
        """
        full_name = f"{self._scope.plugin}:{name}"
        button = ButtonHandler(self._scope, full_name, read_signature(handler, IN_PRESSES))
        self._scope.own(self._around.registrations.add_button(button))

        def make(argument: str = "") -> Button:
            travels = f"{full_name}:{argument}" if argument else full_name
            if len(travels) > MAX_NAME or not travels.isascii():
                raise ValueError(f"{travels!r} does not fit into a button; {MAX_NAME} ASCII characters do")
            return Button(travels, label)

        return make

    def answer_button(self, name: str, label: str, handler: Handler, *, order: int = 0) -> Handle:
        """Put a button below every answer; otherwise like `button`."""
        button = AnswerButton(self._scope, self.button(name, label, handler)(""), order)
        return self._scope.own(self._around.registrations.add_answer_button(button))

    # Hooks: see `bots.plugins.hooks.Hooks` for what each is for.

    def before_log(self, handler: BeforeLog, *, order: int = 0) -> Handle:
        """A message that was said to the bot, before anything is kept of it: change it, or ignore it."""
        return self.hooks.before_log.add(self._scope, handler, order)

    def before_press(self, handler: BeforePress, *, order: int = 0) -> Handle:
        """A button was pressed, or a reaction has changed: ignore it."""
        return self.hooks.before_press.add(self._scope, handler, order)

    def before_generate(self, handler: BeforeGenerate, *, order: int = 0) -> Handle:
        """Change what the engine is asked, or let there be no answer."""
        return self.hooks.before_generate.add(self._scope, handler, order)

    def on_chunk(self, handler: OnChunk, *, order: int = 0) -> Handle:
        """Change what people see of an answer that grows."""
        return self.hooks.on_chunk.add(self._scope, handler, order)

    def after_generate(self, handler: AfterGenerate, *, order: int = 0) -> Handle:
        """Change a whole answer before it is kept, or let it not be given."""
        return self.hooks.after_generate.add(self._scope, handler, order)

    def before_send(self, handler: BeforeSend, *, order: int = 0) -> Handle:
        """Change what people see of a whole answer, or of what a command says."""
        return self.hooks.before_send.add(self._scope, handler, order)

    def on_reaction(self, handler: OnReaction, *, order: int = 0) -> Handle:
        """A reaction below a message of the bot changed."""
        return self.hooks.on_reaction.add(self._scope, handler, order)

    def on_feedback(self, handler: OnFeedback, *, order: int = 0) -> Handle:
        """A person rated or corrected an answer."""
        return self.hooks.on_feedback.add(self._scope, handler, order)

    def on_user_forget(self, handler: OnUserForget, *, order: int = 0) -> Handle:
        """Remove what you keep of a person elsewhere than in `store`."""
        return self.hooks.on_user_forget.add(self._scope, handler, order)

    def on_user_export(self, handler: OnUserExport, *, order: int = 0) -> Handle:
        """Return what you keep of a person elsewhere than in `store`, as JSON."""
        return self.hooks.on_user_export.add(self._scope, handler, order)

    def on_model_swap(self, handler: OnModelSwap, *, order: int = 0) -> Handle:
        """Another version of the model answers from now on."""
        return self.hooks.on_model_swap.add(self._scope, handler, order)

    # What the plugin does by itself.

    def every(self, handler: Handler, *, interval_s: float | None = None, cron: str | None = None) -> Handle:
        """Call `handler` again and again: every so many seconds, or by five cron fields in the machine's time zone.

        Times that were missed are made up for by one.

        Raises:
            ValueError: The schedule is not good.
        """
        signature, around = read_signature(handler, ()), self._around
        trigger = trigger_of(around.now(), interval_s, cron)
        what = f"the schedule of {getattr(handler, '__name__', 'a handler')}"

        async def work() -> None:
            try:
                await around.guard.run(self._scope, what, lambda: signature.call({}), SCHEDULED_WITHIN_S)
            except HandlerFailedError:
                self.log.info("%s goes on with the next time", what)

        task = self._scope.spawn(repeat(trigger, work, now=around.now, sleep=around.sleep), what)
        return self._scope.own(task.cancel)

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Run something in the background, for as long as the plugin is loaded; an error is logged."""
        self._around.guard.spawn(self._scope, work, name)

    def now(self) -> datetime:
        """The time, with a time zone. Tests let it pass as they like, which they cannot with `datetime.now`."""
        return self._around.now()

    async def sleep(self, duration_s: float) -> None:
        """Wait, by the clock that `now` goes by."""
        await self._around.sleep(duration_s)

    def has_buttons(self, chat: ChatRef) -> bool:
        """Whether what is said in `chat` can have buttons; where it cannot, `say` leaves them out."""
        return self._around.speaker.has_buttons(chat)

    async def say(self, chat: ChatRef, text: str, buttons: Sequence[Button] = ()) -> MessageId | None:
        """Post a message that nobody has asked for; returns its id, or None if it could not be posted.

        It is no part of the conversation that the model sees.
        """
        return await self._around.speaker.say(chat, text, buttons)

    async def tell_operators(self, text: str) -> int:
        """Say something to those who run the bot, in the chats that `/notices here` was said in; returns how many."""
        return await self._around.speaker.tell_operators(text)


def _available_in(call: CommandCall) -> dict[type, Any]:
    message = call.message
    values = (call, message, message.author, message.chat, call.conversation, call.engine, call.control)
    return dict(zip(IN_COMMANDS, values, strict=True))


def available_in(message: Message) -> dict[type, Any]:
    """What `on_message` handlers can be filled with."""
    return dict(zip(IN_MESSAGES, (message, message.author, message.chat), strict=True))


def available_at(press: ButtonPressed, argument: str) -> dict[type, Any]:
    """What handlers of buttons can be filled with."""
    return dict(zip(IN_PRESSES, (press, press.user, press.chat, argument), strict=True))
