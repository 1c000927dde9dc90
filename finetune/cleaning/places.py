"""Where people live: street addresses in a few common forms, and the names of home directories on their machines.

A place without a number, or with a form of its own, is not found: that takes a model, and one that finds names.
Knows nothing of other personal data.
"""

import re
from collections.abc import Iterator

from finetune.cleaning.spans import Span

_NAME = r"[^\W\d_][\w'\u2019.-]*"

# 12 Long Acre Road, Suite 4. Films and songs are called so, too (most of 34 finds in 395,000 turns of STAR and of the
# Self-dialogue Corpus), so that a word before it must say that it is a place, or it stands in a line of its own.
_NUMBER_AND_STREET = re.compile(
    r"(?<![\w.,:/-])\d{1,5}[a-zA-Z]? (?:[A-Z0-9][\w'\u2019.-]* ){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|"
    r"Court|Boulevard|Blvd|Square|Terrace|Crescent|Parkway|Highway)\b\.?(?:,? (?:Apt|Suite|Unit)\.? ?\d+)?"
)
_PLACE_WORD = re.compile(
    r"(?i)\b(?:address|lives?|living|located|location|moved?|deliver|ship|send|mail|visit|offices?|house|home|"
    r"at|from|to|is)\W{1,3}(?:\w+\W{1,3}){0,2}$|(?:^|\n)\s*$"
)
_WORD_BEFORE = 40
_STREETS = (
    # Lindenstra\u00dfe 12, Storgatan 3
    re.compile(
        r"(?<!\w)[A-Z\u00c0-\u00de][\w-]{2,30}(?:stra(?:\u00df|ss)e|str\.|gasse|allee|gatan|v\u00e4gen|veien|vej|gata|katu|"
        r"straat|laan) \d{1,4}[a-zA-Z]?(?!\w)"
    ),
    # 56 rue du Moulin, ul. Polna 7
    re.compile(rf"(?<!\w)\d{{1,4}},? rue (?:d(?:e|u|es) |de la )?{_NAME}(?: {_NAME})?"),
    re.compile(rf"(?<!\w)(?:ul\.|[Rr]ua|Calle|Avda\.) (?:{_NAME} ){{1,4}}\d{{1,4}}(?!\w)"),
    re.compile(r"(?i)(?<!\w)p\.? ?o\.? box \d{1,6}(?!\w)"),
    # Of the post for soldiers, United States
    re.compile(r"(?i)(?<!\w)(?:PSC|Unit) \d{1,5},? Box \d{1,5}(?:\s+[AFD]PO A[AEP] \d{5})?(?!\w)"),
)

_HOME = re.compile(
    r"(?:[/\\\u00a5](?:home|Users)|[A-Za-z]:\\Documents and Settings)[/\\\u00a5]{1,2}([^\W_][\w.-]{0,31}\w)(?![\w$])"
)
# Who stands in a path for everybody and nobody.
_NOBODY = frozenset(
    {"admin", "administrator", "bar", "default", "example", "foo", "guest", "me", "myname", "name", "nobody", "public"}
    | {"root", "shared", "somebody", "someone", "test", "ubuntu", "user", "user_name", "username", "users", "you"}
    | {"your-name", "yourname", "yourself", "yourusername"}
)


def find_streets(text: str) -> Iterator[Span]:
    """Street addresses and boxes at the post office."""
    for match in _NUMBER_AND_STREET.finditer(text):
        if _PLACE_WORD.search(text[max(0, match.start() - _WORD_BEFORE) : match.start()]):
            yield Span("ADDRESS", *match.span())
    for pattern in _STREETS:
        for match in pattern.finditer(text):
            yield Span("ADDRESS", *match.span())


def find_homes(text: str) -> Iterator[Span]:
    """The name of the person in the path of a home directory; the path itself stays."""
    for match in _HOME.finditer(text):
        if match[1].lower() not in _NOBODY:
            yield Span("USER", *match.span(1))
