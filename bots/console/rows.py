"""A growing text, cut into rows of a terminal.

Rows that are complete never change when more text comes, so they can be printed for good; only the last
one has to be drawn again.
"""

from prompt_toolkit.utils import get_cwidth


def end_of_row(text: str, columns: int) -> int | None:
    """Where the first row of `text` ends, or None if it may still grow.

    Breaks at a line end, else after the last space or wide character that fits (Chinese and Japanese have
    no spaces), else in the middle of a word that is wider than the row. Spaces may stand over the edge.
    """
    width = break_at = 0
    for index, character in enumerate(text):
        if character == "\n":
            return index + 1
        cells = get_cwidth(character)
        if width + cells > columns and character != " ":
            return break_at or max(index, 1)
        width += cells
        if character == " " or cells == 2:
            break_at = index + 1
    return None


def rows(text: str, columns: int) -> list[str]:
    """Cut a text that is complete into rows."""
    growing = GrowingText()
    return [*growing.update(text, columns), growing.rest]


class GrowingText:
    """A text of which the rows so far are printed.

    Attributes:
        rest: The unfinished row.
    """

    def __init__(self) -> None:
        self._printed = self.rest = ""

    def update(self, text: str, columns: int) -> list[str]:
        """Take the newest text and return the rows that are complete now and were not before.

        A text that does not go on from the rows printed already begins anew: they cannot be called back.
        """
        if not text.startswith(self._printed):
            self._printed = ""
        complete = []
        rest = text[len(self._printed) :]
        while (end := end_of_row(rest, columns)) is not None:
            complete.append(rest[:end].rstrip())
            rest = rest[end:]
        self._printed, self.rest = text[: len(text) - len(rest)], rest
        return complete
