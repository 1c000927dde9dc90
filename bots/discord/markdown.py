"""A model's Markdown as Discord reads it: as it is, but for what Discord does not know or would show half finished.

Tables become aligned text in a fence, and images links; fences become the one kind that Discord has, closed even
while they are written; headings below the third level become bold lines. What looks like a mention stays: that
nobody is pinged is seen to where the message is sent. Knows nothing of messages and of channels.
"""

import functools
import re
from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from bots import table
from bots.markdown import Block, blocks, code_spans, is_closed, lines, outline
from bots.split import utf16_length

_FENCE = "```"
# A fence ends at the next three backticks for Discord, wherever they stand.
_BROKEN_FENCE = "``\N{ZERO WIDTH SPACE}`"
_LANGUAGE = re.compile(r"[A-Za-z0-9_+\-.#]+")
_PREFIX = re.compile(r"[ \t>]*")
_HEADING = re.compile(r"#{4,6}[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")
_IMAGE = re.compile(
    r"""!\[(?P<alt>[^\[\]\n]*)\]\((?P<url>[^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)(?:[ \t]+"[^"\n]*")?\)"""
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CACHED_CHARS = 8192


def length(markdown: str) -> int:
    """What Discord counts of `markdown` once it is rendered, or a little more: UTF-16 code units."""
    return utf16_length(render(markdown))


def render(markdown: str) -> str:
    """`markdown` as it is to be sent, without white space after it."""
    return _cached_render(markdown) if len(markdown) <= _CACHED_CHARS else _render(markdown)


def _render(markdown: str) -> str:
    clean = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", markdown).rstrip()
    return "".join(_block(block) + block.after for block in blocks(clean))


def _block(block: Block) -> str:
    if block.kind in {"paragraph", "rule", "other"} and "![" not in block.source:
        return block.source
    is_short = len(block.source) <= _CACHED_CHARS
    return _cached_block(block.source) if is_short else _write_block(block.source)


def _write_block(source: str) -> str:
    """One block, as it is unless there is something in it that has to be changed."""
    written: list[str] = []
    at = 0
    rows = lines(source)
    for token in outline(source):
        if token.map is None or token.map[0] < at:
            continue
        begin, end = token.map
        new = _rewritten(token, rows[begin:end])
        if new is not None:
            written += rows[at:begin]
            written.append(new if end >= len(rows) else new + "\n")
            at = end
    return "".join([*written, *rows[at:]])


# A text that grows keeps its earlier blocks, and is measured more often than it is sent.
_cached_render = functools.lru_cache(maxsize=512)(_render)
_cached_block = functools.lru_cache(maxsize=1024)(_write_block)


def _rewritten(token: Token, rows: Sequence[str]) -> str | None:
    """The lines of a token as Discord wants them, without the last line end; None if they are to stay."""
    match token.type:
        case "fence":
            return _fence(token, rows)
        case "table_open":
            return _table(rows)
        case "heading_open" if token.tag > "h3":
            return _bold(rows[0])
        case "inline" if "![" in token.content:
            return _without_images("".join(rows)).rstrip("\r\n")
        case _:
            return None


def _fence(token: Token, rows: Sequence[str]) -> str:
    prefix = _prefix(rows[0])
    first = rows[0].rstrip("\r\n")
    before = first[: first.find(token.markup)]
    info = first[len(before) + len(token.markup) :].strip()
    language = (info.split() or [""])[0]
    known = language if _LANGUAGE.fullmatch(language) else ""
    code = [row.rstrip("\r\n").replace(_FENCE, _BROKEN_FENCE) for row in rows[1 : len(rows) - is_closed(token)]]
    margin = prefix if before == prefix else _prefix(rows[1]) if len(rows) > 1 else " " * len(before)
    return "\n".join([f"{before}{_FENCE}{known}", *code, f"{margin}{_FENCE}"])


def _table(rows: Sequence[str]) -> str | None:
    prefix = _prefix(rows[0])
    if not all(row.startswith(prefix) for row in rows):
        return None
    content = table.read("".join(rows))
    columns = table.aligned(content)
    if columns is not None and _FENCE not in columns:
        written = [_FENCE, *columns.split("\n"), _FENCE]
    else:
        written = list(_records(content))
    return "\n".join(prefix + row for row in written)


def _records(content: table.Table) -> Iterator[str]:
    for number, row in enumerate(table.records(content)):
        if number:
            yield ""
        for head, cell in row:
            colon = ": " if head.text and cell.text else ""
            yield f"{head.source}{colon}{_without_images(cell.source)}"


def _bold(row: str) -> str | None:
    prefix = _prefix(row)
    match = _HEADING.fullmatch(row.rstrip("\r\n"), len(prefix))
    if match is None:  # it begins in a list item's first line, or is empty
        return None
    title = _without_images(match["title"]).replace("**", "").strip()
    return f"{prefix}**{title}**" if title else None


def _without_images(text: str) -> str:
    """`text` with links in place of images, code left alone."""
    code = code_spans(text)

    def link(match: re.Match[str]) -> str:
        if any(start < match.start() < end for start, end in code):
            return match[0]
        return f"[{match['alt']}]({match['url']})" if match["alt"].strip() else match["url"]

    return _IMAGE.sub(link, text)


def _prefix(row: str) -> str:
    found = _PREFIX.match(row)
    return found[0] if found else ""
