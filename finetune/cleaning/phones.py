"""Telephone numbers: by their form where it is one of telephone numbers alone, else by a word beside them.

Knows nothing of other personal data. The matcher of `phonenumbers` is not used: it has to be told the country, and for
ten countries it takes 1 ms a message; its rules for international numbers are.
"""

import re
from collections.abc import Iterator

import phonenumbers

from finetune.cleaning.spans import Span

_CANDIDATE = re.compile(
    r"(?<![\w.:/#$=@&+-])(?:\+ ?)?\(?\d(?:(?: ?\(|\)[ .\-/]?|[._\-/] ?| (?:[\-/] ?)?)?\d){5,16}"
    r"(?: ?(?:x|ext\.? ?)\d{1,5})?(?![\w%]|[.:/]\d)"
)
_DATE = re.compile(r"(?:(?:19|20)\d\d[-/. ]\d\d?[-/. ]\d\d?|\d\d?[-/.]\d\d?[-/.](?:19|20)?\d\d)(?![-/.\d])")
_EXTENSION = re.compile(r" ?(?:x|ext\.? ?)\d{1,5}$")

# North American Numbering Plan; groups by other signs than a space, which may be any three numbers.
_NORTH_AMERICAN = re.compile(r"(?:\+?1[-. ]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])\d{3}[-.]\d{4}")
# A number with the 0 of a trunk call and two groups or more (ITU-T E.123), or in one piece as it is typed.
_TRUNK = re.compile(r"\(?0[1-9]\d{0,4}\)?(?:[ ._\-/]\d{2,8}){1,5}|0[1-9]\d{8,9}")
_INTERNATIONAL = re.compile(r"\+|00(?:[1-9]| [1-9]\d)")
_PHONE_WORD = re.compile(
    r"(?i)(?<![<\w])(?:(?:tele)?phone|tel|mobile|cell|fax|call|ring|text|sms|whatsapp|reach|dial|"
    r"answer(?:s|ing)?|messages?|handy|handynummer|telefon|tel\u00e9fono|t\u00e9l\u00e9phone|telefone|m\u00f3vil|"
    r"anrufen|rufnummer|"
    r"\u0442\u0435\u043b\u0435\u0444\u043e\u043d)s?(?![>\w])|\b(?:my|his|her|our) number\b|\b(?:office|home|work|desk):"
)
_WORD_AFTER_NUMBER = re.compile(r"(?i)[\s(-]{0,3}(?:office|fax|mobile|cell|home|work|desk)\b")
_WORD_BEFORE = 30


def find_phones(text: str) -> Iterator[Span]:
    """Telephone numbers of people and firms, with their extensions."""
    for match in _CANDIDATE.finditer(text):
        if _is_phone(text, match):
            yield Span("PHONE", *match.span())


def _is_phone(text: str, match: re.Match[str]) -> bool:
    number = _EXTENSION.sub("", match[0])
    digits = sum(character.isdigit() for character in number)
    if _DATE.match(number):
        return False
    if _INTERNATIONAL.match(number):
        return _is_international(number)
    if _NORTH_AMERICAN.fullmatch(number) or (9 <= digits <= 11 and _TRUNK.fullmatch(number)):
        return True
    return 7 <= digits <= 12 and _has_word_beside(text, match)


def _is_international(number: str) -> bool:
    """Whether the country exists and numbers there have so many digits."""
    number = "+" + number.lstrip("+0 (").replace("_", " ")
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def _has_word_beside(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _WORD_BEFORE) : match.start()]
    return _PHONE_WORD.search(before) is not None or _WORD_AFTER_NUMBER.match(text, match.end()) is not None
