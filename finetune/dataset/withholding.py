"""Turns that are no longer to be learnt: they stay as context, and a conversation without any other goes.

What quality rules, duplicates and caps have in common. Knows nothing of why a turn is withheld.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from finetune.conversation import Conversation
from finetune.fate import Fate, changed, dropped

Decided = tuple[Conversation | None, tuple[Fate, ...]]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a turn is withheld, or a conversation dropped; as in `Fate`."""

    word: str
    detail: str = ""


NOTHING_LEFT = Reason("no answer to learn", "none of the conversation's turns may be learnt")


def withhold(conversation: Conversation, reasons: Mapping[int, Reason]) -> Decided:
    """A conversation without some of its targets; None if none is left.

    Args:
        reasons: By number of the turn; turns that are no target are left alone.

    Returns:
        What goes on, and a fate for each turn that was withheld (by the id of its first message). If nothing goes on,
        there is also a fate for each message.
    """
    taken = {n: reason for n, reason in reasons.items() if conversation.turns[n].is_target}
    turns = tuple(turn.with_target(turn.is_target and n not in taken) for n, turn in enumerate(conversation.turns))
    fates = tuple(changed(conversation.turns[n].ids[0], taken[n].word, taken[n].detail) for n in sorted(taken))
    if any(turn.is_target for turn in turns):
        return conversation.with_turns(turns), fates
    _, ends = drop(conversation, NOTHING_LEFT)
    return None, fates + ends


def drop(conversation: Conversation, reason: Reason) -> Decided:
    """Nothing, and the same fate for each message."""
    ids = (id for turn in conversation.turns for id in turn.ids)
    return None, tuple(dropped(id, reason.word, reason.detail) for id in ids)
