"""What may be done with what people say: kept, or trained on.

One gate, `judge`, which everything goes through that keeps or hands on people's words. It fails closed: what no
rule knows is refused. Rules over plain data only: knows nothing of tables, and of a message only how it came about,
never what it says.

The rules are those of the platforms. Discord's Developer Policy of 8 July 2024 (rule 21) forbids training on
message content unless Discord itself permits it; what users agree to does not replace that. Telegram's terms
(Content Licensing; Bot Developers, 4.3) allow it for what a person has said to the bot, after that person's own,
informed, revocable consent for that chat.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType

from bots.message import Addressed


class Purpose(StrEnum):
    """What people's words are wanted for."""

    MEMORY = "memory"  # kept for a while, to answer with what was said before in mind
    TRAINING = "training"


@dataclass(frozen=True)
class Wording:
    """A text that people agree to. Another text takes another id: a consent holds for the words that were shown."""

    id: str
    purpose: Purpose
    text: str

    @property
    def sha256(self) -> str:
        """What the text is known by in the ledger, in hexadecimal."""
        return sha256(self.text.encode()).hexdigest()


WORDINGS: Mapping[Purpose, Wording] = MappingProxyType(
    {
        Purpose.MEMORY: Wording(
            "memory-1",
            Purpose.MEMORY,
            "To answer you, I keep what you say to me in this chat, what you quote when you do, and my answers. They "
            "are kept encrypted, for as long as /privacy says, and only to answer in this chat. If you refuse, I "
            "forget each of your messages, and my answer, as soon as it is answered, and what I have kept of yours "
            "in this chat is deleted now; I then do not know what we have talked about before. You can change this "
            "at any time with /consent memory yes and /consent memory no, and delete everything with /forget.",
        ),
        Purpose.TRAINING: Wording(
            "training-2",
            Purpose.TRAINING,
            "May the operator of this bot use what you say to me to train the language model that writes my answers?\n"
            "What: the messages that you address to me from now on in this chat (in a private chat, by name, as a "
            "reply or as a command), my answers to them, and what you make of my answers: corrections that you "
            "suggest, ratings, and that you had me answer anew. Not what you say to others, not what you said before, "
            "and nothing from any other chat.\n"
            "For what: to make a new version of the model, which this bot then answers with. A copy is kept encrypted, "
            "under a made-up name in place of yours, for as long as /privacy says. What a model has learnt may show in "
            "its answers to other people.\n"
            "This is voluntary. If you do not agree, everything goes on as before. You can end it at any time "
            "with /consent training no: the copies are then deleted, and used for no further model. A model that "
            "was trained by then cannot unlearn them; /forget deletes all that is kept of you and lists the models "
            "that were trained with it.",
        ),
    }
)


@dataclass(frozen=True)
class Policy:
    """What the operator answers for.

    Attributes:
        discord_permission: A reference to Discord's written permission to train; empty if there is none.
        telegram_confirmed: Whether the operator has read Telegram's terms and confirms to keep to them.
        other_platforms: Platforms besides whose terms the operator has read and found to allow training.
    """

    discord_permission: str = ""
    telegram_confirmed: bool = False
    other_platforms: frozenset[str] = frozenset()


# What holds as long as an operator has said nothing.
CLOSED = Policy()


@dataclass(frozen=True)
class Consent:
    """A person's consent to training that is in force in a chat."""

    wording_id: str
    given_at: datetime


