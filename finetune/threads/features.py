"""What the scorer sees of a message, and of each earlier one that it may answer: zeros and ones.

No feature depends on a word or a language, so that weights from one chat do for another. Most are those of Kummerfeld
et al. ("A Large-Scale Corpus for Conversation Disentanglement", ACL 2019, appendix); numbers are cut into steps (`at
least 5 minutes`), each a feature of its own, so that all arithmetic can be exact. Knows nothing of weights.

In formulas, `i` is the message and `j` the candidate. The order of features is that of the weights in `scorer.json`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finetune.threads.columns import NONE, WINDOW, Columns, Ints

Flags = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]

NUM_CANDIDATES = WINDOW + 4

GAP_STEPS = (1, 2, 3, 4, 6, 8, 12, 20, 40, 90)  # minutes
DISTANCE_STEPS = (2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 28, 36, 45, 52)  # messages
SHARED_STEPS = (1, 2, 4, 6, 9, 13)  # bits
LENGTH_STEPS = (1, 2, 3, 5, 8, 13, 21)  # words
PACE_STEPS = (1, 3, 6, 10, 15, 25)  # messages
PEOPLE_STEPS = (2, 3, 5, 8, 12)
NEVER = 1 << 30


def candidates(chat: Columns, rows: Ints) -> Ints:
    """[n, NUM_CANDIDATES] the messages that each of `rows` may answer; NONE where there are fewer.

    The last `WINDOW`; if they are older: the last message of whom it speaks to, of its author, to its author, and to
    its author from whom it speaks to.
    """
    near = np.maximum(rows[:, None] - np.arange(1, WINDOW + 1), NONE)
    far = np.stack(
        [places[rows] for places in (chat.receiver_at, chat.own, chat.called_at, chat.receiver_called_at)], 1
    )
    far = np.where(far >= rows[:, None] - WINDOW, NONE, far)
    for place in range(1, far.shape[1]):
        far[(far[:, :place] == far[:, place : place + 1]).any(1), place] = NONE
    return np.concatenate([near, far], 1)


def of_messages(chat: Columns, rows: Ints) -> Flags:
    """[n, M] what there is to know of messages alone."""
    own, to = chat.own[rows], chat.to[rows, 0]
    has_time = chat.minute[rows] != NONE
    before = np.maximum(rows - 1, 0)
    flags = [
        has_time,
        to != NONE,
        chat.to[rows, 1] != NONE,
        (to != NONE) & (chat.receiver_at[rows] == NONE),
        chat.named[rows, 0] != NONE,
        chat.asks[rows],
        chat.has_link[rows],
        own == NONE,
        chat.called_at[rows] == NONE,
        chat.called_at[rows] > own,
        chat.partner[rows] != NONE,
        (to != NONE) & (chat.partner[rows] == to),
        (to != NONE) & (chat.caller[rows] == to),
        *_steps(np.where(own == NONE, NEVER * has_time, gap(chat, rows, own)), GAP_STEPS),
        *_steps(np.where(own == NONE, NEVER, rows - own), DISTANCE_STEPS),
        *_steps(chat.words[rows], LENGTH_STEPS),
        *_steps(chat.pace[rows] * has_time, PACE_STEPS),
        *_steps(chat.people[rows], PEOPLE_STEPS),
        *_steps(chat.shared[rows].max(1), SHARED_STEPS),
        *_steps(gap(chat, rows, before), GAP_STEPS),
    ]
    return np.stack(flags, -1).astype(np.int8)


def of_pairs(chat: Columns, rows: Ints, found: Ints) -> Flags:
    """[n, NUM_CANDIDATES, P] what there is to know of messages and candidates together; zeros where `found` is NONE."""
    pairs = _pairs(chat, rows, found)
    flags = [*_of_addressing(pairs), *_of_order(pairs), *_of_company(pairs), *_of_numbers(pairs)]
    features = np.empty((*found.shape, len(flags)), np.int8)
    for number, flag in enumerate(flags):
        features[..., number] = flag
    features[found == NONE] = 0
    return features


@dataclass(frozen=True)
class _Pairs:
    """What several features are made of: [n, 1] for messages, [n, NUM_CANDIDATES] for candidates and pairs."""

    chat: Columns
    i: Ints
    j: Ints
    is_same: Bools  # author of both
    calls: Bools  # i speaks to the author of j
    is_called: Bools  # j speaks to the author of i
    is_free: Bools  # i speaks to nobody
    is_free_j: Bools
    is_latest: Bools  # of its author before i
    is_second: Bools  # its author said one more thing before i
    has_spoken: Bools  # the author of i, after j


def _pairs(chat: Columns, rows: Ints, found: Ints) -> _Pairs:
    i, j = rows[:, None], np.maximum(found, 0)
    me, other, to, to_j = chat.author[i], chat.author[j], chat.to[i], chat.to[j]
    is_latest = chat.next_own[j] >= i
    one_on = np.minimum(chat.next_own[j], len(chat) - 1)
    return _Pairs(
        chat=chat,
        i=i,
        j=j,
        is_same=other == me,
        calls=(to[..., 0] == other) | (to[..., 1] == other),
        is_called=(to_j[..., 0] == me) | (to_j[..., 1] == me),
        is_free=to[..., 0] == NONE,
        is_free_j=to_j[..., 0] == NONE,
        is_latest=is_latest,
        is_second=~is_latest & (chat.next_own[one_on] >= i),
        has_spoken=chat.own[i] > j,
    )


def _of_addressing(p: _Pairs) -> Iterator[Bools]:
    """Who speaks to whom in the two."""
    to, to_j = p.chat.to[p.i, 0], p.chat.to[p.j, 0]
    is_latest_way = p.chat.next_same_way[p.j] >= p.i
    is_unanswered = p.chat.next_call[p.j] >= p.i
    yield p.is_same
    yield p.calls
    yield p.is_called
    yield p.calls & p.is_called
    yield p.calls & p.is_latest
    yield p.calls & p.is_second
    yield p.calls & p.is_called & is_latest_way
    yield p.is_called & p.is_latest
    yield p.is_called & is_latest_way
    yield p.is_called & is_latest_way & p.is_free
    yield p.is_called & ~p.has_spoken
    yield p.is_same & (to == to_j) & ~p.is_free
    yield ~p.is_same & (to == to_j) & ~p.is_free
    yield ~p.is_same & ~p.is_free & ~p.calls
    yield ~p.is_same & ~p.is_free_j & ~p.is_called
    yield p.calls & ~p.is_free_j & ~p.is_called
    yield p.is_called & ~p.is_free & ~p.calls
    yield p.is_free & p.is_free_j
    yield p.is_free & p.is_free_j & ~p.is_same
    yield is_unanswered
    yield is_unanswered & ~p.is_same & p.chat.asks[p.j]
    yield (p.chat.named[p.i] == p.chat.author[p.j][..., None]).any(-1) & ~p.calls
    yield (p.chat.named[p.j] == p.chat.author[p.i][..., None]).any(-1) & ~p.is_called


def _of_order(p: _Pairs) -> Iterator[Bools]:
    """Which of its author's messages the candidate is, and what is next to it."""
    chat, by = p.chat, p.chat.author[p.j]
    after = np.minimum(p.j + 1, len(chat) - 1)
    goes_on = (chat.author[after] == by) & (p.j + 1 < p.i)
    is_first = chat.own[p.j] == NONE
    yield p.is_same & p.is_latest
    yield p.is_same & p.is_second
    yield p.is_same & p.is_latest & p.is_free
    yield p.is_same & p.is_free_j
    yield p.is_same & ~p.is_free_j
    yield p.is_latest
    yield p.is_second
    yield ~p.is_same & p.has_spoken
    yield ~p.is_same & p.has_spoken & p.is_latest
    yield chat.author[np.maximum(p.j - 1, 0)] == by
    yield goes_on
    yield goes_on & p.is_same
    yield is_first
    yield is_first & p.calls
    yield is_first & p.is_free & ~p.is_same
    yield chat.asks[p.j]
    yield chat.asks[p.j] & ~p.has_spoken & ~p.is_same & p.is_free_j
    yield chat.has_link[p.j]
    for places in (chat.called_at, chat.own, chat.receiver_at, chat.receiver_called_at):
        yield places[p.i] == p.j


