"""How much of what is learnt may come from one person, and from one chat.

Without limits a model of a chat becomes a model of its most talkative member. Knows nothing of what is said: only how
long it is.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from finetune.conversation import Conversation, Turn
from finetune.dataset.shares import level
from finetune.dataset.times import believed
from finetune.dataset.withholding import Decided, Reason, withhold
from finetune.message import DATASET

VERSION = 1

# The data gate refuses more.
AUTHOR_SHARE = 0.2
CHAT_SHARE = 0.4
# What somebody may have however little there is in all: an answer of the greatest length. Below it a share is a matter
# of single answers, and cutting one would only make the next one too large.
SPARED_BYTES = 2_000
# Of `n` parties one always has at least 1/n. Answers are not divisible, so that even the best choice leaves some more.
EVEN_SLACK = 1.1

AUTHOR_CAP = Reason("author cap", "newer answers of the same person are its share already")
CHAT_CAP = Reason("chat cap", "newer answers in the same chat are its share already")


@dataclass(frozen=True, slots=True)
class _Target:
    """A turn that may be learnt: where it is, whose, and how long."""

    place: int
    turn: int
    author: str
    chat: str
    num_bytes: int
    age: tuple[bool, int, bytes]


def cap(
    conversations: Iterable[Conversation], author_share: float = AUTHOR_SHARE, chat_share: float = CHAT_SHARE
) -> Iterator[Decided]:
    """Conversations of which nobody and no chat teaches more than a share, in bytes of what is learnt.

    Both shares hold for what is left. The newest answers stay, since people's way of speaking changes; those without a
    time come after them, in an order by hash. Where there are too few parties for a share, it is what each would have
    if all had the same, and a tenth more; so one author or one chat alone has no limit. Nor has anybody with less than
    `SPARED_BYTES`.

    Args:
        conversations: Gone through twice. 0.3 kB of each target are held in memory.

    Yields:
        In the order of `conversations`, what is left of each.
    """
    targets = sorted(_targets(conversations), key=lambda target: target.age)
    withheld = _surplus(targets, author_share, chat_share)
    for place, conversation in enumerate(conversations):
        yield withhold(conversation, withheld.get(place, {}))


def chat_of(conversation: Conversation) -> str:
    """The chat that a conversation counts for; one of a data set, which has no chats, counts for itself."""
    place = conversation.key if conversation.platform == DATASET else conversation.chat
    return f"{conversation.platform} {place}"


def taught_by(turn: Turn) -> str:
    """Whose doing it is that a turn is learnt: who said it; of an answer of the bot, who has called it good."""
    return turn.author or next((rating.voter for rating in turn.ratings), "")


def target_bytes(turn: Turn) -> int:
    """What a turn counts for: the length of its words in UTF-8."""
    return len(turn.text.encode("utf-8", "surrogatepass"))


def _targets(conversations: Iterable[Conversation]) -> Iterator[_Target]:
    for place, conversation in enumerate(conversations):
        chat = chat_of(conversation)
        for number, turn in enumerate(conversation.turns):
            if turn.is_target:
                yield _Target(place, number, taught_by(turn), chat, target_bytes(turn), _age(turn))


def _age(turn: Turn) -> tuple[bool, int, bytes]:
    """Sorts the newest first, then those without a time."""
    order = hashlib.blake2b(turn.ids[0].encode("utf-8", "surrogatepass"), digest_size=8).digest()
    sent_at_ms = believed(turn.sent_at_ms)
    return sent_at_ms is None, -(sent_at_ms or 0), order


def _surplus(targets: Sequence[_Target], author_share: float, chat_share: float) -> dict[int, dict[int, Reason]]:
    """What has to go, by place and turn.

    Limits are shares of a total, which what is chosen under them has to reach. Neither cap alone can be kept with a
    larger total than water-filling gives; from the smaller of the two the total falls to what was chosen under it,
    until that is enough. It ends: the total falls each time, and under `SPARED_BYTES` the choice no longer changes.
    """
    authors = _amounts((target.author, target.num_bytes) for target in targets)
    chats = _amounts((target.chat, target.num_bytes) for target in targets)
    author_share = attainable(author_share, len(authors))
    chat_share = attainable(chat_share, len(chats))
    total = min(_total(authors.values(), author_share), _total(chats.values(), chat_share))
    while True:
        withheld, chosen = _choose(targets, author_share * total, chat_share * total)
        if chosen >= total:
            return withheld
        total = chosen


def _amounts(parts: Iterable[tuple[str, int]]) -> Counter[str]:
    amounts = Counter[str]()
    for party, num_bytes in parts:
        amounts[party] += num_bytes
    return amounts


def attainable(share: float, num_parties: int) -> float:
    """The share that one of several parties may have, where there are too few for a smaller one."""
    return min(1.0, max(share, EVEN_SLACK / max(1, num_parties)))


def _total(amounts: Collection[int], share: float) -> float:
    most = level(amounts, share)
    return sum(min(amount, most) for amount in amounts)


def _choose(
    targets: Iterable[_Target], author_limit: float, chat_limit: float
) -> tuple[dict[int, dict[int, Reason]], int]:
    """What does not go under limits in bytes, and the bytes of all that does.

    Once a target is too much for somebody, no later one is tried: short ones would fit into what is left for long, and
    of the older ones only these would be learnt.
    """
    authors, chats = _Fill(max(author_limit, SPARED_BYTES)), _Fill(max(chat_limit, SPARED_BYTES))
    withheld: defaultdict[int, dict[int, Reason]] = defaultdict(dict)
    total = 0
    for target in targets:
        if not authors.has_room(target.author, target.num_bytes):
            withheld[target.place][target.turn] = AUTHOR_CAP
        elif not chats.has_room(target.chat, target.num_bytes):
            withheld[target.place][target.turn] = CHAT_CAP
        else:
            authors.add(target.author, target.num_bytes)
            chats.add(target.chat, target.num_bytes)
            total += target.num_bytes
    return withheld, total


class _Fill:
    """What parties have so far under a limit, and who has reached it."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._amounts = Counter[str]()
        self._full: set[str] = set()

    def has_room(self, party: str, amount: int) -> bool:
        if self._amounts[party] + amount > self._limit:
            self._full.add(party)
        return party not in self._full

    def add(self, party: str, amount: int) -> None:
        self._amounts[party] += amount
