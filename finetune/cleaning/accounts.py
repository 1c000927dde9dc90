"""Numbers that stand for a person or a person's money: cards, bank accounts, social security, crypto addresses.

Where a number has check digits they must be right, and what is still ambiguous needs a word beside it that says what it
is. Knows nothing of other personal data.
"""

import re
from collections.abc import Iterator
from itertools import chain

from finetune.cleaning.checksums import IBAN_LENGTHS, has_base58_check, has_bech32_check, has_iban_check, has_luhn
from finetune.cleaning.spans import Span

_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w-]|\.\d)")
# With other signs only in the groups that are printed on cards: with points, most rows of digits are fractions.
_GROUPED_CARD = re.compile(
    r"(?<![\w.-])\d{4}(?P<sign>[._/])(?:\d{4}(?P=sign)\d{4}(?P=sign)\d{4}|\d{6}(?P=sign)\d{5})(?![\w-]|[._/]\d)"
)
# Issuers whose numbers have one length (ISO/IEC 7812; the ranges are those that the issuers publish).
_ISSUER = re.compile(
    r"4\d{15}"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|6(?:011|22\d|4[4-9]\d|5\d\d)\d{12}"  # Discover
    r"|35\d{14}|(?:2131|1800)\d{11}"  # JCB
)
# Of other numbers, such as those of Maestro with 12 to 19 digits, a word must say that they are cards: one row of
# digits in ten has the right check digit.
_CARD_WORD = re.compile(r"(?i)\b(?:card|cc|visa|maestro|mastercard|credit|debit|karte|kreditkarte|carte|tarjeta)\b")
_WORD_BEFORE, _WORD_AFTER = 40, 20

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9]{4})")
_IBAN_CHARACTER = re.compile(r"[ -]?([A-Za-z0-9])")

_SSN = re.compile(r"(?<![\w-])(?!000|666)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_BARE_SSN = re.compile(r"(?i)\b(?:ssn|social security)\D{0,20}(\d{3} ?\d{2} ?\d{4})(?!\w)")

# No check digits that all of these share, so that a word must say what the number is.
_NAMED_NUMBER = re.compile(
    r"(?i)\b(?:account|acct|routing|passport|(?:driver'?s'? |driving )?licen[cs]e|konto|kontonummer|ausweis)"
    r"(?: ?(?:number|no\.?|nr\.?|nummer|id|#))?(?: is| ist|:|=| ?#)?:? {0,2}"
    r"((?=[A-Z-]{0,3}\d)[A-Z0-9]{1,4}[\d -]{4,18}\d)(?!\w)"
)

_BITCOIN = re.compile(r"(?<!\w)(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})(?!\w)")
_ETHEREUM = re.compile(r"(?<!\w)0x[0-9A-Fa-f]{40}(?!\w)")


def find_cards(text: str) -> Iterator[Span]:
    """Numbers of payment cards, with or without groups."""
    for match in chain(_CARD.finditer(text), _GROUPED_CARD.finditer(text)):
        digits = re.sub("[ ._/-]", "", match[0])
        if has_luhn(digits) and (_ISSUER.fullmatch(digits) or _is_called_card(text, match)):
            yield Span("CARD", *match.span())


def find_ibans(text: str) -> Iterator[Span]:
    """Numbers of bank accounts, with or without groups, in capitals or not."""
    for match in _IBAN.finditer(text):
        end, iban = match.end(), match[0]
        while len(iban) < IBAN_LENGTHS.get(iban[:2].upper(), 0):
            character = _IBAN_CHARACTER.match(text, end)
            if character is None:
                break
            end, iban = character.end(), iban + character[1]
        if has_iban_check(iban) and not text[end : end + 1].isalnum():
            yield Span("IBAN", match.start(), end)


def find_ssns(text: str) -> Iterator[Span]:
    """Social security and taxpayer numbers of the United States; without hyphens only where a word says so."""
    for match in _SSN.finditer(text):
        yield Span("SSN", *match.span())
    for match in _BARE_SSN.finditer(text):
        yield Span("SSN", *match.span(1))


def find_ids(text: str) -> Iterator[Span]:
    """Numbers of accounts, passports and licences, where a word before them says so."""
    for match in _NAMED_NUMBER.finditer(text):
        yield Span("ID", *match.span(1))


def find_crypto(text: str) -> Iterator[Span]:
    """Addresses of Bitcoin and of Ethereum and its kin."""
    for match in _BITCOIN.finditer(text):
        has_check = has_bech32_check if match[0].startswith("bc1") else has_base58_check
        if has_check(match[0]):
            yield Span("CRYPTO", *match.span())
    for match in _ETHEREUM.finditer(text):
        yield Span("CRYPTO", *match.span())


def _is_called_card(text: str, match: re.Match[str]) -> bool:
    before, after = text[max(0, match.start() - _WORD_BEFORE) : match.start()], text[match.end() :][:_WORD_AFTER]
    return _CARD_WORD.search(before) is not None or _CARD_WORD.search(after) is not None
