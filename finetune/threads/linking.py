"""Which message each message of one chat answers.

Reply links decide where there are any. A reply whose target is not there answers something that we cannot see: it is a
root, lest a guess stand where the source knows better. Between two people, what is said answers what was said before;
among more, the learned scorer chooses. It has learnt from a busy channel of strangers, where a message in a quiet hour
is a new question; among a few people who know each other it goes on with something, so there a rule helps out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.conversation import LinkKind
from finetune.message import SourceMessage
from finetune.threads import decoding, features
from finetune.threads.addressing import addressed
from finetune.threads.columns import NONE, PACE_MINUTES, Columns, Ints, columns
from finetune.threads.features import Bools
from finetune.threads.scorer import IMPOSSIBLE, Scorer, shipped

# Between two, a pause starts a new conversation. At a desk nobody waits 20 minutes for an answer (STAR); people
# who chat leave the telephone for a meal, or a film.
PAIR_PAUSE_MINUTES = 120
QUIET_PACE = PACE_MINUTES  # under one message a minute (FINETUNE.md 3.4, rule 2)
QUIET_PAUSE_MINUTES = 5
QUIET_PEOPLE = 6  # in the last `COMPANY_MESSAGES`; less than 1 % of the busy channel is as quiet with so few
CHUNK = 1024  # messages scored at once: 40 MB of features


@dataclass(frozen=True, slots=True)
class Link:
    """What a message answers.

    Attributes:
        parent: The id of the message; None at a root.
    """

    parent: str | None
    kind: LinkKind


def link(messages: Sequence[SourceMessage], scorer: Scorer | None = None) -> list[Link]:
    """What each message answers, in the order of `messages`.

    Args:
        messages: Of one chat, and thread if it has those, in order of time; with `Called` for who is named (see
            `names.call_names`).
        scorer: Whose judgement decides where there is room for one; the shipped one by default.
    """
    if not messages:
        return []
    known = _replies(messages)
    chat = columns(messages)
    parents = _between_two(chat, known) if chat.author.max() <= 1 else _among_many(chat, known, scorer or shipped())
    return [_link(messages, number, parent, is_reply=number in known) for number, parent in enumerate(parents)]


def _replies(messages: Sequence[SourceMessage]) -> dict[int, int | None]:
    """For each message that is a reply, its target; None if that is not there, or comes later."""
    numbers = {message.id: number for number, message in enumerate(messages)}
    targets = {n: numbers.get(m.reply_to) for n, m in enumerate(messages) if m.reply_to is not None}
    return {number: target if target is not None and target < number else None for number, target in targets.items()}


def _between_two(chat: Columns, known: Mapping[int, int | None]) -> list[int | None]:
    pauses = _pauses(chat)
    parents = [number - 1 if number and pauses[number] <= PAIR_PAUSE_MINUTES else None for number in range(len(chat))]
    return [known.get(number, parent) for number, parent in enumerate(parents)]


def _among_many(chat: Columns, known: Mapping[int, int | None], scorer: Scorer) -> list[int | None]:
    return decoding.parents(_scored(chat, scorer), known)


def _scored(chat: Columns, scorer: Scorer) -> Iterator[tuple[Ints, Ints]]:
    follows_soon = _follows_soon(chat)
    for start in range(0, len(chat), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(chat)))
        found = features.candidates(chat, rows)
        yield _score(chat, rows, found, scorer, follows_soon[rows]), found


def _score(chat: Columns, rows: Ints, found: Ints, scorer: Scorer, follows_soon: Bools) -> Ints:
    scores = scorer.score(features.of_messages(chat, rows), features.of_pairs(chat, rows, found), found)
    scores[follows_soon, -1] = IMPOSSIBLE
    return scores


def _follows_soon(chat: Columns) -> Bools:
    """[N] where a quiet chat of few people goes on: what is said there starts nothing new."""
    is_quiet = (chat.pace <= QUIET_PACE) & (chat.people < QUIET_PEOPLE)
    is_soon: Bools = is_quiet & (_pauses(chat) <= QUIET_PAUSE_MINUTES) & (chat.minute != NONE)
    is_soon[0] = False
    return is_soon


def _pauses(chat: Columns) -> Ints:
    """[N] minutes since the message before; 0 without times."""
    return features.gap(chat, np.arange(len(chat)), np.arange(-1, len(chat) - 1))


def _link(messages: Sequence[SourceMessage], number: int, parent: int | None, *, is_reply: bool) -> Link:
    if parent is None:
        return Link(None, LinkKind.ROOT)
    if is_reply:
        return Link(messages[parent].id, LinkKind.REPLY)
    is_addressed = messages[parent].author in addressed(messages[number])
    return Link(messages[parent].id, LinkKind.ADDRESSED if is_addressed else LinkKind.INFERRED)
