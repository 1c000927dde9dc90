"""A model's Markdown as Telegram wants it: plain text, and entities that say where it is bold.

Entities and not a parse mode: nothing has to be escaped, and half-finished Markdown shows as what it is. Offsets
and lengths count UTF-16 code units, as Telegram does. Knows nothing of messages and of chats.
"""

import functools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from urllib.parse import unquote

from markdown_it.token import Token
from telegram import MessageEntity
from telegram.constants import MessageEntityType

from bots import table
from bots.markdown import blocks, lines, parse
from bots.split import utf16_length

__all__ = ["MAX_ENTITIES", "Rendered", "length", "render", "utf16_length"]

MAX_ENTITIES = 100  # Telegram ignores those above

_CODE = frozenset({MessageEntityType.PRE, MessageEntityType.CODE})
# What a text loses least without comes last.
_IMPORTANCE = (
    MessageEntityType.PRE,
    MessageEntityType.TEXT_LINK,
    MessageEntityType.CODE,
    MessageEntityType.BLOCKQUOTE,
    MessageEntityType.BOLD,
    MessageEntityType.STRIKETHROUGH,
    MessageEntityType.ITALIC,
)
_EMPHASIS = {
    "strong": MessageEntityType.BOLD,
    "em": MessageEntityType.ITALIC,
    "s": MessageEntityType.STRIKETHROUGH,
}
_SPLITTABLE = frozenset(_EMPHASIS.values())
_BULLETS = "•◦▪"
_RULE = "─" * 12
# The links that tg: has for people ping them; these do not.
_TG_LINK = re.compile(r"tg:/*(?:resolve|join|addstickers|addemoji|addtheme|boost|settings)(?:[/?#]|\Z)", re.IGNORECASE)
_LINK = re.compile(r"https?://[^/\s]|mailto:[^@\s]+@", re.IGNORECASE)
_MENTION = re.compile(r"(?<!\w)@(?=([A-Za-z0-9_]{2,}))")
_URL = re.compile(r"https?://[^\s<>]+", re.IGNORECASE)
# Halves of characters, and controls: Telegram refuses the ones and changes the others.
_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LINE_START = re.compile(r"\n(?!\n|\Z)")
_AFTER_URL = ".,;:!?)]}'\"*_"
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
# Neither of these shows anything, nor does white space.
_INVISIBLE = re.compile(
    "[\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]*"
)
_WORD_JOINER = "\u2060"
_CACHED_CHARS = 8192


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text as Telegram takes it.

    Attributes:
        text: Without white space around it; empty only if there was nothing but white space.
        entities: Sorted by where they begin, the longer first; nested as Telegram allows.
    """

    text: str
    entities: tuple[MessageEntity, ...] = ()


@dataclass(frozen=True, slots=True)
class _Span:
    """An entity that counts code points. `value` is the address of a link or the language of code."""

    type: MessageEntityType
    start: int
    end: int
    value: str = ""


@dataclass(frozen=True, slots=True)
class _Layout:
    text: str
    spans: tuple[_Span, ...] = ()


def length(markdown: str) -> int:
    """What Telegram counts of `markdown` once it is rendered."""
    return utf16_length(_layout(markdown).text)


def render(markdown: str) -> Rendered:
    """`markdown` as text and entities; whatever it says, nobody is pinged by it.

    Where nothing would be visible, it is the source as plain text.
    """
    layout = _layout(markdown)
    astral = [match.start() for match in _ASTRAL.finditer(layout.text)]

    def place(offset: int) -> int:
        return offset + bisect_left(astral, offset)

    entities = []
    for span in _most_important(layout.spans):
        start, end = place(span.start), place(span.end)
        url = span.value if span.type == MessageEntityType.TEXT_LINK else None
        language = (span.value or None) if span.type == MessageEntityType.PRE else None
        entities.append(MessageEntity(span.type, start, end - start, url=url, language=language))
    return Rendered(layout.text, tuple(entities))


def _most_important(spans: Sequence[_Span]) -> list[_Span]:
    """All of `spans`, if there are not too many; they keep their order."""
    kept = sorted(spans, key=lambda span: _IMPORTANCE.index(span.type))[:MAX_ENTITIES]
    return sorted(kept, key=_order)


def _order(span: _Span) -> tuple[int, int, int]:
    return span.start, -span.end, -_IMPORTANCE.index(span.type)


def _layout(markdown: str) -> _Layout:
    return _cached_layout(markdown) if len(markdown) <= _CACHED_CHARS else _lay_out(markdown)


def _lay_out(markdown: str) -> _Layout:
    clean = _UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", markdown)
    pieces: list[_Layout] = []
    gap = ""
    for block in blocks(clean):
        laid_out = _cached_block(block.source) if len(block.source) <= _CACHED_CHARS else _lay_out_block(block.source)
        if laid_out.text:
            pieces += [_Layout(gap if pieces else ""), laid_out]
            gap = "\n\n" if len(lines(block.after)) > 1 else "\n"
    whole = _trimmed(_joined(pieces))
    if whole.text:
        return whole
    source = clean.strip()
    return _Layout("" if _INVISIBLE.fullmatch(source) else _MENTION.sub("@" + _WORD_JOINER, source))


def _trimmed(layout: _Layout) -> _Layout:
    """What Telegram leaves of a text: no white space around it, and no entity with nothing but that."""
    text = layout.text
    visible = [span for span in layout.spans if not _INVISIBLE.fullmatch(text, span.start, span.end)]
    begin = min(len(text) - len(text.lstrip()), *(span.start for span in visible if span.type in _CODE), len(text))
    end = len(text.rstrip())
    if _INVISIBLE.fullmatch(text):
        return _Layout("")
    spans = (replace(span, start=max(span.start - begin, 0), end=min(span.end, end) - begin) for span in visible)
    return _Layout(text[begin:end], tuple(sorted(spans, key=_order)))


def _lay_out_block(source: str) -> _Layout:
    """One block. Nobody's name goes on from one block into the next, so it is defused here."""
    return _defused(_split_around_code(_Reader(source).blocks(parse(source), gap="\n\n")))