@dataclass(frozen=True)
class Words:
    """How one message came about.

    Attributes:
        is_ours: Whether the bot's own model wrote it.
        is_from_bot: Whether another bot did.
        is_person: Whether its author is one, and not a group or channel that people speak for.
        is_forwarded: Whether any of it is somebody else's words, passed on.
        is_quoted: Whether it is there only because a message to the bot quotes it.
        remembers_others: Of what is ours: whether `is_of_others` held for anything that it was written with in mind.
        consent: The author's consent to training in this chat, if one is in force now.
        refuses_memory: Whether the author wants not to be remembered in this chat.
    """

    platform: str
    sent_at: datetime
    addressed: frozenset[Addressed] = frozenset()
    is_ours: bool = False
    is_from_bot: bool = False
    is_person: bool = True
    is_forwarded: bool = False
    is_quoted: bool = False
    remembers_others: bool = False
    is_deleted: bool = False
    consent: Consent | None = None
    refuses_memory: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        rule: The rule that refuses, or the one that allows it.
        reason: A sentence for people.
    """

    is_allowed: bool
    rule: str
    reason: str


@dataclass(frozen=True)
class Rule:
    """One ground to refuse a message for a purpose."""

    name: str
    purpose: Purpose
    refuses: Callable[[Words, Policy], bool]
    reason: str


# Why a message counts as said to the bot by its author's own will. The others are why the bot listens.
SAID_TO_US = frozenset({Addressed.DIRECT, Addressed.MENTION, Addressed.REPLY, Addressed.COMMAND})
# Platforms with rules of their own; for any other the operator has to vouch.
KNOWN_PLATFORMS = frozenset({"console", "discord", "telegram"})


def judge(purpose: Purpose, sample: Sequence[Words], policy: Policy) -> Verdict:
    """Say whether these messages, together, may be kept or trained on; the first rule that refuses any decides.

    Raises:
        ValueError: There is no such purpose.
    """
    rules = [rule for rule in RULES if rule.purpose is Purpose(purpose)]
    if not sample:
        return Verdict(False, "empty", "There are no messages to judge.")
    for rule in rules:
        if any(rule.refuses(words, policy) for words in sample):
            return Verdict(False, rule.name, rule.reason)
    grounds = "conversation" if purpose is Purpose.MEMORY else _grounds(sample)
    return Verdict(True, grounds, GROUNDS[grounds])


def is_of_others(words: Words) -> bool:
    """Whether an answer with these words in mind may repeat what its asker cannot agree to training on.

    So may one with an earlier answer in mind that `remembers_others`.
    """
    has_no_consent = _lacks_consent(words, CLOSED) or _has_outdated_consent(words, CLOSED)
    return has_no_consent or words.is_forwarded or words.is_quoted or words.refuses_memory or words.remembers_others


def _grounds(sample: Sequence[Words]) -> str:
    """What lets a sample be trained on that no rule refuses."""
    platforms = [words.platform for words in sample if not words.is_ours]
    return _GROUNDS_BY_PLATFORM.get(platforms[0], "platform-consent") if platforms else "own-output"


_GROUNDS_BY_PLATFORM = {
    "console": "console-consent",
    "discord": "discord-permission",
    "telegram": "telegram-consent",
}

# What allows something, by name, as people are told it.
GROUNDS: Mapping[str, str] = MappingProxyType(
    {
        "conversation": "It was said to the bot, or quoted by what was, and is kept for a while to answer with.",
        "own-output": "The bot's own model wrote it.",
        "console-consent": "It was said to the bot in its own terminal, by someone who has agreed to training.",
        "discord-permission": "Discord permits it in writing, and its author has agreed to training in this chat.",
        "telegram-consent": "It was said to the bot on Telegram, and its author has agreed to training in this chat.",
        "platform-consent": "The operator vouches for its platform, and the author agreed to training in this chat.",
    }
)


def _is_foreign(words: Words) -> bool:
    """Whether somebody else than the bot's own model wrote it."""
    return not words.is_ours


def _is_deleted(words: Words, _: Policy) -> bool:
    return words.is_deleted


