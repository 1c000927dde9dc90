"""What a model's Markdown says: the blocks that it is made of, and the marks within a line.

CommonMark with tables and strikethrough, read by markdown-it-py, with three departures that make half a text mean
the same as the beginning of a whole one, and a block mean the same alone as among others:

- no reference links: a definition that is yet to come, or that stands in another message, would change what came
  before it;
- no underlined headings: models write `---` for a rule;
- no HTML: it is text.

Knows nothing of platforms.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, blockquote, list_block, table
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

Kind = Literal["paragraph", "heading", "fence", "code", "table", "list", "quote", "rule", "other"]

# A list takes two levels, one for itself and one for the item, a quote one. What is deeper is text: each line of a
# quote costs as much again for each quote around it, and the library drops what is below its own limit.
MAX_LIST_LEVEL = 16
MAX_QUOTE_LEVEL = 7
# A paragraph with more of them is text: they cost 10 us each, and 1500 fit into no message that is worth reading.
MAX_MARKS = 1500
MAX_COLUMNS = 64

_KINDS: dict[str, Kind] = {
    "paragraph_open": "paragraph",
    "heading_open": "heading",
    "fence": "fence",
    "code_block": "code",
    "table_open": "table",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "blockquote_open": "quote",
    "hr": "rule",
}
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n|\Z)")
_MARKS = re.compile(r"[\[\]!*_~<&\\`]")
# After an empty line, whatever stands at the left margin and is no list item begins a block of its own.
_BOUNDARY = re.compile(r"(?:\r\n|\n|\r(?!\n))[ \t]*(?:\r\n|\n|\r(?!\n))(?=[^\s\-+*0-9])")
_CACHED_CHARS = 8192


@dataclass(frozen=True, slots=True)
class Block:
    """One of the top-level blocks of a text.

    Attributes:
        kind: What it is; `other` has no source: the white space before the first block.
        source: As it was written, without the white space after it.
        after: The white space after it: `source + after` of all blocks in order is the text.
        language: The first word after the marks that open a fence.
        is_open: Whether it is a fence that nothing closes: it goes on to the end of the text.
    """

    kind: Kind
    source: str
    after: str = ""
    language: str = ""
    is_open: bool = False


def lines(text: str) -> list[str]:
    """The lines of `text` with their ends, as Markdown counts them: unlike `str.splitlines`, no form feeds."""
    return [line for line in _LINE.findall(text) if line]


def blocks(text: str) -> list[Block]:
    """The top-level blocks of `text`, in order.

    Reads it in pieces that stand for themselves, and remembers those: a text that grows by a word at its end
    costs little more than its last block.
    """
    found: list[Block] = []
    start = 0
    while start < len(text):
        boundary = _BOUNDARY.search(text, start)
        end = boundary.end() if boundary else len(text)
        lead, parsed = _blocks_of(text[start:end])
        if lead:
            _append_space(found, lead)
        found += parsed
        start = end
        if end < len(text) and parsed and parsed[-1].is_open:
            # The piece ended in the middle of code.
            opened = found.pop()
            begin = end - len(opened.after) - len(opened.source)
            start = _fence_end(text, begin, opened)
            code = text[begin:start].rstrip(" \t\r\n")
            is_open = start == len(text) and not _closes(code, opened)
            found.append(Block("fence", code, text[begin + len(code) : start], opened.language, is_open))
    return found


def parse(source: str) -> list[Token]:
    """The tokens of `source`, inline ones included; the maps count lines as `lines` does."""
    return _parser().parse(source)


def outline(source: str) -> list[Token]:
    """The tokens of `source` as `parse` has them, without looking into its lines."""
    return _block_parser().parse(source)


def parse_inline(source: str) -> list[Token]:
    """The inline tokens of one paragraph."""
    (token,) = _parser().parseInline(source)
    return token.children or []


def plain(tokens: Sequence[Token]) -> str:
    """What inline tokens say, without their marks; an address that is not what its link shows follows in brackets."""
    said: list[str] = []
    opened: list[tuple[int, str]] = []
    for token in tokens:
        if token.type == "link_open":
            opened.append((len(said), str(token.attrGet("href") or "")))
        elif token.type == "link_close":
            at, url = opened.pop()
            shown = "".join(said[at:])
            if not shown:
                said.append(url)
            elif shown not in {url, url.removeprefix("mailto:")}:
                said.append(f" ({url})")
        elif token.type == "image":
            said.append(f"{token.content} ({token.attrGet('src')})" if token.content else str(token.attrGet("src")))
        elif token.type in {"softbreak", "hardbreak"}:
            said.append("\n")
        else:
            said.append(token.content)
    return "".join(said)


_ATOM = re.compile(
    r"""\\[!-/:-@\[-`{-~]                       # an escaped mark
      | (?P<ticks>`+)
      | <[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*>  # an autolink
      | (?P<url>https?://[^\s<>)\]*]+)
      | (?P<emphasis>\*+|_+|~~+)
      | (?P<open>!?\[)
      | (?P<close>\])""",
    re.VERBOSE,
)
_TICKS = re.compile(r"\\[!-/:-@\[-`{-~]|(?P<ticks>`+)")
_TARGET = re.compile(
    r"""\(\s*(?:<[^<>\n]*>|[^\s()<]*(?:\([^\s()]*\)[^\s()]*)*)
        (?:\s+(?:"[^"\n]*"|'[^'\n]*'))?\s*\)""",
    re.VERBOSE,
)


def atoms(text: str) -> list[tuple[int, int]]:
    """Where in a paragraph its links, addresses, code and emphasis stand, marks included, by beginning.

    They may contain each other. A quick look and not a parser: where marks contradict each other it may see
    more than a reader of Markdown would.
    """
    found: list[tuple[int, int]] = []
    ticks = _tick_runs(text)
    brackets: list[int] = []
    emphasis: dict[str, int] = {}
    at = 0
    while match := _ATOM.search(text, at):
        start, at = match.span()
        match match.lastgroup:
            case "ticks":
                at = _code_end(ticks, match[0], start) or at
                if at > match.end():
                    found.append((start, at))
            case "emphasis":
                _match_emphasis(text, match[0], start, emphasis, found)
            case "open":
                brackets.append(start)
            case "close" if brackets:
                opened = brackets.pop()
                if target := _TARGET.match(text, at):
                    at = target.end()
                    found.append((opened, at))
            case "url":
                found.append((start, at))
            case None if match[0].startswith("<"):
                found.append((start, at))
            case _:
                pass
    return sorted(found)


def code_spans(text: str) -> list[tuple[int, int]]:
    """Where in a paragraph code stands, its backticks included."""
    ticks = _tick_runs(text)
    found: list[tuple[int, int]] = []
    at = 0
    while match := _TICKS.search(text, at):
        at = match.end()
        if match["ticks"]:
            end = _code_end(ticks, match["ticks"], match.start("ticks"))
            if end:
                found.append((match.start("ticks"), end))
                at = end
    return found


def _tick_runs(text: str) -> dict[int, list[int]]:
    """Where runs of backticks begin, last first, by how many they are."""
    runs: dict[int, list[int]] = {}
    for match in re.finditer("`+", text):
        runs.setdefault(len(match[0]), []).append(match.start())
    for starts in runs.values():
        starts.reverse()
    return runs


def _code_end(runs: dict[int, list[int]], ticks: str, start: int) -> int | None:
    """Where the code ends that `ticks` at `start` open, if something closes it."""
    closers = runs.get(len(ticks), [])
    while closers and closers[-1] <= start:
        closers.pop()
    return closers[-1] + len(ticks) if closers else None


def _match_emphasis(text: str, run: str, start: int, opened: dict[str, int], found: list[tuple[int, int]]) -> None:
    """Take note of a run of emphasis marks: close what it closes, else open what it opens."""
    end = start + len(run)
    before, after = text[start - 1 : start] if start else " ", text[end : end + 1] or " "
    is_word = run[0] == "_"  # snake_case is no emphasis
    if run in opened and not before.isspace() and not (is_word and after.isalnum()):
        begin = opened[run]
        found.append((begin, end))
        for other in [mark for mark, at in opened.items() if at >= begin]:
            del opened[other]
    elif len(run) <= 3 and not after.isspace() and not (is_word and before.isalnum()):
        opened[run] = start


@functools.cache
def _parser() -> MarkdownIt:
    # linkify stays off: what looks like an address is found by the platforms themselves.
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_LIST_LEVEL + 8}).enable(["table", "strikethrough"])
    md.disable(["reference", "lheading", "html_block", "html_inline"])
    md.core.ruler.at("inline", _read_inline)
    return _with_own_blocks(md)


@functools.cache
def _block_parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_LIST_LEVEL + 8}).enable(["table"])
    return _with_own_blocks(md.disable(["reference", "lheading", "html_block", "inline", "text_join"]))


