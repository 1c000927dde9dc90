"""What plugins have registered besides commands and hooks: listeners to messages, and buttons.

Plain tables; knows nothing of when anything is called.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from bots.message import Button, Message
from bots.plugins.scope import Scope
from bots.plugins.signatures import Signature


def is_addressed(message: Message) -> bool:
    """Whether it is said to the bot."""
    return bool(message.addressed)


@dataclass(frozen=True, eq=False)
class Listener:
    """Who wants to see messages, and which."""

    scope: Scope
    signature: Signature
    when: Callable[[Message], bool]


@dataclass(frozen=True, eq=False)
class ButtonHandler:
    """Who is told of presses; `name` begins with the plugin's."""

    scope: Scope
    name: str
    signature: Signature


@dataclass(frozen=True, eq=False)
class AnswerButton:
    """A button that stands below every answer."""

    scope: Scope
    button: Button
    order: int


@dataclass
class Registrations:
    """All of them. Each method that adds something returns what takes it back."""

    listeners: list[Listener] = field(default_factory=list)
    buttons: dict[str, ButtonHandler] = field(default_factory=dict)
    answer_buttons: list[AnswerButton] = field(default_factory=list)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Add a listener."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def add_button(self, button: ButtonHandler) -> Callable[[], None]:
        """Add a button's handler.

        Raises:
            ValueError: The plugin has one of that name.
        """
        if button.name in self.buttons:
            raise ValueError(f"there is a button {button.name} already; give yours another name")
        self.buttons[button.name] = button
        return lambda: _drop(self.buttons, button)

    def add_answer_button(self, button: AnswerButton) -> Callable[[], None]:
        """Add a button below answers."""
        self.answer_buttons.append(button)
        self.answer_buttons.sort(key=lambda each: each.order)
        return lambda: self.answer_buttons.remove(button)

    def below_answers(self, off: Collection[str]) -> tuple[Button, ...]:
        """The buttons below answers where the plugins `off` are switched off."""
        return tuple(each.button for each in self.answer_buttons if each.scope.plugin not in off)

    def pressed(self, name: str) -> tuple[ButtonHandler, str] | None:
        """Who is told of a press, and the argument that the button was made with."""
        plugin, _, rest = name.partition(":")
        button, _, argument = rest.partition(":")
        handler = self.buttons.get(f"{plugin}:{button}")
        return None if handler is None else (handler, argument)


def _drop(buttons: dict[str, ButtonHandler], button: ButtonHandler) -> None:
    del buttons[button.name]
