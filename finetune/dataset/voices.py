"""Whose part the model is to learn in a conversation, and which of the turns it may learn.

Where the source says who the assistant is, that one; otherwise whoever answers somebody else. The bot's own answers
are context, unless people have said that they are good: a model that learns what it said itself ends in repeating
itself (arXiv:2404.02305). Knows nothing of templates or files.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from finetune.conversation import Conversation, LinkKind, Turn
from finetune.fate import Fate, changed
from finetune.message import Kind, Role

VERSION = 1
# People send one thought in several messages; what comes within two minutes is one turn.
MERGE_MS = 120_000
# Stands between the messages of one turn, so that each can be shown with its tag, as when serving.
BREAK = "\n"


def voiced(conversation: Conversation) -> tuple[Conversation, tuple[Fate, ...]]:
    """The conversation with each speaker's runs as one turn, and its targets marked."""
    turns = _merged(conversation.turns)
    has_roles = any(turn.role is not None for turn in turns)
    fates = [
        changed(turn.ids[0], "own answer", "an answer of the bot is context only, as nobody has called it good")
        for turn in turns
        if has_roles and _is_unapproved(turn)
    ]
    marked = tuple(turn.with_target(_is_target(turn, turns, has_roles=has_roles)) for turn in turns)
    is_shared = conversation.is_shared or _num_people(marked, has_roles=has_roles) > 1
    return replace(conversation, turns=marked, is_shared=is_shared), tuple(fates)


def is_approved(turn: Turn) -> bool:
    """Whether somebody likes it, and nobody does not."""
    return bool(turn.ratings) and all(rating.score > 0 for rating in turn.ratings)


def _is_unapproved(turn: Turn) -> bool:
    return turn.is_bot and turn.kind is Kind.MESSAGE and not is_approved(turn)


def _is_target(turn: Turn, turns: Sequence[Turn], *, has_roles: bool) -> bool:
    if turn.parent is None or turn.kind is Kind.REJECTED:
        return False
    if turn.kind is Kind.CORRECTION:
        return True
    if has_roles:
        return turn.role is Role.ASSISTANT and not _is_unapproved(turn)
    return not turn.is_bot and turns[turn.parent].author != turn.author


def _num_people(turns: Iterable[Turn], *, has_roles: bool) -> int:
    """How many people speak beside the one whose part is learnt."""
    authors = {turn.author for turn in turns if turn.role not in (Role.ASSISTANT, Role.SYSTEM)}
    return len(authors) if has_roles else len(authors) - 1


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """One turn for what somebody said in a row, with new numbers."""
    merged: list[Turn] = []
    numbers: list[int] = []
    answered: set[int] = set()
    for turn in turns:
        parent = None if turn.parent is None else numbers[turn.parent]
        if parent is not None and parent not in answered and _goes_on(merged[parent], turn):
            merged[parent] = _joined(merged[parent], turn)
            numbers.append(parent)
            continue
        if parent is not None:
            answered.add(parent)
        numbers.append(len(merged))
        merged.append(replace(turn, parent=parent))
    return merged


def _goes_on(first: Turn, then: Turn) -> bool:
    is_same = (first.author, first.role, first.is_bot) == (then.author, then.role, then.is_bot)
    if not is_same or then.link is LinkKind.REPLY or {first.kind, then.kind} != {Kind.MESSAGE}:
        return False
    if first.sent_at_ms is None or then.sent_at_ms is None:
        return True
    return then.sent_at_ms - first.sent_at_ms <= MERGE_MS


def _joined(first: Turn, then: Turn) -> Turn:
    """What two turns say, as one that goes on from the later."""
    return replace(
        first,
        ids=first.ids + then.ids,
        pieces=(*first.pieces, BREAK, *then.pieces),
        sent_at_ms=then.sent_at_ms,
        ratings=first.ratings + then.ratings,
    )
