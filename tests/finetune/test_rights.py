"""Rights to train on a text: as operators write them, and what platforms demand beyond."""

import pytest

from bots.policy import CLOSED, Policy
from finetune.errors import RightError
from finetune.rights import Right, RightKind, check_import, refusal

PERMITTED = Policy(discord_permission="case 7")
CONFIRMED = Policy(telegram_confirmed=True)


@pytest.mark.parametrize(
    ("text", "kind", "reference"),
    [
        ("own", RightKind.OWN, ""),
        ("consent:forms/2024.pdf", RightKind.CONSENT, "forms/2024.pdf"),
        ("consent:letters: folder 3", RightKind.CONSENT, "letters: folder 3"),
        ("platform-permission:case 7", RightKind.PLATFORM_PERMISSION, "case 7"),
        ("licence:cc-by-4.0", RightKind.LICENCE, "CC-BY-4.0"),
        ("licence:mit or apache-2.0", RightKind.LICENCE, "MIT OR Apache-2.0"),
    ],
)
def test_a_right_is_read_and_written_alike(text: str, kind: RightKind, reference: str) -> None:
    right = Right.parse(text)
    assert right == Right(kind, reference)
    assert Right.parse(str(right)) == right


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "give one of own, consent:REFERENCE"),
        ("consnt:forms", "give one of own"),
        ("Own", "give one of own"),
        ("license:MIT", "give one of own"),
        ("own:mine", "give --right own"),
        ("consent", "consent needs a reference"),
        ("consent:", "consent needs a reference"),
        ("consent: ", "consent needs a reference"),
        ("platform-permission:", "needs a reference"),
        ("consent:a\nb", "needs a reference"),
        (f"consent:{'x' * 201}", "needs a reference"),
        ("licence:CC-BY-5.0", "is no SPDX licence"),
        ("licence:do what you like", "is no SPDX licence"),
    ],
)
def test_what_is_no_right_is_refused_with_what_to_give_instead(text: str, said: str) -> None:
    with pytest.raises(RightError, match=said):
        Right.parse(text)


@pytest.mark.parametrize("text", ["own", "consent:forms", "licence:MIT"])
@pytest.mark.parametrize("platform", ["discord", "Discord", " DISCORD "])
def test_only_discord_s_own_permission_does_for_discord(platform: str, text: str) -> None:
    with pytest.raises(RightError, match="platform-permission:REFERENCE"):
        check_import(platform, Right.parse(text))
    check_import(platform, Right.parse("platform-permission:case 7"))
    check_import("telegram", Right.parse(text))


def test_an_import_from_discord_may_be_trained_on_only_while_its_permission_is_set() -> None:
    right = Right.parse("platform-permission:case 7")
    for platform in ("discord", "Discord"):
        assert "POLICY_DISCORD_PERMISSION" in str(refusal(platform, right, CLOSED))
        assert refusal(platform, right, PERMITTED) is None


def test_consent_of_people_on_telegram_does_only_while_its_terms_are_confirmed() -> None:
    for platform in ("telegram", "Telegram"):
        assert "POLICY_TELEGRAM_CONFIRMED" in str(refusal(platform, Right.parse("consent:forms"), CLOSED))
        assert refusal(platform, Right.parse("consent:forms"), CONFIRMED) is None
        assert refusal(platform, Right.parse("own"), CLOSED) is None


def test_what_comes_from_no_platform_needs_nothing_but_its_right() -> None:
    for text in ("own", "consent:forms", "licence:MIT"):
        check_import("dataset", Right.parse(text))
        assert refusal("dataset", Right.parse(text), CLOSED) is None
