"""Buttons below a message, and what comes back when one is pressed.

All that a press needs travels with it, so that the buttons of an earlier run go on working.
"""

from collections.abc import Sequence

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bots.message import Button

PREFIX = "mynah:"

_LABELS = {
    Button.STOP: "\N{BLACK SQUARE FOR STOP} Stop",
    Button.RETRY: "\N{CLOCKWISE OPEN CIRCLE ARROW} Retry",
    Button.GOOD: "\N{THUMBS UP SIGN}",
    Button.BAD: "\N{THUMBS DOWN SIGN}",
}


def keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    """One row with all of them; None, which takes those away that a message has, if there are none."""
    if not buttons:
        return None
    row = [InlineKeyboardButton(_LABELS[button], callback_data=PREFIX + button.value) for button in buttons]
    return InlineKeyboardMarkup([row])


def pressed(data: str | None) -> Button | None:
    """The button that was pressed; None if it is none of ours."""
    name = (data or "").removeprefix(PREFIX)
    is_ours = data is not None and data.startswith(PREFIX) and name in set(Button)
    return Button(name) if is_ours else None
