"""The policy gate, cell by cell: what is expected stands in tables of its own, and each rule is needed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from bots import policy
from bots.message import Addressed
from bots.policy import (
    CLOSED,
    GROUNDS,
    RULES,
    WORDINGS,
    Consent,
    Policy,
    Purpose,
    Rule,
    Wording,
    Words,
    is_of_others,
    judge,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CURRENT = Consent("training-2", NOW - HOUR)

# Each table tells, for one thing that differs from message to message, what that is refused for: "" for nothing.

PLATFORMS: dict[str, tuple[str, Policy, str, str]] = {  # platform, policy, refused for, allowed by
    "console": ("console", CLOSED, "", "console-consent"),
    "discord": ("discord", CLOSED, "discord-not-permitted", ""),
    "discord, with a permission": ("discord", Policy(discord_permission="case 123"), "", "discord-permission"),
    "discord, with a blank": ("discord", Policy(discord_permission=" "), "discord-not-permitted", ""),
    "discord, confirmed as another": (
        "discord",
        Policy(telegram_confirmed=True, other_platforms=frozenset({"discord"})),
        "discord-not-permitted",
        "",
    ),
    "telegram": ("telegram", CLOSED, "telegram-not-confirmed", ""),
    "telegram, confirmed": ("telegram", Policy(telegram_confirmed=True), "", "telegram-consent"),
    "telegram, confirmed as others": (
        "telegram",
        Policy(discord_permission="case 123", other_platforms=frozenset({"telegram"})),
        "telegram-not-confirmed",
        "",
    ),
    "irc": ("irc", Policy(discord_permission="case 123", telegram_confirmed=True), "unknown-platform", ""),
    "irc, listed": ("irc", Policy(other_platforms=frozenset({"irc"})), "", "platform-consent"),
}
CONSENTS: dict[str, tuple[Consent | None, str]] = {
    "none": (None, "no-consent"),
    "current": (CURRENT, ""),
    "current, at the same moment": (Consent("training-2", NOW), ""),
    "to another text": (Consent("training-0", NOW - HOUR), "outdated-consent"),
    "after the message": (Consent("training-2", NOW + timedelta(microseconds=1)), "said-before-consent"),
}
ADDRESSED: dict[str, tuple[frozenset[Addressed], bool, str]] = {  # why, whether only quoted, refused for
    "in private": (frozenset({Addressed.DIRECT}), False, ""),
    "by mention": (frozenset({Addressed.MENTION}), False, ""),
    "by reply": (frozenset({Addressed.REPLY}), False, ""),
    "by command": (frozenset({Addressed.COMMAND}), False, ""),
    "by keyword": (frozenset({Addressed.KEYWORD}), False, "not-said-to-the-bot"),
    "as every message": (frozenset({Addressed.EVERY}), False, "not-said-to-the-bot"),
    "in its thread": (frozenset({Addressed.THREAD}), False, "not-said-to-the-bot"),
    "in its thread, by name": (frozenset({Addressed.THREAD, Addressed.MENTION}), False, ""),
    "not": (frozenset(), False, "not-said-to-the-bot"),
    "quoted": (frozenset(), True, "not-said-to-the-bot"),
    "quoted, said in private once": (frozenset({Addressed.DIRECT}), True, "not-said-to-the-bot"),
}
OTHERS: dict[str, tuple[dict[str, object] | None, tuple[str, ...]]] = {  # how the other differs, refused for
    "nobody": (None, ()),
    "someone who agreed": ({}, ()),
    "someone who did not": ({"consent": None}, ("no-consent",)),
    "another bot": ({"consent": None, "is_from_bot": True}, ("other-bot", "no-consent")),
    "whom the message quotes": (
        {"consent": None, "addressed": frozenset(), "is_quoted": True},
        ("not-said-to-the-bot",),
    ),
    "whose words are passed on": ({"is_forwarded": True}, ("forwarded",)),
    "another bot, as if it agreed": ({"is_from_bot": True}, ("other-bot",)),
    "our bot": ({"consent": None, "is_ours": True, "addressed": frozenset()}, ()),
}
STATES: dict[str, tuple[dict[str, bool], str]] = {  # what else there is to know of it, refused for
    "there": ({}, ""),
    "deleted": ({"is_deleted": True}, "deleted"),
    "in a group's name": ({"is_person": False}, "no-person"),
    "forwarded": ({"is_forwarded": True}, "forwarded"),
    "of someone who refuses memory": ({"refuses_memory": True}, "refuses-memory"),
}

# What people are told first if there is more than one ground.
BEFORE_TRAINING = (
    "deleted",
    "other-bot",
    "no-person",
    "discord-not-permitted",
    "telegram-not-confirmed",
    "unknown-platform",
    "forwarded",
    "not-said-to-the-bot",
    "refuses-memory",
    "no-consent",
    "outdated-consent",
    "said-before-consent",
)


@dataclass(frozen=True)
class Cell:
    name: str
    purpose: Purpose
    sample: tuple[Words, ...]
    policy: Policy
    is_allowed: bool
    rule: str


def training_cells() -> Iterator[Cell]:
    for names in product(PLATFORMS, CONSENTS, ADDRESSED, OTHERS, STATES):
        (platform, chosen, no_platform, allows), (consent, no_consent) = PLATFORMS[names[0]], CONSENTS[names[1]]
        (why, is_quoted, ambient), (other, no_other) = ADDRESSED[names[2]], OTHERS[names[3]]
        state, no_state = STATES[names[4]]
        said = Words(platform, NOW, why, is_quoted=is_quoted, consent=consent, **state)
        sample = [said]
        if other is not None:
            agreed = Words(platform, NOW, frozenset({Addressed.DIRECT}), consent=CURRENT)
            sample.append(replace(agreed, **other))  # type: ignore[arg-type]
        against = {no_platform, no_consent, ambient, no_state, *no_other}
        rule = next((name for name in BEFORE_TRAINING if name in against), allows)
        is_allowed = not against - {""}
        yield Cell(" / ".join(names), Purpose.TRAINING, tuple(sample), chosen, is_allowed, rule)


def own_cells() -> Iterator[Cell]:
    """Samples in which nobody but our bot speaks."""
    for name, (platform, chosen, _, _) in PLATFORMS.items():
        ours = Words(platform, NOW, is_ours=True)
        yield Cell(f"{name}, ours", Purpose.TRAINING, (ours, ours), chosen, True, "own-output")
        gone = replace(ours, is_deleted=True)
        yield Cell(f"{name}, ours, deleted", Purpose.TRAINING, (ours, gone), chosen, False, "deleted")
        yield Cell(f"{name}, ours, kept", Purpose.MEMORY, (ours,), chosen, True, "conversation")
        mixed = replace(ours, remembers_others=True)
        yield Cell(f"{name}, ours, mixed", Purpose.TRAINING, (ours, mixed), chosen, False, "remembers-others")
        yield Cell(f"{name}, ours, mixed, kept", Purpose.MEMORY, (mixed,), chosen, True, "conversation")
        # Marks that only mean something on people's words.
        odd = replace(ours, is_person=False, is_forwarded=True, refuses_memory=True)
        yield Cell(f"{name}, ours, odd", Purpose.TRAINING, (odd,), chosen, True, "own-output")
        early = Words(platform, NOW, frozenset({Addressed.DIRECT}), consent=CONSENTS["after the message"][0])
        if not PLATFORMS[name][2]:
            yield Cell(f"{name}, early", Purpose.TRAINING, (early, mixed), chosen, False, "said-before-consent")


# What is kept, by: deleted, another bot's, addressed or not, only quoted, refuses to be remembered.
KEPT = {
    "1....": "deleted",
    "01.0.": "other-bot",
    "00001": "not-said-to-the-bot",
    "00000": "not-said-to-the-bot",
    "00101": "refuses-memory",
    "00011": "refuses-memory",
    "00111": "refuses-memory",
    "01.11": "refuses-memory",
    "00100": "conversation",
    "00010": "conversation",
    "00110": "conversation",
    "01.10": "conversation",
}


def memory_cells() -> Iterator[Cell]:
    for flags in product("01", repeat=5):
        rules = [
            rule for pattern, rule in KEPT.items() if all(p in {".", f} for p, f in zip(pattern, flags, strict=True))
        ]
        assert len(rules) == 1, flags
        gone, bot, addressed, quoted, refuses = (flag == "1" for flag in flags)
        for why, platform in product(Addressed, ("console", "discord", "telegram", "irc")):
            said = Words(
                platform,
                NOW,
                frozenset({why}) if addressed else frozenset(),
                is_from_bot=bot,
                is_quoted=quoted,
                is_deleted=gone,
                refuses_memory=refuses,
            )
            is_kept = rules[0] == "conversation"
            name = f"{''.join(flags)} {why} {platform}"
            yield Cell(name, Purpose.MEMORY, (said,), CLOSED, is_kept, rules[0])
            fine = Words(platform, NOW, frozenset({Addressed.DIRECT}))
            yield Cell(f"{name}, after another", Purpose.MEMORY, (fine, said), CLOSED, is_kept, rules[0])


CELLS = [*training_cells(), *own_cells(), *memory_cells()]


def differing() -> list[str]:
    """The cells that the gate judges in another way than expected."""
    found = []
    for cell in CELLS:
        verdict = judge(cell.purpose, cell.sample, cell.policy)
        if (verdict.is_allowed, verdict.rule) != (cell.is_allowed, cell.rule):
            found.append(f"{cell.name}: {verdict}")
    return found


def test_every_cell_is_judged_as_the_tables_say() -> None:
    assert differing() == []
    assert len(CELLS) > 6000
    allowed = {cell.rule for cell in CELLS if cell.is_allowed}
    assert allowed == set(GROUNDS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.purpose}-{rule.name}")
def test_no_rule_can_be_left_out(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RULES", tuple(each for each in RULES if each is not rule))
    assert differing()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.purpose}-{rule.name}")
def test_no_rule_can_be_turned_round(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    turned = replace(rule, refuses=lambda words, chosen: not rule.refuses(words, chosen))
    monkeypatch.setattr(policy, "RULES", tuple(turned if each is rule else each for each in RULES))
    assert differing()


@pytest.mark.parametrize("rule", RULES[:-1], ids=lambda rule: f"{rule.purpose}-{rule.name}")
def test_the_order_of_the_rules_is_what_people_are_told_by(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two rules of a purpose can refuse the same sample, which one is named is no accident."""
    at = RULES.index(rule)
    later = RULES[at + 1]
    cells = [cell for cell in CELLS if cell.purpose is rule.purpose and _refuses(rule, cell) and _refuses(later, cell)]
    if later.purpose is rule.purpose and cells:
        swapped = [*RULES[:at], later, rule, *RULES[at + 2 :]]
        monkeypatch.setattr(policy, "RULES", tuple(swapped))
        assert differing()


