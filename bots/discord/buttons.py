"""Buttons below a message, as Discord shows them: components."""

from collections.abc import Sequence

import discord

from bots.buttons import LABELS, data_of, pressed
from bots.message import Button


def row_of(buttons: Sequence[Button]) -> discord.ui.View | None:
    """One row with all of them; None, which takes those away that a message has, if there are none."""
    if not buttons:
        return None
    view = discord.ui.View(timeout=None)
    for button in buttons:
        view.add_item(discord.ui.Button(label=LABELS[button], custom_id=data_of(button)))
    # discord.py keeps a view that may still be used, one per message and for ever; presses come to us without it.
    view.stop()
    return view


def has_buttons(message: discord.Message) -> bool:
    """Whether one of ours stands below it."""
    rows = (row for row in message.components if isinstance(row, discord.ActionRow))
    return any(pressed(getattr(child, "custom_id", None)) for row in rows for child in row.children)
