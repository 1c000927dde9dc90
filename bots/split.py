"""A Markdown text, cut into messages: each within the platform's limit, nothing lost, code and tables readable.

A cut depends on what stands before it and shortly behind it, so a text that grows keeps its earlier cuts. Knows
nothing of platforms: what a message holds is measured by a function that is given.
"""

import functools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from markdown_it.token import Token
from wcwidth import iter_graphemes

from bots.markdown import Block, atoms, blocks, is_closed, lines, outline

# How good a place before a line is for a cut; less is better.
BLOCK, ITEM, PART, LINE, NEVER = range(5)

_ITEM = re.compile(r"[ \t]*(?:[-+*]|\d{1,9}[.)])(?:[ \t]{1,4}(?=[^ \t\r\n])|[ \t]|(?=[\r\n]|\Z))")
_SENTENCE_END = re.compile(r"""[.!?…]["'”’»)\]*_]*[ \t]+(?=\S)|[。！？][」』”’）)]*[ \t]*(?=\S)""")  # noqa: RUF001
_WORD_END = re.compile(r"(?<=[^\s>])[ \t]+(?=\S)|(?<=[，、；：])(?=\S)")  # noqa: RUF001 - Chinese has its own marks
# What would become a list, a heading, a quote and so on if a message began with it.
_BLOCK_START = re.compile(r"(?:[-+*]|\d{1,9}[.)])(?:\s|\Z)|#{1,6}\s|[>|~=]|```|[-*_]{3}")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_UNFINISHED_MARKS = re.compile(r"[\r\n][ \t>]*(?:`+|~+)\Z")
_MARGIN = re.compile(r"[ \t]*")
_CACHED_CHARS = 8192


@dataclass(frozen=True, slots=True)
class _Whole:
    """A fence or a table, from line `begin` to line `end`, which is no longer in it.

    A part that begins inside it is given `opening`, and one that ends inside it `closing`.
    """

    begin: int
    end: int
    opening: str
    closing: str
    is_fence: bool
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    """What a line is to a cut.

    Attributes:
        start: Where it begins.
        rank: How good the place before it is.
        indent: How many columns it is indented for the list items that it stands in.
        quote: What has to stand before the second half of it: the marks of the quotes that it stands in.
        leaf: The lines of the paragraph that it belongs to, from and to.
        whole: The fence or table that it belongs to.
    """

    start: int
    rank: int
    indent: int
    quote: str
    leaf: tuple[int, int]
    whole: _Whole | None


def split(text: str, limit: int, length: Callable[[str], int] = len) -> list[str]:
    """Cut a Markdown text into parts, none of which is empty.

    Cuts between blocks, else between list items, lines, sentences, words, in that order, as long as that leaves
    no message less than half full; a link, code or emphasis is cut only if it fits into no message. A fence or a
    table that fits into one message begins a new one rather than be cut; else it is cut between its lines, and
    the fence marks or the table's header are repeated, as are the marks of a quote. The white space at a cut is
    dropped, and so is the indentation that a list item owes to the items around it.

    Args:
        text: Markdown; may be half finished.
        limit: What a part may have.
        length: What the platform counts of a part. Should be quick when it is asked for what it has seen before.

    Raises:
        ValueError: Not even a single character is within the limit.
    """
    if len(text) <= limit and length(whole := _without_empty_lines(text.rstrip())) <= limit:
        return [whole] if whole else []
    return list(_Splitter(text, limit, length).parts())


def utf16_length(text: str) -> int:
    """How many UTF-16 code units `text` has; what most platforms call its length."""
    return len(text) if text.isascii() else len(text) + len(_ASTRAL.findall(text))


