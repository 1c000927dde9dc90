"""Conversations as what the model is shown: the way from the root to an answer, in tags and roles.

Not a window over what was said around it: in a busy group the neighbours of an answer belong to other conversations.
Speakers are rendered by `engine.speakers`, as in serving. Knows nothing of tokens.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from engine.speakers import Called, Cast, Piece, Utterance
from finetune.conversation import Conversation, Turn
from finetune.dataset.example import ExampleMessage
from finetune.dataset.voices import BREAK
from finetune.message import Kind, Role

_AFTER_NAME = re.compile(r"^\s*[:,]?\s*")
_BEFORE_NAME = re.compile(r"[\s,]*$")
_ENDS = (".", "!", "?")
_OPENS_A_LINE = re.compile(r"\n\s*$")


@dataclass(frozen=True)
class Voice:
    """Whose part is learnt on a path: one author's, or the assistant's for None."""

    author: str | None

    def is_speaking(self, turn: Turn) -> bool:
        """Whether the turn is the model's part."""
        if self.author is None:
            return turn.role is Role.ASSISTANT or turn.kind is Kind.CORRECTION
        return turn.author == self.author


def paths(turns: Sequence[Turn]) -> Iterator[tuple[int, ...]]:
    """The numbers of the turns from the root to each turn that nothing answers, in the order of the latter."""
    parents = {turn.parent for turn in turns}
    for number in range(len(turns)):
        if number not in parents:
            yield path_to(turns, number)


def path_to(turns: Sequence[Turn], number: int) -> tuple[int, ...]:
    """The numbers of the turns from the root to one of them."""
    path: list[int] = []
    at: int | None = number
    while at is not None:
        path.append(at)
        at = turns[at].parent
    return tuple(reversed(path))


def voices(turns: Iterable[Turn]) -> list[Voice]:
    """Whose parts some targets are: the assistant's where there are roles, otherwise each author's own."""
    return list(dict.fromkeys(Voice(turn.author if turn.role is None else None) for turn in turns))


def shown(
    conversation: Conversation, turns: Sequence[Turn], voice: Voice, weights: Sequence[float], persona: str
) -> tuple[ExampleMessage, ...]:
    """Turns of a path as messages.

    Args:
        weights: One for each turn; what is said in a row is one message, learnt if all of it is.
        persona: The system message, unless the source has one.
    """
    said = [
        (utterance, weight)
        for turn, weight in zip(turns, weights, strict=True)
        if turn.role is not Role.SYSTEM
        for utterance in _utterances(turn, voice)
    ]
    cast = Cast(is_shared=conversation.is_shared or any(_is_calling(utterance) for utterance, _ in said))
    messages = cast.messages(utterance for utterance, _ in said)
    runs = groupby(said, key=lambda each: each[0].speaker is None)
    lowest = [min(weight for _, weight in run) for _, run in runs]
    system = "\n".join(turn.text for turn in turns if turn.role is Role.SYSTEM) or persona
    return (
        *([ExampleMessage("system", system)] if system else []),
        *(ExampleMessage(m.role, m.content, w) for m, w in zip(messages, lowest, strict=True)),
    )


def _is_calling(utterance: Utterance) -> bool:
    """Whether an answer calls somebody by name; then each needs a tag, even one who is alone with the model."""
    return utterance.speaker is None and any(isinstance(piece, Called) for piece in utterance.pieces)


def _utterances(turn: Turn, voice: Voice) -> Iterator[Utterance]:
    """One for each message, as when serving."""
    for pieces in _messages(turn):
        if voice.is_speaking(turn):
            yield Utterance(
                None, _without_addresses(pieces), is_typed=turn.role is None or turn.kind is Kind.CORRECTION
            )
        else:
            yield Utterance(turn.author, _without(pieces, voice))


def _messages(turn: Turn) -> Iterator[tuple[Piece, ...]]:
    """What a turn says, message by message."""
    if len(turn.ids) == 1:
        yield turn.pieces
        return
    for is_break, pieces in groupby(turn.pieces, key=lambda piece: piece == BREAK):
        if not is_break:
            yield tuple(pieces)


def _without_addresses(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """An answer without names that open its lines: whom it answers is plain, and engines cut an answer off there."""
    return _without_names(pieces, lambda _, opens_a_line: opens_a_line)


def _without(pieces: tuple[Piece, ...], voice: Voice) -> tuple[Piece, ...]:
    """What is said to the one whose part is learnt, without that one's name: bots never see their own."""
    if voice.author is None or Called(voice.author) not in pieces:
        return pieces
    return _without_names(pieces, lambda name, _: name.speaker == voice.author)


def _without_names(pieces: Sequence[Piece], is_left_out: Callable[[Called, bool], bool]) -> tuple[Piece, ...]:
    """A text without some names, and without what parted them from the rest.

    Args:
        is_left_out: Is given a name and whether it opens a line.
    """
    kept: list[Piece] = []
    is_gap = False
    for piece in pieces:
        opens_a_line = not kept or (isinstance(kept[-1], str) and _OPENS_A_LINE.search(kept[-1]) is not None)
        if isinstance(piece, Called):
            is_gap = is_left_out(piece, opens_a_line)
            kept += () if is_gap else (piece,)
            continue
        text = piece
        if is_gap:
            text = _AFTER_NAME.sub("", piece) if opens_a_line else _closed(kept, piece)
            is_gap = not text
        kept += (text,) if text else ()
    if is_gap and kept and isinstance(kept[-1], str):
        kept[-1] = _BEFORE_NAME.sub("", kept[-1])
    return tuple(kept)


def _closed(kept: list[Piece], after: str) -> str:
    """What follows a gap in the middle of a line, as one goes on with what stands before it."""
    before = kept[-1]
    if not isinstance(before, str):
        return after
    if after.startswith(_ENDS):
        kept[-1] = _BEFORE_NAME.sub("", before)
        return after
    return after.removeprefix(" ") if before.endswith(" ") else after