def _of_company(p: _Pairs) -> Iterator[Bools]:
    """With whom the two authors have been speaking."""
    chat, me, other = p.chat, p.chat.author[p.i], p.chat.author[p.j]
    own, to_j = chat.own[p.i], chat.to[p.j, 0]
    own_to = np.where(own == NONE, NONE, chat.to[np.maximum(own, 0), 0])
    company, company_j = chat.company[p.i], chat.company[p.j]
    is_partner, is_caller = (chat.partner[p.i] == other) & ~p.is_same, (chat.caller[p.i] == other) & ~p.is_same
    yield is_partner
    yield is_caller
    yield is_partner & p.is_free
    yield is_caller & p.is_free
    yield is_partner & is_caller & p.is_latest
    yield own_to == other
    yield (own_to == to_j) & (own_to != NONE)
    yield (own_to == to_j) & (own_to != NONE) & p.is_free & p.is_same
    yield company_j == me
    yield (company_j == me) & p.is_latest
    yield (company_j == company) & (company != NONE)
    yield (company_j == chat.to[p.i, 0]) & (company_j != NONE)
    yield (company_j == me) & (company == other)


def _of_numbers(p: _Pairs) -> Iterator[Bools]:
    """How far apart the two are, and what words they share."""
    chat = p.chat
    has_time = (chat.minute[p.i] != NONE) & (chat.minute[p.j] != NONE)
    minutes, distance = gap(chat, p.i, p.j), p.i - p.j
    shared = np.zeros(p.j.shape, np.int64)
    shared[:, :WINDOW] = chat.shared[p.i[:, 0]]
    most = shared.max(1, keepdims=True)
    yield has_time
    yield has_time & (minutes == 0)
    yield from _steps(minutes, GAP_STEPS)
    yield from _steps(distance, DISTANCE_STEPS)
    yield from _steps(shared, SHARED_STEPS)
    yield (shared == most) & (most > 0)
    yield from _steps(chat.words[p.j], LENGTH_STEPS)


def gap(chat: Columns, later: Ints, earlier: Ints) -> Ints:
    """Minutes between messages, of any shape; 0 where a message or time is missing, or time goes back."""
    after, before = chat.minute[later], chat.minute[np.maximum(earlier, 0)]
    return np.where((earlier == NONE) | (after == NONE) | (before == NONE), 0, np.maximum(after - before, 0))


def _steps(values: Ints, limits: Sequence[int]) -> Iterator[Bools]:
    return (values >= limit for limit in limits)
