"""Personal data in a message becomes a placeholder of its type: `<EMAIL>`, `<PHONE>`, `<CARD>`.

Names of people are not found here: who is called by name in a message is a piece of its own, and becomes a tag. Knows
nothing of secrets or conversations, and asks nobody over a network.

presidio-analyzer, the usual library, is measured beside this in `benchmarks/redaction.py`, and not used. In 1,500
sentences of its own makers, its patterns find 59 % of the telephone numbers and 77 % of the cards, and 57 % of what
they take for a link is none. Importing it takes 5 s in each process; for e-mail, it fetches a list from the network.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.speakers import Piece
from finetune.cleaning.accounts import find_cards, find_crypto, find_ibans, find_ids, find_ssns
from finetune.cleaning.internet import find_emails, find_ip_addresses, find_links, find_macs
from finetune.cleaning.joins import Join, Part
from finetune.cleaning.phones import find_phones
from finetune.cleaning.places import find_homes, find_streets
from finetune.cleaning.shadow import shadow_of
from finetune.cleaning.spans import Span, without_overlaps
from finetune.fate import Fate, changed
from finetune.message import SourceMessage

VERSION = 2

# The first counts where two finds are as long.
TYPES = ("IBAN", "CARD", "SSN", "ID", "CRYPTO", "MAC", "IP", "EMAIL", "URL", "PHONE", "ADDRESS", "USER")

# How the texts on both sides of somebody's name may belong together.
_AROUND_A_NAME = (" ", "")
# These end where a space does: with nothing between two texts, any word that follows would be a part of them.
_ENDED_BY_SPACE = frozenset({"URL", "USER"})

# What a word has that is cut in two by the end of a message.
_CUT = re.compile(r"[\d@]")

Finder = Callable[[str], Iterator[Span]]

# Each with a cheap sign without which its finds are impossible: most lines of a chat have neither.
_BY_DIGITS: tuple[Finder, ...] = (
    find_cards,
    find_ibans,
    find_ssns,
    find_crypto,
    find_macs,
    find_ip_addresses,
    find_ids,
    find_phones,
    find_streets,
)
_BY_SIGNS: tuple[Finder, ...] = (find_emails, find_links, find_homes)
_HAS_DIGITS = re.compile(r"\d")
_HAS_SIGN = re.compile(r"[@/\\\u00a5]|[.)\]]\s?\w|[(\[] ?at", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Across:
    """Personal data that shows only when several texts are read together."""

    type: str
    parts: tuple[Part, ...]

    @property
    def length(self) -> int:
        """How many characters it has."""
        return sum(part.end - part.start for part in self.parts)

    def overlaps(self, other: "Across") -> bool:
        """Whether they have a character in common."""
        return any(
            mine.number == theirs.number and mine.start < theirs.end and theirs.start < mine.end
            for mine in self.parts
            for theirs in other.parts
        )


class PersonalData:
    """Finds personal data and puts placeholders in its place."""

    def find(self, text: str) -> tuple[Span, ...]:
        """Where personal data stands, in the order of the text; no two spans overlap."""
        spans = [span for find in _finders(text) for span in find(text)]
        if shadow := shadow_of(text):
            read = (span for find in _finders(shadow.text) for span in find(shadow.text))
            spans += [Span(span.type, *shadow.original(span.start, span.end)) for span in read]
        return without_overlaps(spans, TYPES) if spans else ()

    def find_across(self, texts: Sequence[str], betweens: Sequence[str]) -> tuple[Across, ...]:
        """What is found in several texts together, none of which has any alone, with any of `betweens` between them.

        With nothing in between, only what stands in two of them or more. No two finds overlap; the longest counts.
        """
        found: list[Across] = []
        for between in betweens:
            join = Join(texts, between)
            if not between and not any(map(_CUT.search, join.new_words())):
                continue
            whole = (Across(span.type, join.parts(span.start, span.end)) for span in self.find(join.text))
            found += [each for each in whole if between or _is_cut(each)]
        kept: list[Across] = []
        for each in sorted(found, key=lambda each: -each.length):
            if not any(each.overlaps(other) for other in kept):
                kept.append(each)
        return tuple(kept)

    def redact(self, message: SourceMessage) -> tuple[SourceMessage, tuple[Fate, ...]]:
        """`message` with placeholders, and how many there are of which type; doing it again changes nothing.

        Who is called in the middle of a number or an address is called no more.
        """
        counts: Counter[str] = Counter()
        clean = self._redacted_pieces(message, counts)
        while found := self._around_names(clean.pieces):
            counts[found.type] += 1
            clean = self._redacted_pieces(clean.with_pieces(_without(clean.pieces, found)), counts)
        return (clean, (changed(message.id, "personal data", told(counts)),)) if counts else (message, ())

    def _redacted_pieces(self, message: SourceMessage, counts: Counter[str]) -> SourceMessage:
        whole = message.with_pieces(message.pieces)
        return whole.with_pieces(
            self._redacted(piece, counts) if isinstance(piece, str) else piece for piece in whole.pieces
        )

    def _around_names(self, pieces: Sequence[Piece]) -> Across | None:
        texts = [piece if isinstance(piece, str) else "" for piece in pieces]
        if sum(map(bool, texts)) < 2:
            return None
        return next(iter(self.find_across(texts, _AROUND_A_NAME)), None)

    def _redacted(self, text: str, counts: Counter[str]) -> str:
        # A placeholder can leave behind something that is only now a number or an address by itself, so this goes on
        # until nothing is found. It ends: no finder takes a placeholder, so that each round leaves less to be found.
        while spans := self.find(text):
            counts.update(span.type for span in spans)
            text = _with_placeholders(text, spans)
        return text


def _finders(text: str) -> tuple[Finder, ...]:
    finders: tuple[Finder, ...] = _BY_DIGITS if _HAS_DIGITS.search(text) else ()
    return finders + _BY_SIGNS if _HAS_SIGN.search(text) else finders


def told(counts: Counter[str]) -> str:
    """How many there are of which type, in words."""
    return ", ".join(f"{counts[type]} {type}" for type in TYPES if counts[type])


def _is_cut(found: Across) -> bool:
    return len(found.parts) > 1 and found.type not in _ENDED_BY_SPACE


def _without(pieces: Sequence[Piece], found: Across) -> list[Piece]:
    """The pieces with one placeholder from where it begins to where it ends."""
    first, last = found.parts[0], found.parts[-1]
    before, after = pieces[first.number], pieces[last.number]
    assert isinstance(before, str)
    assert isinstance(after, str)
    text = f"{before[: first.start]}<{found.type}>{after[last.end :]}"
    return [*pieces[: first.number], text, *pieces[last.number + 1 :]]


def _with_placeholders(text: str, spans: tuple[Span, ...]) -> str:
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], f"<{span.type}>"]
        end = span.end
    return "".join([*parts, text[end:]])