def _with_own_blocks(md: MarkdownIt) -> MarkdownIt:
    md.block.ruler.at("paragraph", _read_paragraph)
    md.block.ruler.at("table", _read_table, {"alt": ["paragraph", "reference"]})
    md.block.ruler.at("blockquote", _read_quote, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    md.block.ruler.at("list", _read_list, {"alt": ["paragraph", "reference", "blockquote"]})
    return md


def _read_table(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """The library's rule, but for tables so wide that nobody can read them: each row gets all columns."""
    row = start_line + 1
    if row < end_line and state.src.count("|", state.bMarks[row], state.eMarks[row]) > MAX_COLUMNS:
        return False
    return table(state, start_line, end_line, silent)


def _read_quote(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    return state.level < MAX_QUOTE_LEVEL and blockquote(state, start_line, end_line, silent)


def _read_list(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    return state.level < MAX_LIST_LEVEL and list_block(state, start_line, end_line, silent)


def _read_paragraph(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:  # noqa: ARG001 - a rule
    """The library's rule, six times as fast on short lines: it asks only where a line may begin something else."""
    end_line, parent_type = state.lineMax, state.parentType
    state.parentType = "paragraph"
    rules = state.md.block.ruler.getRules("paragraph")
    line = start_line + 1
    while line < end_line and not state.isEmpty(line):
        # Indented text goes on with the paragraph, and so does what a quote has already seen (below 0).
        can_end = state.sCount[line] >= 0 and state.sCount[line] - state.blkIndent <= 3
        if can_end and _may_begin_a_block(state, line) and any(rule(state, line, end_line, True) for rule in rules):
            break
        line += 1
    content = state.getLines(start_line, line, state.blkIndent, False).strip(" \t\n\r\v\f")
    state.line = line
    opening = state.push("paragraph_open", "p", 1)
    opening.map = [start_line, line]
    inline = state.push("inline", "", 0)
    inline.content, inline.map, inline.children = content, [start_line, line], []
    state.push("paragraph_close", "p", -1)
    state.parentType = parent_type
    return True


def _may_begin_a_block(state: StateBlock, line: int) -> bool:
    """Whether a line, or the one below it as the second of a table, begins as something else than text."""
    source = state.src
    if source[state.bMarks[line] + state.tShift[line]] in "`~>#*-+_0123456789":
        return True
    below = state.bMarks[line + 1] + state.tShift[line + 1]
    return below < len(source) and source[below] in "|-:"


def _read_inline(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = []
        if len(_MARKS.findall(token.content)) <= MAX_MARKS:
            state.md.inline.parse(token.content, state.md, state.env, token.children)
        else:
            token.children = list(_as_text(token.content))


def _as_text(content: str) -> Iterator[Token]:
    for number, line in enumerate(content.split("\n")):
        if number:
            yield Token("softbreak", "br", 0)
        yield Token("text", "", 0, content=line)


def _blocks_of(piece: str) -> tuple[str, tuple[Block, ...]]:
    """The white space before the first block, and the blocks of a piece that stands for itself."""
    return _cached_blocks_of(piece) if len(piece) <= _CACHED_CHARS else _read_blocks(piece)


def _read_blocks(piece: str) -> tuple[str, tuple[Block, ...]]:
    tops = [token for token in outline(piece) if token.level == 0 and token.nesting >= 0]
    if not tops:
        return piece, ()
    starts = [0]
    for line in lines(piece):
        starts.append(starts[-1] + len(line))
    begins = [starts[token.map[0]] if token.map else 0 for token in tops]
    found: list[Block] = []
    for token, begin, end in zip(tops, begins, [*begins[1:], len(piece)], strict=True):
        raw = piece[begin:end]
        source = raw.rstrip(" \t\r\n")
        is_open = token.type == "fence" and not is_closed(token)
        language = token.info.split()[0] if token.type == "fence" and token.info.strip() else ""
        found.append(Block(_KINDS[token.type], source, raw[len(source) :], language, is_open))
    return piece[: begins[0]], tuple(found)


_cached_blocks_of = functools.lru_cache(maxsize=1024)(_read_blocks)


def is_closed(fence: Token) -> bool:
    """Whether a fence has marks that close it: then it has two lines more than its code, else one."""
    if fence.map is None:
        return False
    num_lines = fence.content.count("\n") + (fence.content[-1:] not in {"", "\n"})
    return fence.map[1] - fence.map[0] == num_lines + 2


def _fence_marks(fence: Block) -> str:
    marks = fence.source.lstrip(" ")
    return marks[: len(marks) - len(marks.lstrip(marks[0]))]


def _closing(fence: Block) -> re.Pattern[str]:
    marks = _fence_marks(fence)
    return re.compile(rf"(?<=[\r\n]) {{0,3}}{marks[0]}{{{len(marks)},}}[ \t]*(?:\r\n?|\n|\Z)")


def _fence_end(text: str, begin: int, fence: Block) -> int:
    """Where the line ends that closes the fence at `begin`, or the text does."""
    closing = _closing(fence).search(text, begin + len(_fence_marks(fence)))
    return closing.end() if closing else len(text)


def _closes(code: str, fence: Block) -> bool:
    marks = len(_fence_marks(fence))
    return any(match.end() == len(code) for match in _closing(fence).finditer(code, marks))


def _append_space(found: list[Block], space: str) -> None:
    """Add white space between two pieces to the block before it."""
    if not found:
        found.append(Block("other", "", space))
        return
    last = found.pop()
    found.append(Block(last.kind, last.source, last.after + space, last.language, last.is_open))
