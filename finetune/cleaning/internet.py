"""Addresses on networks: e-mail, links, IP and MAC addresses. Knows nothing of other personal data.

Nothing is looked up anywhere: no resolver, no list of public suffixes.
"""

import ipaddress
import re
from collections.abc import Iterator

from finetune.cleaning.spans import Span

_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w+%-](?:[\w.+%'-]{0,62}[\w+%-])?"
    r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
# "ann (at) example (dot) org", and the same in square brackets.
_SPELT_EMAIL = re.compile(
    r"(?i)(?<![\w.])\w[\w.+-]{0,62} ?[(\[] ?at ?[)\]] ?[\w-]{1,62}"
    r"(?: ?(?:\.|[(\[] ?(?:dot|\.) ?[)\]]) ?[\w-]{2,62}){1,4}"
)

# "ann.lee @ example.org": without a sign in the name, or a word before it, it may be somebody who meets somewhere.
_SPACED_EMAIL = re.compile(
    r"(?i)(?:(?<![\w.])(?=[\w+-]*[.\d_+-])|(?<=mail )|(?<=mail: )|(?<=mail me: ))\w[\w.+-]{0,62} {1,2}@ {1,2}"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
# What was cut in two before it was looked at: its second half alone is the name of a web site.
_CUT_EMAIL = re.compile(r"(?<![\w.+%-])[\w+%-][\w.+%'-]{0,63}@<URL>")

_END_OF_SENTENCE = ".,;:!?'\"\u2019\u201d\u2026)]}*_|>"
_LINK = re.compile(r"(?i)(?<![a-z0-9])(?:[a-z][a-z0-9+.-]{1,20}://|www\.)[^\s<>\"`|]{2,}")
# Without a scheme only under the domains that people mostly write so; `setup.py` and `run.sh` are files, not links.
_BARE_LINK = re.compile(
    r"(?i)(?<![\w@./\\:~-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,6}"
    r"(?:(?:com|org|net|edu|gov|info|biz|io|eu|uk|de|fr|nl|ch|be|se|ca|au|jp|ru|br|us)(?![\w-]|\.\w)"
    r"(?::\d{2,5})?(?:/[^\s<>\"`|]*)?"
    r"|(?:me|gg|ly|be|co|tv|app|dev|xyz|gl)/[^\s<>\"`|]+)"
)

_QUAD = re.compile(r"(?<![\w.])(?<!\w-)(\d{1,3}(?:\.\d{1,3}){3})(?![\w]|\.\d|[-~+]\w)")
_RANGE = re.compile(r"(?<![\w.])(?<!\w-)(\d{1,3}(?:\.\d{1,3}){3})(?=-\d{1,3}(?:\.\d{1,3}){3}(?![\w.]))")
_VERSION_WORD = re.compile(
    r"(?i)(?<![\w-])v\.?$"
    r"|\b(?:ver|version|release|kernel|driver|build|package|firmware|update|flash)s?\W{0,3}(?:is |to |from |of )?$"
)
_ADDRESS_WORD = re.compile(
    r"(?i)(?<![a-z<])(?:ip|ips|addr|address|host|(?:name)?server|ping|dns|gateway|router|network|subnet|interface|inet)\b"
)
_WORD_BEFORE = 30
_HIGHEST_IN_VERSIONS = 31
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{6,39}(?:\.\d{1,3}){0,3}(?![\w:])")
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?P<sign>[:-])(?:[0-9A-Fa-f]{2}(?P=sign)){4}[0-9A-Fa-f]{2}(?![\w:-])")


def find_emails(text: str) -> Iterator[Span]:
    """E-mail addresses, and those that are spelt out to hide them from machines."""
    if "@" in text:
        for pattern in (_EMAIL, _SPACED_EMAIL, _CUT_EMAIL):
            for match in pattern.finditer(text):
                yield Span("EMAIL", *match.span())
    if "(" in text or "[" in text:
        for match in _SPELT_EMAIL.finditer(text):
            yield Span("EMAIL", *match.span())


def find_links(text: str) -> Iterator[Span]:
    """Links of any scheme, whole, without the point that ends the sentence; and the names of web sites."""
    for pattern in (_LINK, _BARE_LINK):
        for match in pattern.finditer(text):
            yield Span("URL", match.start(), match.start() + len(_without_end(match[0])))


def find_ip_addresses(text: str) -> Iterator[Span]:
    """IP addresses of either version, apart from those that are the same on every machine; no version numbers."""
    for pattern in (_QUAD, _RANGE):
        for match in pattern.finditer(text):
            if _is_ipv4(match[1]) and not _is_version(text, match):
                yield Span("IP", *match.span(1))
    for match in _IPV6.finditer(text):
        address = match[0] if match[0].endswith("::") else match[0].removesuffix(":")
        if _is_ipv6(address):
            yield Span("IP", match.start(), match.start() + len(address))


def find_macs(text: str) -> Iterator[Span]:
    """Hardware addresses of network cards, apart from those that stand for none and for all."""
    for match in _MAC.finditer(text):
        if len(set(match[0].upper())) > 2:
            yield Span("MAC", *match.span())


def _without_end(link: str) -> str:
    """`link` without what belongs to the sentence; a bracket that was opened in it is its own."""
    while link[-1] in _END_OF_SENTENCE:
        if link[-1] == ")" and link.count("(") >= link.count(")"):
            break
        link = link[:-1]
    return link


def _is_ipv4(quad: str) -> bool:
    """Whether it is an address, and neither everybody's own machine nor a mask."""
    try:
        address = ipaddress.IPv4Address(quad)
    except ValueError:
        return False
    return not address.is_loopback and 0 < address.packed[0] < 255


def _is_version(text: str, match: re.Match[str]) -> bool:
    """Whether four numbers count releases: by the word before them, or as all are small and no word says otherwise."""
    before = text[max(0, match.start() - _WORD_BEFORE) : match.start()]
    if _VERSION_WORD.search(before):
        return True
    return max(map(int, match[1].split("."))) <= _HIGHEST_IN_VERSIONS and not _ADDRESS_WORD.search(before)


def _is_ipv6(address: str) -> bool:
    """Whether it is an address with three groups or more: `::1` is everybody's, `a::b` may be anything."""
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    groups = [group for group in address.split(":") if group]
    return len(groups) >= 3 and any(character.isdigit() for character in address)