# A text that grows keeps its earlier blocks, and is measured more often than it is sent.
_cached_layout = functools.lru_cache(maxsize=512)(_lay_out)
_cached_block = functools.lru_cache(maxsize=2048)(_lay_out_block)


class _Reader:
    """Lays out the tokens of one source."""

    def __init__(self, source: str) -> None:
        self._source = source

    def blocks(self, tokens: Sequence[Token], gap: str, depth: int = 0) -> _Layout:
        """Lay out blocks that stand below each other, with `gap` between them; `depth` counts lists."""
        pieces: list[_Layout] = []
        for group in _groups(tokens):
            laid_out = self._block(group, depth)
            if laid_out.text:
                pieces += [_Layout(gap if pieces else ""), laid_out]
        return _joined(pieces)

    def _block(self, group: Sequence[Token], depth: int) -> _Layout:
        token, inner = group[0], group[1:-1]
        match token.type:
            case "fence" | "code_block":
                return _pre(token.content, language=(token.info.split() or [""])[0])
            case "hr":
                return _Layout(_RULE)
            case "heading_open":
                return _within(_inline(inner[0].children or ()), MessageEntityType.BOLD)
            case "blockquote_open":
                return _within(self.blocks(inner, "\n\n", depth), MessageEntityType.BLOCKQUOTE)
            case "bullet_list_open" | "ordered_list_open":
                return self._list(inner, depth)
            case "table_open" if token.map:
                return _table("".join(lines(self._source)[slice(*token.map)]))
            case "paragraph_open":
                return _inline(inner[0].children or ())
            case _:
                raise AssertionError(token.type)

    def _list(self, tokens: Sequence[Token], depth: int) -> _Layout:
        is_tight = any(token.hidden for token in tokens if token.type == "paragraph_open")
        gap = "\n" if is_tight else "\n\n"
        pieces: list[_Layout] = []
        for group in _groups(tokens):
            item = group[0]
            bullet = _BULLETS[min(depth, len(_BULLETS) - 1)]
            marker = f"{item.info}{item.markup} " if item.info else f"{bullet} "
            laid_out = _indented(marker, self.blocks(group[1:-1], gap, depth + 1))
            pieces += [_Layout(gap if pieces else ""), laid_out]
        return _joined(pieces)