def _refuses(rule: Rule, cell: Cell) -> bool:
    return any(rule.refuses(words, cell.policy) for words in cell.sample)


@pytest.mark.parametrize(
    ("differs", "is_others"),
    [
        ({}, False),
        ({"addressed": frozenset()}, False),
        ({"consent": None}, True),
        ({"consent": CONSENTS["to another text"][0]}, True),
        ({"is_forwarded": True}, True),
        ({"is_quoted": True}, True),
        ({"refuses_memory": True}, True),
        ({"consent": None, "is_ours": True}, False),
        ({"consent": None, "is_ours": True, "remembers_others": True}, True),
    ],
)
def test_what_an_answer_may_hold_of_others(differs: dict[str, object], is_others: bool) -> None:
    agreed = Words("telegram", NOW, frozenset({Addressed.DIRECT}), consent=CURRENT)
    assert is_of_others(replace(agreed, **differs)) is is_others  # type: ignore[arg-type]


@pytest.mark.parametrize("purpose", Purpose)
def test_nothing_is_no_sample(purpose: Purpose) -> None:
    verdict = judge(purpose, [], Policy("case 123", True, frozenset({"irc"})))
    assert (verdict.is_allowed, verdict.rule) == (False, "empty")


def test_an_unknown_purpose_is_refused() -> None:
    said = Words("console", NOW, frozenset({Addressed.DIRECT}), consent=CURRENT)
    for sample in ([said], []):
        with pytest.raises(ValueError, match="advertising"):
            judge("advertising", sample, CLOSED)  # type: ignore[arg-type]


