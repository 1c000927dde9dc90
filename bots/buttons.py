"""The buttons below an answer, as every platform shows them, and what comes back when one is pressed.

All that a press needs travels with it, so that the buttons of an earlier run go on working.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bots.message import Button

_PREFIX = "mynah:"

LABELS: Mapping[Button, str] = MappingProxyType(
    {
        Button.STOP: "\N{BLACK SQUARE FOR STOP} Stop",
        Button.RETRY: "\N{CLOCKWISE OPEN CIRCLE ARROW} Retry",
        Button.GOOD: "\N{THUMBS UP SIGN}",
        Button.BAD: "\N{THUMBS DOWN SIGN}",
    }
)


def data_of(button: Button) -> str:
    """What travels to the platform, and back with a press."""
    return _PREFIX + button.value


def pressed(data: object) -> Button | None:
    """The button that was pressed; None if it is none of ours."""
    if not isinstance(data, str) or not data.startswith(_PREFIX):
        return None
    name = data.removeprefix(_PREFIX)
    return Button(name) if name in set(Button) else None
