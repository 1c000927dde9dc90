"""What data has to be like before a model is trained on it; each figure with its limit.

The limits are starting values; they decide nothing here, and are shown. Knows nothing of files.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from finetune.report.figures import Check

MIN_TARGETS = 1000
MIN_HELD_OUT = 50
MIN_AUTHORS = 5
MAX_DROPPED = 0.7
MIN_MEDIAN_TOKENS = 4
MAX_COMMON_REPLY = 0.02
MAX_PERSONAL = 0.005
RESCANNED = 2000


@dataclass(frozen=True)
class Facts:
    """What the checks look at.

    Attributes:
        targets: Answers to learn that people have given.
        conversations: By split.
        target_tokens: Lengths of what is to be learnt.
        common_reply: Share of what is really learnt that the most common answer has.
        authors: Bytes that are really learnt, by author; `chats` likewise.
        dropped_share: Of the conversations with something to learn, those that quality and duplicates took.
        author_limit: The share that one author may have; `chat_limit` likewise.
        secrets: Messages with a secret, in a second look at what came out.
        personal_share: Of the messages looked at again, those with personal data.
        shared: Conversations that are, or nearly are, in two splits; and answers that judge and are learnt, too.
    """

    targets: int
    conversations: Mapping[str, int]
    target_tokens: Sequence[int]
    common_reply: float
    authors: Mapping[str, int]
    chats: Mapping[str, int]
    author_limit: float
    chat_limit: float
    dropped_share: float
    secrets: int
    personal_share: float
    shared: int


def checks(facts: Facts, *, min_targets: int = MIN_TARGETS, min_authors: int = MIN_AUTHORS) -> tuple[Check, ...]:
    """Every figure that data is judged by; two of the limits are an operator's to set."""
    held_out = min(facts.conversations.get("validation", 0), facts.conversations.get("test", 0))
    tokens = median(facts.target_tokens) if facts.target_tokens else 0
    return (
        _least(
            "answers to learn", facts.targets, min_targets, "With fewer, a model learns them by heart. Wait for more."
        ),
        _least(
            "conversations held out",
            held_out,
            MIN_HELD_OUT,
            "The smaller of validation and test. With fewer, a difference between models cannot be told from luck.",
        ),
        _least(
            "authors to learn from",
            len(facts.authors),
            min_authors,
            "With fewer, the model takes on one person's voice. That may be what you want of a persona.",
        ),
        _most("largest author's share", _largest(facts.authors), facts.author_limit, "See FINETUNE_AUTHOR_SHARE."),
        _most("largest chat's share", _largest(facts.chats), facts.chat_limit, "See FINETUNE_CHAT_SHARE."),
        _most(
            "taken by quality and duplicates",
            facts.dropped_share,
            MAX_DROPPED,
            "More means that the sources are of another kind than the rules are made for. Look at the funnel.",
        ),
        _least("median answer, in tokens", tokens, MIN_MEDIAN_TOKENS, "Shorter, and the model learns to say nothing."),
        _most(
            "most common answer's share",
            facts.common_reply,
            MAX_COMMON_REPLY,
            "More, and the model says that to everybody.",
        ),
        _none("secrets in a second look", facts.secrets, "What is learnt may be said to anybody. Report it as a bug."),
        _most(
            "personal data in a second look",
            facts.personal_share,
            MAX_PERSONAL,
            f"Of {RESCANNED:,} messages. More means that cleaning has missed something. Report it as a bug.",
        ),
        _none(
            "conversations in two splits",
            facts.shared,
            "Also near duplicates, and single answers. What was learnt must not be judged by. Report it as a bug.",
        ),
    )


def common_reply_share(targets: Iterable[str]) -> float:
    """The share of the most common of some answers; 0 if there are fewer than 50, of which each is 2 %."""
    counts = Counter(" ".join(target.casefold().split()) for target in targets)
    total = sum(counts.values())
    return max(counts.values()) / total if total >= 1 / MAX_COMMON_REPLY else 0.0


def _least(name: str, value: float, limit: float, meaning: str) -> Check:
    return Check(name, f"{value:,.12g}", f"at least {limit:,.12g}", value >= limit, meaning)


def _most(name: str, value: float, limit: float, meaning: str) -> Check:
    # Shares hold to a message more or less.
    return Check(name, f"{value:.1%}", f"at most {limit:.1%}", value <= limit + 0.0005, meaning)


def _none(name: str, value: int, meaning: str) -> Check:
    return Check(name, f"{value:,}", "none", value == 0, meaning)


def _largest(amounts: Mapping[str, int]) -> float:
    total = sum(amounts.values())
    return max(amounts.values()) / total if total else 0.0
