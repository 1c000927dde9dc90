"""What somebody said in several messages, read as one thought: a secret or an address may stand in none of them alone.

Looks at each turn of several messages, and at two turns of one person where the second goes on from the first. Knows
nothing of other people's answers: who gives half of a number each is not found.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from finetune.cleaning.joins import Part
from finetune.cleaning.personal import Across, PersonalData, told
from finetune.cleaning.secrets import SecretScanner
from finetune.conversation import Conversation, Turn
from finetune.dataset.voices import BREAK
from finetune.dataset.withholding import Decided
from finetune.fate import Fate, changed

VERSION = 1

REMOVED = "[message removed]"
# A message may end where a line does, between two words, or in the middle of one.
BETWEEN_MESSAGES = ("\n", " ", "")

_SCANNER = SecretScanner()
_PERSONAL_DATA = PersonalData()


@dataclass(frozen=True, slots=True)
class _Place:
    """A stretch of words: `turns[turn].pieces[piece]`."""

    turn: int
    piece: int


def cleaned(conversation: Conversation) -> Decided:
    """The conversation without what shows only when messages are read together; it always goes on.

    Returns:
        A turn with a secret says `REMOVED` and is no target; personal data is a placeholder in each of its messages.
        There is a fate for each message of a turn that was changed.
    """
    turns = list(conversation.turns)
    runs = list(_runs(turns))
    fates = [fate for run in runs for fate in _remove_secret(turns, run)]
    fates += [fate for run in runs for fate in _redact(turns, run)]
    return (conversation.with_turns(tuple(turns)), tuple(fates)) if fates else (conversation, ())


def _runs(turns: Sequence[Turn]) -> Iterator[tuple[int, ...]]:
    """Numbers of turns that one person said one after the other, together of several messages."""
    for number, turn in enumerate(turns):
        if len(turn.ids) > 1:
            yield (number,)
        if turn.parent is not None and turns[turn.parent].author == turn.author:
            yield turn.parent, number


def _remove_secret(turns: list[Turn], run: Sequence[int]) -> Iterator[Fate]:
    """Put `REMOVED` in place of all turns of a run that hold a part of a secret."""
    places = _places(turns, run)
    texts = [_words(turns, place) for place in places]
    rules, numbers = set[str](), set[int]()
    for rule, parts in _SCANNER.find_across(texts, BETWEEN_MESSAGES):
        rules.add(rule)
        numbers |= {places[part.number].turn for part in parts}
    for number in sorted(numbers):
        turn = turns[number]
        turns[number] = replace(turn, pieces=(REMOVED,), is_target=False, ratings=())
        detail = f"{', '.join(sorted(rules))}; it stood in several messages"
        yield from (changed(id, "secret", detail) for id in turn.ids)


def _redact(turns: list[Turn], run: Sequence[int]) -> Iterator[Fate]:
    """Put placeholders in place of personal data in all turns of a run, until there is none; see `PersonalData`."""
    places = _places(turns, run)
    counts = {number: Counter[str]() for number in run}
    while found := _PERSONAL_DATA.find_across([_words(turns, place) for place in places], BETWEEN_MESSAGES):
        for across in found:
            for number in {places[part.number].turn: None for part in across.parts}:
                counts[number][across.type] += 1
        for part, placeholder in _from_the_end(found):
            place = places[part.number]
            words = _words(turns, place)
            _say(turns, place, f"{words[: part.start]}{placeholder}{words[part.end :]}")
    for number, count in counts.items():
        detail = f"{told(count)}, in several messages"
        yield from (changed(id, "personal data", detail) for id in turns[number].ids if count)


def _from_the_end(found: Sequence[Across]) -> list[tuple[Part, str]]:
    parts = [(part, f"<{across.type}>") for across in found for part in across.parts]
    return sorted(parts, key=lambda each: (each[0].number, each[0].start), reverse=True)


def _places(turns: Sequence[Turn], run: Sequence[int]) -> list[_Place]:
    return [
        _Place(number, n)
        for number in run
        for n, piece in enumerate(turns[number].pieces)
        if isinstance(piece, str) and piece != BREAK
    ]


def _words(turns: Sequence[Turn], place: _Place) -> str:
    piece = turns[place.turn].pieces[place.piece]
    assert isinstance(piece, str)
    return piece


def _say(turns: list[Turn], place: _Place, words: str) -> None:
    pieces = list(turns[place.turn].pieces)
    pieces[place.piece] = words
    turns[place.turn] = replace(turns[place.turn], pieces=tuple(pieces))
