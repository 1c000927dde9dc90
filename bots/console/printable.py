"""Text that a terminal can only show, never obey."""

import re

# C0 except tab and line feed, DEL, and C1: some terminals take U+009B for the start of a control sequence,
# just as they take ESC [.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """`text` with every control character made visible as U+FFFD, except for tabs and line ends.

    Without it, a model or a person could move the cursor, set the window's title or fill the clipboard.
    Tabs become four spaces: how wide a tab is depends on where it stands, and rows are counted in cells.
    """
    unified = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", unified)
