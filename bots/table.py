"""A Markdown table as text that stands in columns where every character is as wide as the next.

Where that would be too wide for a phone the cells are wrapped, and where that would not do either, each row
becomes a few lines of `header: value`. Knows nothing of platforms.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from markdown_it.token import Token
from wcwidth import iter_graphemes, wcswidth

from bots.markdown import code_spans, lines, parse_inline, plain

Align = Literal["left", "center", "right"]

# What a phone shows of monospaced text without breaking lines, held sideways at least.
MAX_WIDTH = 60
_MIN_COLUMN = 8
_MAX_CELL_LINES = 6
_GAP = " | "
_PIPE = re.compile(r"(?<!\\)\|")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what it says without marks, and its inline tokens."""

    text: str
    tokens: tuple[Token, ...]
    source: str

    @property
    def has_link(self) -> bool:
        """Whether there is something in it that one may want to click."""
        return any(token.type in {"link_open", "image"} for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows all have as many cells as there are columns."""

    aligns: tuple[Align, ...]
    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]


def read(source: str) -> Table:
    """The table that `source` is, quote marks before its lines left out.

    Reads the rows itself: GitHub's rules, which markdown-it-py follows, cut a cell at a pipe in code and drop
    what has no column. Nothing is dropped here.
    """
    head, delimiters, *body = (line.lstrip("> \t").rstrip() for line in lines(source))
    aligns = tuple(_align(cell) for cell in _split_row(delimiters))
    header, *rows = (_cells(line, len(aligns)) for line in (head, *body))
    return Table(aligns, header, tuple(rows))


def aligned(table: Table, max_width: int = MAX_WIDTH) -> str | None:
    """The table in columns, no line wider than `max_width` cells of a terminal; None if that can't be read.

    A table with links is not: they could not be clicked.
    """
    rows = [table.header, *table.rows]
    if any(cell.has_link for row in rows for cell in row):
        return None
    widths = _widths([[cell.text for cell in row] for row in rows], max_width)
    if widths is None:
        return None
    wrapped = [[_wrapped(cell.text, width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    if any(len(cell) > _MAX_CELL_LINES for row in wrapped for cell in row):
        return None
    rule = "-+-".join("-" * width for width in widths)
    is_wrapped = any(len(cell) > 1 for row in wrapped[1:] for cell in row)
    written = list(_lines(wrapped[0], widths, table.aligns))
    for number, row in enumerate(wrapped[1:]):
        if number == 0 or is_wrapped:  # else one could not tell where a row begins
            written.append(rule)
        written += _lines(row, widths, table.aligns)
    return "\n".join(written if table.rows else [*written, rule])


def records(table: Table) -> list[list[tuple[Cell, Cell]]]:
    """For each row what to say of it: header and value, without the empty ones; the header alone if no rows."""
    if not table.rows:
        return [[(cell, Cell("", (), "")) for cell in table.header if cell.text]]
    pairs = ([(head, cell) for head, cell in zip(table.header, row, strict=True) if cell.text] for row in table.rows)
    return [row for row in pairs if row]


def width(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    return len(text) if text.isascii() else max(wcswidth(text), 0)


def _align(delimiter: str) -> Align:
    if delimiter.endswith(":"):
        return "center" if delimiter.startswith(":") else "right"
    return "left"


@functools.lru_cache(maxsize=4096)  # a table that grows is read again and again
def _cells(line: str, count: int) -> tuple[Cell, ...]:
    """The `count` cells of a row; what is too much goes into the last one."""
    sources = _split_row(line, code_spans(line))
    if len(sources) < count:  # perhaps these were no code: backticks in two cells
        sources = _split_row(line)
    sources = [*sources[: count - 1], " | ".join(sources[count - 1 :]), *[""] * count][:count]
    read_cells = []
    for source in sources:
        tokens = tuple(parse_inline(source))
        read_cells.append(Cell(_CONTROLS.sub(" ", plain(tokens)).strip(), tokens, source))
    return tuple(read_cells)


def _split_row(line: str, code: Sequence[tuple[int, int]] = ()) -> list[str]:
    """What stands between the pipes of a line that are neither escaped nor in `code`."""
    pipes = [match.start() for match in _PIPE.finditer(line)]
    pipes = [at for at in pipes if not any(start < at < end for start, end in code)]
    begins, ends = [0, *(at + 1 for at in pipes)], [*pipes, len(line)]
    cells = [line[begin:end].strip().replace("\\|", "|") for begin, end in zip(begins, ends, strict=True)]
    first = 1 if line.startswith("|") else 0
    last = len(cells) - 1 if pipes and pipes[-1] == len(line) - 1 else len(cells)
    return cells[first:last]


def _widths(texts: Sequence[Sequence[str]], max_width: int) -> list[int] | None:
    """How wide each column may be: as wide as it wants, but for the widest ones if there is no room for all."""
    wanted = [max(1, *(width(text) for text in column)) for column in zip(*texts, strict=True)]
    room = max_width - len(_GAP) * (len(wanted) - 1)
    if sum(wanted) <= room:
        return wanted
    if sum(min(want, _MIN_COLUMN) for want in wanted) > room:
        return None
    # The widest columns share what the others leave.
    most = max(wanted)
    while sum(min(want, most) for want in wanted) > room:
        most -= 1
    widths = [min(want, most) for want in wanted]
    for number, want in enumerate(wanted):
        widths[number] += min(want - widths[number], room - sum(widths))
    return widths


def _wrapped(text: str, columns: int) -> list[str]:
    """`text` in lines that fit, broken between words where there are any."""
    wrapped: list[str] = []
    for word in text.split():
        if wrapped and width(wrapped[-1]) + 1 + width(word) <= columns:
            wrapped[-1] += " " + word
        else:
            wrapped += _pieces(word, columns)
    return wrapped or [""]


def _pieces(word: str, columns: int) -> Iterator[str]:
    if width(word) <= columns:
        yield word
        return
    piece, taken = "", 0
    for grapheme in iter_graphemes(word):
        more = width(grapheme)
        if piece and taken + more > columns:
            yield piece
            piece, taken = "", 0
        piece, taken = piece + grapheme, taken + more
    yield piece


def _lines(row: Sequence[Sequence[str]], widths: Sequence[int], aligns: Sequence[Align]) -> Iterator[str]:
    for texts in zip_longest(*row, fillvalue=""):
        cells = (_padded(text, columns, align) for text, columns, align in zip(texts, widths, aligns, strict=True))
        yield _GAP.join(cells).rstrip()


def _padded(text: str, columns: int, align: Align) -> str:
    space = max(columns - width(text), 0)
    left = {"left": 0, "center": space // 2, "right": space}[align]
    return " " * left + text + " " * (space - left)
