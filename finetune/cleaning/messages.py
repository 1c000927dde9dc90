"""Cleans one message at a time, in whatever process: what needs long to make is made once in each.

Knows nothing of what is looked for.
"""

from functools import cache

from finetune.cleaning.personal import PersonalData
from finetune.cleaning.secrets import SecretScanner
from finetune.fate import Fate, dropped
from finetune.message import SourceMessage

Cleaned = tuple[SourceMessage | None, tuple[Fate, ...]]


def without_secrets(message: SourceMessage) -> Cleaned:
    """A message, unless it holds a secret: what is left of one after cutting too little out is a secret still."""
    findings = _scanner().find(message.text)
    if not findings:
        return message, ()
    rules = ", ".join(sorted({finding.rule for finding in findings}))
    return None, (dropped(message.id, "secret", rules),)


def redacted(message: SourceMessage) -> Cleaned:
    """A message with placeholders for personal data."""
    return _personal_data().redact(message)


@cache
def _scanner() -> SecretScanner:
    return SecretScanner()


@cache
def _personal_data() -> PersonalData:
    return PersonalData()
