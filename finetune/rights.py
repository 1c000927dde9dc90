"""Under which right an operator may train on an imported text; without one nothing is imported.

The rights are the operator's to state, and recorded with the import; what the platforms demand beyond them is
checked here. Knows nothing of files.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from finetune.errors import RightError


class RightKind(StrEnum):
    """What a right rests on."""

    OWN = "own"
    CONSENT = "consent"
    PLATFORM_PERMISSION = "platform-permission"
    LICENCE = "licence"


FORMS = "own, consent:REFERENCE, platform-permission:REFERENCE or licence:SPDX-ID"
_REFERENCE = re.compile(r"\S(.{0,198}\S)?")


@dataclass(frozen=True)
class Right:
    """A right to train on a text.

    Attributes:
        reference: Where it can be looked up: a file of consent forms, the number of a letter, a licence's SPDX id.
            Empty for what is one's own.
    """

    kind: RightKind
    reference: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one of the `FORMS`.

        Raises:
            RightError: It is none; says what is wrong with it.
        """
        word, _, reference = text.partition(":")
        try:
            kind = RightKind(word)
        except ValueError:
            raise RightError(f"{text!r} is no right to train on a text; give one of {FORMS}") from None
        if kind is RightKind.OWN:
            if reference:
                raise RightError("what is your own needs no reference; give --right own")
            return cls(kind)
        if not _REFERENCE.fullmatch(reference):
            raise RightError(f"{word} needs a reference, by which others can look it up; give {word}:REFERENCE")
        return cls(kind, _licence(reference) if kind is RightKind.LICENCE else reference)

    def __str__(self) -> str:
        return f"{self.kind}:{self.reference}" if self.reference else str(self.kind)


def _licence(expression: str) -> str:
    try:
        return str(canonicalize_license_expression(expression))
    except InvalidLicenseExpression as error:
        raise RightError(
            f"{expression!r} is no SPDX licence ({error}); see spdx.org/licenses for the ids, for instance CC-BY-4.0"
        ) from error


class PlatformPolicy(Protocol):
    """What the operator has confirmed for whole platforms; `bots.chatlog.PolicySettings` has it."""

    @property
    def discord_permission(self) -> str:
        """A reference to Discord's written permission; empty if there is none."""
        ...

    @property
    def telegram_confirmed(self) -> bool:
        """Whether Telegram's terms are being kept to."""
        ...


def check_import(platform: str, right: Right) -> None:
    """See whether a right is one that does for a platform.

    Raises:
        RightError: It is not. Discord's Developer Policy, rule 21, leaves the decision to Discord, whoever agrees.
    """
    if _is(platform, "discord") and right.kind is not RightKind.PLATFORM_PERMISSION:
        raise RightError(
            "a Discord export is Discord message content, which only Discord may permit to train on, whoever else "
            "agrees; give --right platform-permission:REFERENCE with the reference of its written permission"
        )


def refusal(platform: str, right: Right, policy: PlatformPolicy) -> str | None:
    """Why an import may not be trained on today, and what to set; None if it may.

    Asked anew for each dataset: what an operator takes back in the settings holds for imports, too.
    """
    if _is(platform, "discord") and not policy.discord_permission:
        return "Discord's permission is not set; with it in hand, set POLICY_DISCORD_PERMISSION to its reference"
    if _is(platform, "telegram") and right.kind is RightKind.CONSENT and not policy.telegram_confirmed:
        return "Telegram's terms are not confirmed; when you keep to them, set POLICY_TELEGRAM_CONFIRMED=true"
    return None


def _is(platform: str, name: str) -> bool:
    """Operators name the platform of data sets themselves: no way of writing it is one around the rules."""
    return platform.strip().casefold() == name
