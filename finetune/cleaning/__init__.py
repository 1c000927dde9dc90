"""Single messages, cleaned: plain form, no secrets, no personal data. Of conversations only `turns` knows."""

from finetune.cleaning.normalise import normalised
from finetune.cleaning.personal import PersonalData
from finetune.cleaning.secrets import Finding, SecretScanner
from finetune.cleaning.spans import Span

__all__ = ["Finding", "PersonalData", "SecretScanner", "Span", "normalised"]