class _Splitter:
    """One text on its way into parts. A place is an offset in the text; a part lies between two of them."""

    def __init__(self, text: str, limit: int, length: Callable[[str], int]) -> None:
        self._text, self._limit, self._length = text, limit, length
        self._end = len(text.rstrip())
        self._lines = self._read_lines()
        self._starts = [line.start for line in self._lines]
        self._inner: dict[int, tuple[list[int], list[int]]] = {}
        self._kept: dict[_Whole, bool] = {}

    def parts(self) -> Iterator[str]:
        """The parts in order."""
        begin = self._skip(0)
        while begin < self._end:
            end = self._cut(begin)
            if self._says_something(begin, end):
                yield self._part(begin, end)
            begin = self._skip(end)

    def _read_lines(self) -> list[_Line]:
        """All lines, and one more at the end of the text."""
        found: list[_Line] = []
        at = 0
        after_heading = False
        for block in blocks(self._text):
            here = _moved(_outline(block), len(found), at)
            for whole in {line.whole for line in here if line.whole}:
                # Marks that would fill the messages are not repeated.
                if self._length(f"{whole.opening}x\n{whole.closing}") > self._limit // 2:
                    here = [replace(line, whole=None) if line.whole == whole else line for line in here]
            if after_heading and here:  # a heading belongs to what follows it
                here[0] = replace(here[0], rank=LINE)
            found += here
            at += len(block.source) + len(block.after)
            after_heading = block.kind == "heading"
        # White space that Markdown takes for text may end it.
        while found and found[-1].start >= self._end:
            found.pop()
        return [*found, _Line(self._end, BLOCK, 0, "", (len(found), len(found) + 1), None)]

    # What a part is.

    def _part(self, begin: int, end: int) -> str:
        """What stands between two places, as a text of its own."""
        opening, closing = self._opening(begin), self._closing(end)
        body = self._dedented(begin, end)
        if closing:
            body = body.rstrip("\r\n") + "\n"
            columns = self._line_at(end).indent - self._line_at(begin).indent
            closing = " " * columns + closing
        else:
            body = body.rstrip()
        return opening + body + closing

    def _opening(self, begin: int) -> str:
        """What has to stand before a part that begins in the middle of something."""
        line = self._line_at(begin)
        is_start = begin == line.start
        whole = self._cut_whole(begin)
        if whole and whole.is_fence:
            return whole.opening if is_start else whole.opening + line.quote
        if is_start:
            return whole.opening if whole else ""
        return "" if line.whole else line.quote

    def _closing(self, end: int) -> str:
        whole = self._cut_whole(end)
        return whole.closing if whole else ""

    def _cut_whole(self, place: int) -> _Whole | None:
        """The fence or table that a cut at `place` goes through, below its first line."""
        number = self._number_at(place)
        whole = self._lines[number].whole
        return whole if whole and number > whole.begin else None

    def _dedented(self, begin: int, end: int) -> str:
        """The text between two places, without the indentation for list items that the part has no beginning of."""
        number = self._number_at(begin)
        columns = self._lines[number].indent
        if not columns:
            return self._text[begin:end]
        pieces = []
        at = begin
        while at < end:
            line, stop = self._lines[number], min(self._starts[number + 1], end)
            if at == line.start:
                at = min(_after_columns(self._text, at, min(columns, line.indent)), stop)
            pieces.append(self._text[at:stop])
            at, number = stop, number + 1
        return "".join(pieces)

    def _says_something(self, begin: int, end: int) -> bool:
        """Whether there is more between two places than white space and the marks that open a fence."""
        whole = self._cut_whole(end)
        if whole and whole.is_fence and begin <= self._starts[whole.begin]:
            marks, code = self._starts[whole.begin], self._starts[whole.begin + 1]
            if self._text[marks:code].lstrip(" \t>").startswith(("`", "~")):  # and not with those of a list item
                return bool((self._text[begin:marks] + self._text[code:end]).strip())
        return bool(self._text[begin:end].strip())

    # Where to cut.

    def _cut(self, begin: int) -> int:
        """The best end of a part that begins at `begin`."""
        last = self._last_fitting(self._starts, begin)
        if last == self._end:
            return last
        kept = self._kept_whole(begin, last)
        if kept is not None:
            last = kept
        chosen = self._best_line(begin, last)
        if chosen is None and kept is None:
            chosen = self._within_paragraph(begin, last)
        if chosen is None:
            chosen = self._last_line(begin, last)
        return chosen if chosen is not None else self._anywhere(begin)

    def _fits(self, begin: int, end: int) -> bool:
        return self._measure(begin, end) <= self._limit

    def _measure(self, begin: int, end: int) -> int:
        return self._length(self._part(begin, end))

    def _last_fitting(self, places: list[int], begin: int) -> int:
        """The last of `places` up to which all fits into a part that begins at `begin`; if none, `begin`.

        Guesses from how long the part was at the last guess: measuring is what takes the time.
        """
        low, high = bisect_right(places, begin) - 1, len(places)
        first = low
        reach = begin + self._limit
        num_guesses = 0
        while high - low > 1:
            guess = bisect_right(places, reach) - 1 if num_guesses < 4 else (low + high) // 2
            guess = min(max(guess, low + 1), high - 1)
            num_guesses = num_guesses + 1 if high < len(places) else 0
            span = places[guess] - begin
            measured = self._measure(begin, places[guess])
            if measured <= self._limit:
                low = guess
                reach = begin + max(int(span * min(self._limit / max(measured, 1), 4)), span + 1)
            else:
                high = guess
                reach = begin + int(span * self._limit / measured)
        return places[low] if low > first else begin

    def _kept_whole(self, begin: int, last: int) -> int | None:
        """Where the fence or table begins that a cut at `last` would go through though it fits into a message."""
        whole = self._cut_whole(last)
        if whole is None or self._starts[whole.begin] <= begin:
            return None
        return self._starts[whole.begin] if self._is_kept(whole) else None

    def _is_kept(self, whole: _Whole) -> bool:
        if whole not in self._kept:
            end = min(whole.end, len(self._lines) - 1)
            part = self._part(self._starts[whole.begin], self._starts[end])
            if whole.is_open:
                # As if it were closed, so that a fence that grows can only change from kept to cut, and once.
                part = _UNFINISHED_MARKS.sub("", part) + "\n" + whole.closing
            self._kept[whole] = self._length(part) <= self._limit
        return self._kept[whole]

    def _best_line(self, begin: int, last: int) -> int | None:
        """The best place before a line, up to `last`, that leaves a message half full at least."""
        for rank in (BLOCK, ITEM, PART, LINE):
            place = self._last_line(begin, last, rank)
            if place is not None and self._measure(begin, place) >= self._limit // 2:
                return place
        return None

    def _last_line(self, begin: int, last: int, rank: int = LINE) -> int | None:
        """The last place before a line, up to `last`, that is as good as `rank`."""
        for number in range(self._number_at(last), self._number_at(begin), -1):
            can_cut = self._lines[number].rank <= rank and self._may_cut_before(number, begin)
            if can_cut and self._fits(begin, self._starts[number]):
                return self._starts[number]
        return None

    def _may_cut_before(self, number: int, begin: int) -> bool:
        place = self._starts[number]
        if whole := self._cut_whole(place):
            return self._starts[whole.begin] <= begin or not self._is_kept(whole)
        if number == self._lines[number].leaf[0]:
            return True
        words, _ = self._inner_places(number)
        at = bisect_left(words, place)
        return at < len(words) and words[at] == place

    def _within_paragraph(self, begin: int, last: int) -> int | None:
        """The last place between sentences, else words, in the paragraph that `last` begins a line of."""
        number = self._number_at(last)
        if self._lines[number].whole:
            return None
        words, sentences = self._inner_places(number)
        furthest = begin
        for places in (sentences, words):
            place = self._last_fitting(places, begin)
            if place > begin and self._measure(begin, place) >= self._limit // 2:
                return place
            furthest = max(furthest, place)
        return furthest if furthest > (self._last_line(begin, last) or begin) else None

    def _anywhere(self, begin: int) -> int:
        """As much of a line as fits, by characters as people count them, else by code points."""
        stop = min(self._starts[self._number_at(begin) + 1], begin + self._limit)
        end = self._last_fitting(self._graphemes(begin, stop), begin)
        if end == begin:
            end = self._last_fitting(list(range(begin + 1, stop + 1)), begin)
        if end == begin:
            raise ValueError(f"{self._limit} is too small a limit for {self._text[begin : begin + 20]!r}")
        return end

    def _graphemes(self, begin: int, end: int) -> list[int]:
        """Where characters end, as people count them."""
        places = []
        at = begin
        for grapheme in iter_graphemes(self._text[begin : end + 32]):  # the last one may go on a little
            at += len(grapheme)
            if at > end:
                break
            places.append(at)
        return places

    def _inner_places(self, number: int) -> tuple[list[int], list[int]]:
        """Where the paragraph around a line may be cut: between words and lines, and of these between sentences."""
        first, end = self._lines[number].leaf
        if first not in self._inner:
            start, stop = self._starts[first], self._starts[min(end, len(self._starts) - 1)]
            text = self._text[start:stop]
            sentences = {match.end() for match in _SENTENCE_END.finditer(text)}
            words = sentences | {match.end() for match in _WORD_END.finditer(text)}
            words = {at for at in words if not _BLOCK_START.match(text, at)}
            words |= {at - start for at in self._starts[first + 1 : end]}
            free = _outside(sorted(words), [span for span in atoms(text) if self._is_atom(text[slice(*span)])])
            self._inner[first] = [start + at for at in free], [start + at for at in free if at in sentences]
        return self._inner[first]

    def _is_atom(self, source: str) -> bool:
        """Whether a link, code or emphasis fits into a message; asks only where that is in doubt."""
        if len(source) <= self._limit // 2:
            return True
        return len(source) <= 8 * self._limit and self._length(source) <= self._limit

    # Where things stand.

    def _number_at(self, place: int) -> int:
        return max(bisect_right(self._starts, place) - 1, 0)

    def _line_at(self, place: int) -> _Line:
        return self._lines[self._number_at(place)]

    def _skip(self, place: int) -> int:
        """The first place from `place` on that a part can begin at: white space is dropped, but for code's."""
        while place < self._end:
            number = self._number_at(place)
            whole = self._cut_whole(place)
            if whole and whole.is_fence:
                return place
            if place > self._lines[number].start:
                place = _after_columns(self._text, place, self._end)
            stop = self._starts[number + 1]
            if self._text[place:stop].strip():
                return place
            place = stop
        return place


