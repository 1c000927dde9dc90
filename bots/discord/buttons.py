"""Buttons below a message, as Discord shows them: components."""

from collections.abc import Sequence

import discord

from bots.buttons import data_of, pressed
from bots.message import Button

ROW = 5
"""How many a row holds; a message holds five rows."""
MAX_LABEL = 80


def rows_of(buttons: Sequence[Button]) -> discord.ui.View | None:
    """All of them, in rows; None, which takes those away that a message has, if there are none."""
    if not buttons:
        return None
    view = discord.ui.View(timeout=None)
    for index, button in enumerate(buttons):
        label = button.label[:MAX_LABEL]
        view.add_item(discord.ui.Button(label=label, custom_id=data_of(button), row=index // ROW))
    # discord.py keeps a view that may still be used, one per message and for ever; presses come to us without it.
    view.stop()
    return view


def has_buttons(message: discord.Message) -> bool:
    """Whether one of ours stands below it."""
    rows = (row for row in message.components if isinstance(row, discord.ActionRow))
    return any(pressed(getattr(child, "custom_id", None)) is not None for row in rows for child in row.children)