def _groups(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The blocks in `tokens`, each from its opening token to its closing one."""
    begin = 0
    while begin < len(tokens):
        end = begin
        if tokens[begin].nesting == 1:
            level = tokens[begin].level
            end += 1
            while tokens[end].nesting != -1 or tokens[end].level != level:
                end += 1
        yield tokens[begin : end + 1]
        begin = end + 1


def _inline(tokens: Sequence[Token]) -> _Layout:
    """Lay out what stands in a paragraph."""
    line = _Line()
    for token in tokens:
        if token.type == "code_inline":
            line.put(token.content, MessageEntityType.CODE)
        elif token.type == "image":
            line.begin()
            line.put(token.content)
            line.end_link(str(token.attrGet("src") or ""))
        elif token.type == "link_open":
            line.begin(str(token.attrGet("href") or ""))
        elif token.type == "link_close":
            line.end_link()
        elif token.type in {"softbreak", "hardbreak"}:
            line.put("\n")
        elif token.nesting == 1:
            line.begin()
        elif token.nesting == -1:
            line.end(_EMPHASIS[token.tag])
        else:
            line.put(token.content)
    return line.done()


class _Line:
    """A paragraph while it is laid out."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._at = 0
        self._spans: list[_Span] = []
        self._begun: list[tuple[int, int, str]] = []  # where in the text, where in the spans, and a link's address

    def put(self, text: str, kind: MessageEntityType | None = None) -> None:
        """Add text, all of one kind."""
        if kind and text:
            self._spans.append(_Span(kind, self._at, self._at + len(text)))
        self._pieces.append(text)
        self._at += len(text)

    def begin(self, url: str = "") -> None:
        """Begin something that `end` or `end_link` ends."""
        self._begun.append((self._at, len(self._spans), url))

    def end(self, kind: MessageEntityType, value: str = "") -> None:
        """Put a span around what came since `begin`; what is in it may be of that kind no more."""
        start, first, _ = self._begun.pop()
        banned = {kind, *_CODE} if kind == MessageEntityType.TEXT_LINK else {kind}
        self._spans[first:] = [span for span in self._spans[first:] if span.type not in banned]
        if start < self._at:
            self._spans.append(_Span(kind, start, self._at, value))

    def end_link(self, url: str = "") -> None:
        """End a link. One that Telegram would not follow, or that may ping someone, shows its address."""
        start, _, begun_url = self._begun[-1]
        url = url or begun_url
        shown = "".join(self._pieces)[start:] if start < self._at else ""
        if not shown:
            self.put(url)
        if _is_harmless(url):
            self.end(MessageEntityType.TEXT_LINK, url)
            return
        self._begun.pop()
        if shown and url and shown != url:
            self.put(f" ({url})")

    def done(self) -> _Layout:
        """All of it."""
        return _Layout("".join(self._pieces), tuple(self._spans))


def _is_harmless(url: str) -> bool:
    plain = unquote(url).strip()
    return bool(_LINK.match(plain) or _TG_LINK.match(plain))


def _pre(text: str, language: str = "") -> _Layout:
    text = text.rstrip()
    text = text[len(text) - len(text.lstrip("\n")) :]
    return _Layout(text, (_Span(MessageEntityType.PRE, 0, len(text), language),) if text else ())


def _table(source: str) -> _Layout:
    """A table in columns, or each of its rows as lines of `header: value`."""
    content = table.read(source)
    if columns := table.aligned(content):
        return _pre(columns)
    pieces: list[_Layout] = []
    for row in table.records(content):
        gap = "\n\n" if pieces else ""
        for head, cell in row:
            name = _within(_inline(head.tokens), MessageEntityType.BOLD)
            colon = ": " if head.text and cell.text else ""
            pieces += [_Layout(gap), name, _Layout(colon), _inline(cell.tokens)]
            gap = "\n"
    return _joined(pieces)


# Layouts are made of layouts.


def _joined(layouts: Sequence[_Layout]) -> _Layout:
    spans: list[_Span] = []
    at = 0
    for layout in layouts:
        spans += [replace(span, start=span.start + at, end=span.end + at) for span in layout.spans]
        at += len(layout.text)
    return _Layout("".join(layout.text for layout in layouts), tuple(spans))


def _within(layout: _Layout, kind: MessageEntityType) -> _Layout:
    """All of `layout` as one span of `kind`, and nothing in it of the same kind."""
    inner = (span for span in layout.spans if span.type != kind)
    outer = _Span(kind, 0, len(layout.text))
    return _Layout(layout.text, (*inner, outer) if layout.text else ())


def _indented(marker: str, layout: _Layout) -> _Layout:
    """A list item: its marker, and its lines below each other; code keeps the left margin to itself."""
    pre = sorted((span.start, span.end) for span in layout.spans if span.type == MessageEntityType.PRE)
    if pre and not pre[0][0]:
        marker = marker.rstrip() + "\n"
    margin = " " * len(marker)
    begins = []
    number = 0
    for match in _LINE_START.finditer(layout.text):
        at = match.end()
        while number < len(pre) and pre[number][1] <= at:
            number += 1
        if not (number < len(pre) and pre[number][0] <= at):
            begins.append(at)
    # A span that begins with a line begins after its margin, and one that ends with a line before the next one's.
    inserted = _inserted(layout, begins, margin)
    return _joined([_Layout(marker), inserted])


def _inserted(layout: _Layout, places: Sequence[int], piece: str) -> _Layout:
    """`layout` with `piece` before each of `places`, sorted; a span that begins at one begins after the piece."""
    if not places:
        return layout
    bounds = [0, *places, len(layout.text)]
    text = piece.join(layout.text[begin:end] for begin, end in pairwise(bounds))
    spans = (
        replace(
            span,
            start=span.start + len(piece) * bisect_right(places, span.start),
            end=span.end + len(piece) * bisect_left(places, span.end),
        )
        for span in layout.spans
    )
    return _Layout(text, tuple(spans))


def _split_around_code(layout: _Layout) -> _Layout:
    """Emphasis with code in it, in pieces between the code: Telegram allows neither in the other."""
    code = sorted((span.start, span.end) for span in layout.spans if span.type in _CODE)
    if not code:
        return layout
    spans: list[_Span] = []
    for span in layout.spans:
        if span.type not in _SPLITTABLE:
            spans.append(span)
            continue
        at = span.start
        for begin, end in code[bisect_left(code, (span.start, 0)) : bisect_left(code, (span.end, 0))]:
            spans.append(replace(span, start=at, end=begin))
            at = end
        spans.append(replace(span, start=at))
    return _Layout(layout.text, tuple(span for span in spans if span.start < span.end))


def _defused(layout: _Layout) -> _Layout:
    """`layout` with a word joiner after each @ that begins a name: Telegram takes it for a mention no more.

    In an address that would lead elsewhere, so the address becomes a link whose text alone has the joiner.
    """
    text = layout.text
    if "@" not in text:
        return layout
    code = sorted((span.start, span.end) for span in layout.spans if span.type in _CODE)
    names: list[int] = []
    for match in _MENTION.finditer(text):
        before = bisect_right(code, (match.start(), len(text))) - 1
        if before < 0 or code[before][1] < match.end(1):
            names.append(match.end())
    links: list[_Span] = []
    for match in _URL.finditer(text):
        begin, end = match.start(), match.start() + len(match[0].rstrip(_AFTER_URL))
        has_name = bisect_left(names, end) > bisect_right(names, begin)
        if has_name and len(links) < MAX_ENTITIES and all(_is_legal(begin, end, span) for span in layout.spans):
            links.append(_Span(MessageEntityType.TEXT_LINK, begin, end, text[begin:end]))
    return _inserted(_Layout(text, (*layout.spans, *links)), names, _WORD_JOINER)


def _is_legal(begin: int, end: int, span: _Span) -> bool:
    """Whether a link may stand beside `span`, or in it."""
    is_outside = end <= span.start or span.end <= begin
    can_contain = span.type in _SPLITTABLE or span.type == MessageEntityType.BLOCKQUOTE
    return is_outside or (can_contain and span.start <= begin and end <= span.end)
