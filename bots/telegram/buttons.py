"""Buttons below a message, as Telegram shows them: a keyboard in the message."""

from collections.abc import Sequence

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bots.buttons import LABELS, data_of
from bots.message import Button


def keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    """One row with all of them; None, which takes those away that a message has, if there are none."""
    if not buttons:
        return None
    return InlineKeyboardMarkup([[InlineKeyboardButton(LABELS[b], callback_data=data_of(b)) for b in buttons]])
