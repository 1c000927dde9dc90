"""What people think of answers, as examples of better and worse.

Ratings become labels for KTO; better answers that people gave, and answers that they asked for anew, become pairs for
DPO (kept apart, as they are other evidence). Nobody has more than one vote on an answer, and nobody more than a small
share of all votes: otherwise one person could steer the model. Knows nothing of files.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from finetune.conversation import Conversation, Turn
from finetune.dataset.example import Label, Pair
from finetune.dataset.examples import ExampleMaker, Refusal
from finetune.fate import Fate, dropped
from finetune.message import Kind, Role

VERSION = 2
CORRECTION, RETRY = "correction", "retry"
DISAGREEMENT = Refusal("people disagree", "rated good by some and bad by others")

AnyVoted = TypeVar("AnyVoted", Label, Pair)


def labels(conversation: Conversation, maker: ExampleMaker) -> tuple[list[Label], tuple[Fate, ...]]:
    """The answers of a conversation on which people agree that they are good, or bad."""
    made: list[Label] = []
    fates: list[Fate] = []
    for number, turn in enumerate(conversation.turns):
        if not _is_answer(turn) or not turn.ratings:
            continue
        found = _label(conversation, number, maker)
        if isinstance(found, Label):
            made.append(found)
        else:
            fates.append(dropped(turn.ids[0], found.reason, found.detail))
    return made, tuple(fates)


def _label(conversation: Conversation, number: int, maker: ExampleMaker) -> Label | Refusal:
    turn = conversation.turns[number]
    scores = {rating.score > 0 for rating in turn.ratings}
    if len(scores) > 1:
        return DISAGREEMENT
    exchange = maker.exchange(conversation, number)
    if isinstance(exchange, Refusal):
        return exchange
    return Label(
        id=turn.ids[0],
        conversation=conversation.key,
        prompt=exchange.prompt,
        completion=exchange.answer,
        is_good=scores.pop(),
        voters=tuple(sorted({rating.voter for rating in turn.ratings})),
        message_ids=exchange.message_ids,
        model_version=turn.model_version,
    )


def pairs(conversation: Conversation, maker: ExampleMaker) -> list[Pair]:
    """What was better than what, of all that stands as an answer to the same."""
    siblings: defaultdict[int, list[int]] = defaultdict(list)
    for number, turn in enumerate(conversation.turns):
        if turn.parent is not None and turn.role is Role.ASSISTANT:
            siblings[turn.parent].append(number)
    compared = (each for numbers in siblings.values() for each in _compared(conversation.turns, numbers))
    made = (_pair(conversation, better, worse, reason, maker) for better, worse, reason in compared)
    return [pair for pair in made if pair is not None]


def _pair(conversation: Conversation, better: int, worse: int, reason: str, maker: ExampleMaker) -> Pair | None:
    """None if there is no difference to learn, or no prompt that both can stand after."""
    chosen, rejected = maker.exchange(conversation, better), maker.exchange(conversation, worse)
    if isinstance(chosen, Refusal) or isinstance(rejected, Refusal):
        return None
    if chosen.answer == rejected.answer or chosen.prompt != rejected.prompt:
        return None
    by, than = conversation.turns[better], conversation.turns[worse]
    return Pair(
        id=f"{by.ids[0]}>{than.ids[0]}",
        conversation=conversation.key,
        prompt=chosen.prompt,
        chosen=chosen.answer,
        rejected=rejected.answer,
        reason=reason,
        voters=(by.author if reason == CORRECTION else _asker(conversation, better),),
        message_ids=(*chosen.message_ids, *than.ids),
    )


def _compared(turns: Sequence[Turn], answers: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Better and worse of some answers to the same, and why."""
    given = [n for n in answers if _is_answer(turns[n])]
    corrections = [n for n in answers if turns[n].kind is Kind.CORRECTION]
    rejected = [n for n in answers if turns[n].kind is Kind.REJECTED]
    yield from ((better, worse, CORRECTION) for better in corrections for worse in given)
    yield from ((better, worse, RETRY) for better in given for worse in rejected)


def _is_answer(turn: Turn) -> bool:
    return turn.role is Role.ASSISTANT and turn.is_bot and turn.kind is Kind.MESSAGE


def _asker(conversation: Conversation, number: int) -> str:
    parent = conversation.turns[number].parent
    assert parent is not None  # it has siblings
    return conversation.turns[parent].author


def cap_voters(voted: Sequence[AnyVoted], share: float) -> tuple[list[AnyVoted], tuple[Fate, ...]]:
    """What is left once nobody has more than a share of it; with too few people that is nothing.

    A vote too many is taken out of a label that others have voted on, too; a label that nobody is left to vote for
    goes. Which ones go is decided by a hash of their ids: neither first come nor last come is served.
    """
    order = sorted(voted, key=lambda each: hashlib.sha256(each.id.encode()).digest())
    limit = _votes_each(order, share)
    spent: Counter[str] = Counter()
    kept: dict[str, AnyVoted] = {}
    for each in order:
        voters = tuple(voter for voter in each.voters if spent[voter] < limit)
        if voters:
            spent.update(voters)
            kept[each.id] = replace(each, voters=voters)
    fates = tuple(
        dropped(each.id, "voter cap", f"nobody may have more than {share:.0%} of the votes: {limit} each")
        for each in voted
        if each.id not in kept
    )
    return [kept[each.id] for each in voted if each.id in kept], fates


def _votes_each(voted: Iterable[AnyVoted], share: float) -> int:
    """The most votes that one person may have so that nobody has more than a share of what is then left."""
    votes = Counter(voter for each in voted for voter in each.voters)
    for limit in range(max(votes.values(), default=0), 0, -1):
        if limit / sum(min(number, limit) for number in votes.values()) <= share:
            return limit
    return 0
