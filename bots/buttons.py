"""The buttons that every answer has, and how a press travels.

All that a press needs travels with it, so that the buttons of an earlier run go on working.
"""

from bots.message import Button

_PREFIX = "mynah:"
MAX_NAME = 56
"""Telegram takes 64 bytes with a button, of which the prefix needs a few."""

STOP = Button("stop", "\N{BLACK SQUARE FOR STOP} Stop")
RETRY = Button("retry", "\N{CLOCKWISE OPEN CIRCLE ARROW} Retry")


def data_of(button: Button) -> str:
    """What travels to the platform, and back with a press."""
    return _PREFIX + button.name


def pressed(data: object) -> str | None:
    """The name of the button that was pressed; None if it is none of ours."""
    if not isinstance(data, str) or not data.startswith(_PREFIX):
        return None
    return data.removeprefix(_PREFIX)
