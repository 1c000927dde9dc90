"""Buttons below a message, as Telegram shows them: a keyboard in the message."""

from collections.abc import Sequence

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bots.buttons import data_of
from bots.message import Button

ROW = 4
"""More in a row have no room for their labels on a telephone."""


def keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    """All of them, in rows; None, which takes those away that a message has, if there are none."""
    if not buttons:
        return None
    shown = [InlineKeyboardButton(button.label, callback_data=data_of(button)) for button in buttons]
    return InlineKeyboardMarkup([shown[begin : begin + ROW] for begin in range(0, len(shown), ROW)])
