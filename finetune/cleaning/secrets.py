"""Credentials in a text: a message that holds one is to be dropped, whole.

It is not enough to replace what was found: of some tokens a rule knows the beginning only, and what is said around a
password helps to guess the next. Knows nothing of personal data. Nothing is tried out, and nobody is asked over a
network.

Three kinds of rules: the forms of tokens, ours and those of detect-secrets (not its rules that judge by entropy or by a
word alone, which fire on prose); links with a name and a password; and people who say what a password or a PIN is. An
AWS key id alone is no secret: it says who, and the key that belongs to it is found.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from finetune.cleaning.joins import Join, Part
from finetune.cleaning.secretforms import LOGIN_IN_DATABASE_LINK, LOGIN_IN_LINK, TOKENS
from finetune.cleaning.shadow import shadow_of

VERSION = 2

_LIBRARY: tuple[tuple[str, RegexBasedDetector], ...] = (
    ("azure storage", AzureStorageKeyDetector()),
    ("cloudant", CloudantDetector()),
    ("ibm cloud", IbmCloudIamDetector()),
    ("ibm storage", IbmCosHmacDetector()),
    ("jwt", JwtTokenDetector()),
    ("mailchimp", MailchimpDetector()),
    ("npm", NpmDetector()),
    ("softlayer", SoftlayerDetector()),
    ("twilio", TwilioKeyDetector()),
)

# No token is shorter, and few chat lines have so long a word: all that looks for tokens is skipped without one.
_LONG_WORD = 20

_WORDS_FOR_SECRETS = (
    "pass",
    "pw",
    "pin",
    "key",
    "token",
    "secret",
    "account",
    "login",
    "user",
    "kennwort",
    "senha",
    "contrase",
    "\u043f\u0430\u0440\u043e\u043b\u044c",
)
_ACCOUNT = re.compile(
    r"(?i)aws\w{0,3}account\w{0,3}id[\"']?\s{0,3}(?::=|=>|[:=])\s{0,3}[\"']?(?:\d{12}|\d{4}-\d{4}-\d{4})(?!\w)"
)
_WORD = (
    r"(?:pass(?:word|wd|phrase|code|wort)?|pwd?|pin(?: (?:code|number))?|kennwort|mot de passe|contrase\u00f1a|senha|"
    r"\u043f\u0430\u0440\u043e\u043b\u044c)"
)
_VALUE = r"(?P<value>\"[^\"\s]+\"|'[^'\s]+'|`[^`\s]+`|\S+)"
_ASSIGNED = re.compile(
    rf"(?i)(?<![a-z])(?:[\w.-]{{0,30}}[_.-])?"
    rf"(?:{_WORD}|\w{{0,20}}passw(?:or)?d|\w{{0,20}}clientsecret|(?:client|app)?[_ -]?secret|"
    rf"(?:api|auth|app)[_ -]?key|(?:\w{{1,20}}[_ -])?token)"
    rf"[\"']?\s{{0,3}}(?::=|=>|[:=])\s{{0,3}}{_VALUE}"
)
_SAID = re.compile(
    rf"(?i)(?<![a-z])(?:{_WORD}|(?:api|secret) key|(?:api |bot |access )?token)\s+"
    rf"(?:is|was|ist|war|lautet|est|es|\u00e9)\s*:?\s+{_VALUE}"
)
# People say a PIN in any words: "with PIN 9999", "my pin. It's either 9999 or 8888".
_PIN = re.compile(r"(?i)(?<![a-z-])pin(?![a-z])\D{0,20}?(?<![\d.:/-])(?P<value>\d{4,6})(?![\d:/-]|\.\d)")
# Without a sign or a verb between them, only what looks like nothing but a password: 8 characters or more with a digit
# and either both cases or a sign. With points or strokes it may be a path, a version or the name of a machine.
_ODD_WORD = (
    r"(?P<value>(?=\S*\d)(?=\S*[a-z])(?=\S*(?:[A-Z]|[!@#$%^&*+=~]\S))[^\s./:;,<>()\[\]{}\"'`|]{8,40})"
    r"(?![^\s.,;!?)])"
)
_BESIDE = re.compile(rf"(?i:(?<![a-z])(?:pw|pwd|password|passwor[dt]|passphrase|kennwort)) {_ODD_WORD}")
_LOGIN = re.compile(
    r"(?i:(?<![a-z])(?:login|log-in|user(?:name)?|benutzer(?:name)?|zugang))[ :=]{1,3}[\w.@+-]{2,40} ?[/|:,] ?"
    rf"{_ODD_WORD}"
)
_ODD = re.compile(r"\d|[^\W_][@#!%^&+=~]")
_QUOTED = re.compile(r"([\"'`])(.{4,})\1")
# What a template, a shell or a person writes who does not say the password.
_STAND_IN = re.compile(
    r"(?i)[<>${}\[\]()|*]|\.\.\.|://|^[/~.\\]|^(.)\1*$|example|your|change_?me|placeholder|redacted|encrypted"
)
_STAND_IN_FOR_A_PASSWORD = re.compile(
    r"(?i)(?:my|your|db|the)?[_-]?(?:pass(?:word|wd)?|pwd?|secret|changeme|example|replace\w*|xxx+|test)[_-]?(?:here)?"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`text[start:end]` is a credential, or a part of one, by this rule."""

    rule: str
    start: int
    end: int


