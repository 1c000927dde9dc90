"""Buttons below a message, and what comes back when one is pressed.

All that a press needs travels with it, so that the buttons of an earlier run go on working.
"""

from collections.abc import Sequence

import discord

from bots.message import Button

PREFIX = "mynah:"

_LABELS = {
    Button.STOP: "\N{BLACK SQUARE FOR STOP} Stop",
    Button.RETRY: "\N{CLOCKWISE OPEN CIRCLE ARROW} Retry",
    Button.GOOD: "\N{THUMBS UP SIGN}",
    Button.BAD: "\N{THUMBS DOWN SIGN}",
}


def row_of(buttons: Sequence[Button]) -> discord.ui.View | None:
    """One row with all of them; None, which takes those away that a message has, if there are none."""
    if not buttons:
        return None
    view = discord.ui.View(timeout=None)
    for button in buttons:
        view.add_item(discord.ui.Button(label=_LABELS[button], custom_id=PREFIX + button.value))
    # discord.py keeps a view that may still be used, one per message and for ever; presses come to us without it.
    view.stop()
    return view


def has_buttons(message: discord.Message) -> bool:
    """Whether one of ours stands below it."""
    rows = (row for row in message.components if isinstance(row, discord.ActionRow))
    return any(pressed(getattr(child, "custom_id", None)) for row in rows for child in row.children)


def pressed(custom_id: object) -> Button | None:
    """The button that was pressed; None if it is none of ours."""
    if not isinstance(custom_id, str) or not custom_id.startswith(PREFIX):
        return None
    name = custom_id.removeprefix(PREFIX)
    return Button(name) if name in set(Button) else None
