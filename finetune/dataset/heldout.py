"""Which answers are kept from being learnt, as what is learnt is judged by them.

The same dialogue may be there twice, once with more before it, and then is neither the same conversation nor nearly.
Answers are known by digests of themselves and of what they answer. Knows nothing of how splits are chosen.
"""

from collections.abc import Collection, Iterable, Iterator

from finetune.conversation import Conversation, Turn
from finetune.dataset.similarity import digest, normalised
from finetune.dataset.withholding import Decided, Reason, withhold

# Shorter answers, `yes`, are given to the same words by anybody: that one judges is no reason not to learn the others.
ANSWER_CHARS = 20
# An answer of this length is known without what it answers, which may be cut off or have another form.
LONG_CHARS = 60
# By chance two of a million are the same with a probability of 10^-17.
DIGEST_BYTES = 12

HELD_OUT = Reason("held out", "what is learnt is judged by the same answer")


def known_answers(conversation: Conversation) -> Iterator[tuple[int, frozenset[str]]]:
    """What each turn that may be learnt is known by, with its number; those that are short have nothing."""
    for number, turn in enumerate(conversation.turns):
        if turn.is_target:
            yield number, _known_by(turn, conversation.turns)


def answers_of(conversations: Iterable[Conversation]) -> frozenset[str]:
    """What all turns that may be learnt are known by."""
    return frozenset(each for one in conversations for _, known_by in known_answers(one) for each in known_by)


def without(conversation: Conversation, held: Collection[str]) -> Decided:
    """A conversation in which no answer is learnt that is known by something that is held; None if none is left."""
    shared = {number: HELD_OUT for number, known_by in known_answers(conversation) if not known_by.isdisjoint(held)}
    return withhold(conversation, shared)


def shared_answers(conversations: Iterable[Conversation], held: Collection[str]) -> int:
    """How many turns may be learnt that are known by something that is held."""
    return sum(not known_by.isdisjoint(held) for one in conversations for _, known_by in known_answers(one))


def short_digest(*parts: str) -> str:
    """What texts are remembered by, where there are many."""
    return digest(*parts)[:DIGEST_BYTES].hex()


def _known_by(turn: Turn, turns: tuple[Turn, ...]) -> frozenset[str]:
    text = normalised(turn.text)
    if len(text) < ANSWER_CHARS:
        return frozenset()
    before = "" if turn.parent is None else normalised(turns[turn.parent].text)
    pair = short_digest("pair", before, text)
    return frozenset((pair, short_digest("answer", text)) if len(text) >= LONG_CHARS else (pair,))