def test_every_verdict_is_a_sentence() -> None:
    reasons = {judge(cell.purpose, cell.sample, cell.policy).reason for cell in CELLS}
    for reason in reasons | {judge(Purpose.MEMORY, [], CLOSED).reason}:
        assert reason[0].isupper()
        assert reason.endswith(".")


def test_a_rules_name_is_used_once_for_a_purpose() -> None:
    assert len({(rule.purpose, rule.name) for rule in RULES}) == len(RULES)
    assert not {rule.name for rule in RULES} & set(GROUNDS)


# A text may be changed only together with its id: whoever agreed has agreed to the one before. Add to this table.
TEXTS = {
    "memory-1": "7fa2d6c8bd9fae0ae1a603d3ff680b0bc47989b09f924902efc464b4fbcfd57a",
    "training-1": "c9a4001244b9d0b6e38eabd2e5a299957ba5bbef3fe9190cb21c1f76be7b073e",
    # Ratings and rejected answers, too.
    "training-2": "ba2b2eee39ba11c4e23abf73ba9de4e75b8ab2419342fa447089427d5cec6998",
}


@pytest.mark.parametrize("wording", WORDINGS.values(), ids=lambda wording: wording.id)
def test_a_text_that_people_agree_to_changes_only_with_its_id(wording: Wording) -> None:
    assert TEXTS[wording.id] == wording.sha256
    assert wording.purpose is next(purpose for purpose, each in WORDINGS.items() if each is wording)


def test_the_text_about_training_says_what_it_has_to() -> None:
    text = WORDINGS[Purpose.TRAINING].text
    for said in ("train", "operator", "this chat", "address to me", "any time", "/consent training no", "/forget"):
        assert said in text