class SecretScanner:
    """Finds credentials."""

    def find(self, text: str) -> tuple[Finding, ...]:
        """All credentials in `text`; those of two rules may overlap."""
        found = list(_found(text))
        if shadow := shadow_of(text):
            read = (Finding(each.rule, *shadow.original(each.start, each.end)) for each in _found(shadow.text))
            found += [each for each in read if each not in found]
        return tuple(found)

    def find_across(self, texts: Sequence[str], betweens: Sequence[str]) -> tuple[tuple[str, tuple[Part, ...]], ...]:
        """Rule and parts of credentials in two texts or more, with any of `betweens` between them."""
        found = []
        for join in (Join(texts, between) for between in betweens):
            if _may_be_cut(join):
                whole = ((each.rule, join.parts(each.start, each.end)) for each in self.find(join.text))
                found += [(rule, parts) for rule, parts in whole if len(parts) > 1]
        return tuple(found)


def _may_be_cut(join: Join) -> bool:
    """Whether somebody says a secret, or a token may stand in two texts: no token has a space in it."""
    lower = join.text.lower()
    if not lower.isascii() or any(word in lower for word in _WORDS_FOR_SECRETS):
        return True
    return not join.between and any(len(word) >= _LONG_WORD for word in join.new_words())


def _found(text: str) -> Iterator[Finding]:
    if any(len(word) >= _LONG_WORD for word in text.split()):
        yield from _tokens(text)
    if "@" in text and "://" in text:
        yield from _logins(text)
    lower = text.lower()
    if any(word in lower for word in _WORDS_FOR_SECRETS):
        yield from _statements(text)


def _tokens(text: str) -> Iterator[Finding]:
    for rule, pattern in TOKENS.items():
        for match in pattern.finditer(text):
            yield Finding(rule, *match.span())
    for rule, detector in _LIBRARY:
        for secret in detector.analyze_string(text):
            start = text.find(secret)
            yield Finding(rule, start, start + len(secret))


def _logins(text: str) -> Iterator[Finding]:
    for match in LOGIN_IN_LINK.finditer(text):
        yield Finding("login in link", *match.span())
    for match in LOGIN_IN_DATABASE_LINK.finditer(text):
        if match["password"] != match["name"] and not _STAND_IN_FOR_A_PASSWORD.fullmatch(match["password"]):
            yield Finding("login in database link", *match.span())


def _statements(text: str) -> Iterator[Finding]:
    for match in _ACCOUNT.finditer(text):
        yield Finding("aws account", *match.span())
    for pattern in (_ASSIGNED, _SAID):
        for match in pattern.finditer(text):
            if _is_credible(match["value"]):
                yield Finding("password said", *match.span())
    for match in _PIN.finditer(text):
        yield Finding("pin said", *match.span())
    for pattern in (_BESIDE, _LOGIN):
        for match in pattern.finditer(text):
            if not _STAND_IN.search(match["value"]):
                yield Finding("password said", *match.span())


def _is_credible(value: str) -> bool:
    """Whether a word may be a password and no part of the sentence: in quotes, with a digit, or with a sign in it."""
    value = value.rstrip(".,;:!?)")
    quoted = _QUOTED.fullmatch(value)
    word = quoted[2] if quoted else value.strip("\"'`")
    if _STAND_IN.search(word):
        return False
    if word.isdigit():
        return len(word) >= 4
    return quoted is not None or (len(word) >= 6 and _ODD.search(word) is not None)