def _outline(block: Block) -> Sequence[_Line]:
    """The lines of a block, numbered and measured from its beginning."""
    source = block.source + block.after
    return _cached_outline(source) if len(source) <= _CACHED_CHARS else _read_outline(source)


def _moved(relative: Sequence[_Line], number: int, place: int) -> list[_Line]:
    """The lines of a block whose first one is line `number` and begins at `place`."""
    wholes: dict[_Whole, _Whole] = {}
    moved = []
    for line in relative:
        whole = line.whole
        if whole and whole not in wholes:
            wholes[whole] = replace(whole, begin=whole.begin + number, end=whole.end + number)
        first, end = line.leaf
        leaf = (first + number, end + number)
        whole = wholes[whole] if whole else None
        moved.append(_Line(line.start + place, line.rank, line.indent, line.quote, leaf, whole))
    return moved


def _read_outline(source: str) -> tuple[_Line, ...]:
    return tuple(_Outline(source).read())


_cached_outline = functools.lru_cache(maxsize=1024)(_read_outline)


class _Outline:
    """The lines of one block, filled in from the outside to the inside."""

    def __init__(self, source: str) -> None:
        self._source = lines(source)
        count = len(self._source)
        self._ranks = [LINE if line.strip() else NEVER for line in self._source]
        self._indents = [0] * count
        self._depths = [0] * count  # of quotes
        self._leaves = [(number, number + 1) for number in range(count)]
        self._wholes: list[_Whole | None] = [None] * count

    def read(self) -> Iterator[_Line]:
        """All lines of the block."""
        quotes = 0
        for token in outline("".join(self._source)):
            if token.type == "blockquote_close":
                quotes -= 1
            if token.nesting < 0 or token.map is None:
                continue
            self._rank(token)
            if token.type == "blockquote_open":
                quotes += 1
                self._depths[slice(*token.map)] = [quotes] * (token.map[1] - token.map[0])
            elif token.type == "list_item_open" and not quotes:
                self._indent(*token.map)
            elif token.type == "inline" and token.level and self._wholes[token.map[0]] is None:
                begin, end = token.map
                self._leaves[begin:end] = [(begin, end)] * (end - begin)
            elif token.type == "fence":
                self._fence(token, *token.map)
            elif token.type == "table_open":
                self._table(*token.map)
        return self._made()

    def _made(self) -> Iterator[_Line]:
        start = 0
        for number, line in enumerate(self._source):
            quote = "> " * self._depths[number]
            leaf, whole = self._leaves[number], self._wholes[number]
            yield _Line(start, self._ranks[number], self._indents[number], quote, leaf, whole)
            start += len(line)

    def _rank(self, token: Token) -> None:
        """Take note that something begins here."""
        if token.type in {"inline", "thead_open", "tbody_open", "tr_open"} or token.map is None:
            return
        number = token.map[0]
        if token.level == 0:
            rank = BLOCK
        elif token.type == "list_item_open":
            rank = ITEM if token.level == 1 else PART
        else:
            rank = PART
        if self._ranks[number] != NEVER:
            self._ranks[number] = min(self._ranks[number], rank)

    def _indent(self, begin: int, end: int) -> None:
        """Take note of a list item: its lines but the first are indented up to its content."""
        line = self._source[begin]
        outer = self._indents[begin]
        marker = _ITEM.match(line, _after_columns(line, 0, outer) if not line[:outer].strip() else outer)
        content = marker.end() if marker else outer
        if not line[:outer].strip():  # else it is the first thing within another item, on the same line
            self._indents[begin] = len(line) - len(line.lstrip(" \t"))
        for number in range(begin + 1, end):
            self._indents[number] = content

    def _fence(self, token: Token, begin: int, end: int) -> None:
        """Take note of a fence: cut between its lines of code only."""
        quote = "> " * self._depths[begin]
        language = (token.info.split() or [""])[0]
        marks, is_open = f"{quote}{token.markup}", not is_closed(token)
        whole = _Whole(begin, end, f"{marks}{language}\n", marks, is_fence=True, is_open=is_open)
        self._wholes[begin:end] = [whole] * (end - begin)
        code = range(begin + 2, end if is_open else end - 1)
        for number in range(begin + 1, end):
            self._ranks[number] = LINE if number in code else NEVER

    def _table(self, begin: int, end: int) -> None:
        """Take note of a table: cut between its rows only, and not before the first."""
        outer = self._indents[begin]
        header = "".join(line[_after_columns(line, 0, outer) :] for line in self._source[begin : begin + 2])
        whole = _Whole(begin, end, header.rstrip("\r\n") + "\n", "", is_fence=False)
        self._wholes[begin:end] = [whole] * (end - begin)
        for number in range(begin + 1, min(begin + 3, end)):
            self._ranks[number] = NEVER


def _after_columns(text: str, at: int, columns: int) -> int:
    """The place after up to `columns` columns of white space at `at`."""
    margin = _MARGIN.match(text, at)
    stop = margin.end() if margin else at
    column = 0
    while at < stop and column < columns:
        column += 4 - column % 4 if text[at] == "\t" else 1
        at += 1
    return at


def _outside(places: list[int], spans: list[tuple[int, int]]) -> list[int]:
    """Those of `places` that are not within one of `spans`; both are sorted."""
    free = []
    number = end = 0
    for place in places:
        while number < len(spans) and spans[number][0] < place:
            end = max(end, spans[number][1])
            number += 1
        if place >= end:
            free.append(place)
    return free


def _without_empty_lines(text: str) -> str:
    """`text` without the empty lines before it; the spaces before its first word may mean something."""
    blank = len(text) - len(text.lstrip())
    return text[max(text.rfind("\n", 0, blank), text.rfind("\r", 0, blank)) + 1 :]
