"""What a person would see: a small terminal that obeys the control sequences prompt_toolkit writes."""

import re

from prompt_toolkit.utils import get_cwidth

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b.", re.DOTALL)


class Screen:
    """An endless page: rows that scroll away stay readable. Unknown sequences are an error."""

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0

    @property
    def text(self) -> str:
        """All rows, without the spaces at their ends and the empty rows at the end."""
        return "\n".join("".join(row).rstrip() for row in self.rows).rstrip()

    def feed(self, data: str) -> None:
        position = 0
        while position < len(data):
            match = _SEQUENCE.match(data, position)
            if match is None:
                self._put(data[position])
                position += 1
                continue
            if not match[2]:
                raise AssertionError(f"unexpected control sequence {match[0]!r}")
            self._obey(match[1], match[2])
            position = match.end()

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down()
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character == "\x07":
            pass
        elif character < " " or "\x7f" <= character < "\xa0":
            raise AssertionError(f"unexpected control character {character!r}")
        else:
            width = get_cwidth(character)
            if self.column + width > self.columns:
                self.column = 0
                self._down()
            row = self.rows[self.row]
            row += [" "] * (self.column + width - len(row))
            row[self.column : self.column + width] = [character, *[""] * (width - 1)]
            self.column += width

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def _obey(self, parameters: str, final: str) -> None:
        count = int(parameters) if parameters.isdigit() else 1
        match final:
            case "A":
                self.row = max(0, self.row - count)
            case "B":
                self.row = min(len(self.rows) - 1, self.row + count)
            case "C":
                self.column = min(self.columns - 1, self.column + count)
            case "D":
                self.column = max(0, self.column - count)
            case "J" if parameters in {"", "0"}:
                del self.rows[self.row + 1 :]
                del self.rows[self.row][self.column :]
            case "K":
                del self.rows[self.row][self.column :]
            case "m" | "h" | "l" | "n":
                pass  # colours, modes and questions about the cursor leave the text alone
            case _:
                raise AssertionError(f"unexpected control sequence ESC[{parameters}{final}")