def _is_of_another_bot(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and words.is_from_bot


def _is_of_no_person(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and not words.is_person


def _is_forwarded(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and words.is_forwarded


def _remembers_others(words: Words, _: Policy) -> bool:
    return words.is_ours and words.remembers_others


def _is_kept_for_another_bot(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and words.is_from_bot and not words.is_quoted


def _lacks_discords_permission(words: Words, policy: Policy) -> bool:
    return _is_foreign(words) and words.platform == "discord" and not policy.discord_permission.strip()


def _lacks_telegrams_confirmation(words: Words, policy: Policy) -> bool:
    return _is_foreign(words) and words.platform == "telegram" and not policy.telegram_confirmed


def _is_from_unknown_platform(words: Words, policy: Policy) -> bool:
    return _is_foreign(words) and words.platform not in KNOWN_PLATFORMS | policy.other_platforms


def _is_ambient(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and (words.is_quoted or not words.addressed & SAID_TO_US)


def _is_overheard(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and not words.addressed and not words.is_quoted


def _lacks_consent(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and words.consent is None


def _has_outdated_consent(words: Words, _: Policy) -> bool:
    current = WORDINGS[Purpose.TRAINING].id
    return _is_foreign(words) and words.consent is not None and words.consent.wording_id != current


def _was_said_before_consent(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and words.consent is not None and words.sent_at < words.consent.given_at


def _refuses_memory(words: Words, _: Policy) -> bool:
    return _is_foreign(words) and words.refuses_memory


# In the order in which they are asked: the first that refuses is the one that people are told.
RULES: tuple[Rule, ...] = (
    Rule("deleted", Purpose.TRAINING, _is_deleted, "It was deleted."),
    Rule("other-bot", Purpose.TRAINING, _is_of_another_bot, "Another bot wrote it, which cannot agree to training."),
    Rule(
        "no-person",
        Purpose.TRAINING,
        _is_of_no_person,
        "It was said in the name of a group or channel, which cannot agree to training.",
    ),
    Rule(
        "discord-not-permitted",
        Purpose.TRAINING,
        _lacks_discords_permission,
        "Discord forbids training on messages without its written permission, which this bot's operator does not have.",
    ),
    Rule(
        "telegram-not-confirmed",
        Purpose.TRAINING,
        _lacks_telegrams_confirmation,
        "This bot's operator has not confirmed to keep to Telegram's terms on training.",
    ),
    Rule(
        "unknown-platform",
        Purpose.TRAINING,
        _is_from_unknown_platform,
        "This bot's operator has not confirmed that this platform's terms allow training.",
    ),
    Rule("forwarded", Purpose.TRAINING, _is_forwarded, "It passes on somebody else's words."),
    Rule(
        "not-said-to-the-bot",
        Purpose.TRAINING,
        _is_ambient,
        "It was not said to the bot: only private messages, mentions, replies and commands are ever trained on.",
    ),
    Rule("refuses-memory", Purpose.TRAINING, _refuses_memory, "Its author wants not to be remembered in this chat."),
    Rule("no-consent", Purpose.TRAINING, _lacks_consent, "Its author has not agreed to training in this chat."),
    Rule(
        "outdated-consent",
        Purpose.TRAINING,
        _has_outdated_consent,
        "Its author has agreed to an earlier text, and has not been asked anew since it changed.",
    ),
    Rule(
        "said-before-consent",
        Purpose.TRAINING,
        _was_said_before_consent,
        "It was said before its author agreed to training.",
    ),
    Rule(
        "remembers-others",
        Purpose.TRAINING,
        _remembers_others,
        "The bot wrote it with words in mind that may not be trained on.",
    ),
    Rule("deleted", Purpose.MEMORY, _is_deleted, "It was deleted."),
    Rule("other-bot", Purpose.MEMORY, _is_kept_for_another_bot, "Another bot wrote it, and nobody has quoted it."),
    Rule("not-said-to-the-bot", Purpose.MEMORY, _is_overheard, "It was not said to the bot."),
    Rule("refuses-memory", Purpose.MEMORY, _refuses_memory, "Its author wants not to be remembered in this chat."),
)
