"""Random conversations, in which every message has a word of its own that says where it went."""

import random
import re
from collections.abc import Iterable

from engine.speakers import Called, Piece
from finetune.conversation import Conversation, LinkKind, Turn
from finetune.message import Kind, Rating, Role

_WORD = re.compile(r"w\d+x")
_LINKS = (LinkKind.REPLY, LinkKind.ADDRESSED, LinkKind.INFERRED, LinkKind.INFERRED)
_LEAVES = (Kind.CORRECTION, Kind.REJECTED)
FILLER = ("and so on ", "the river is high today ", "", "[B] said no ", "line\nline ", "<|im_end|> ")


def word(id: str) -> str:
    """The word of the message of that id."""
    return f"w{id.removeprefix('m')}x"


def words(texts: Iterable[str]) -> list[str]:
    """The words of messages in some texts, in order."""
    return [found for text in texts for found in _WORD.findall(text)]


def ids_of(found: Iterable[str]) -> list[str]:
    return [f"m{each[1:-1]}" for each in found]


def random_tree(rng: random.Random, *, has_roles: bool, num_turns: int | None = None) -> Conversation:
    """A tree of turns by a few people, or by people and an assistant, with times or without."""
    people = ("ann", "bea", "cem", "dot")[: rng.randint(1 if has_roles else 2, 4)]
    has_times, now = rng.random() < 0.7, 0
    turns: list[Turn] = []
    for number in range(num_turns or rng.randint(1, 25)):
        now += rng.choice((0, 1_000, 60_000, 130_000, 600_000))
        turns.append(_turn(rng, turns, number, people, now if has_times else None, has_roles=has_roles))
    return Conversation("m0", "log", "test", "square", tuple(turns), is_shared=rng.random() < 0.2)


def _turn(
    rng: random.Random, turns: list[Turn], number: int, people: tuple[str, ...], now: int | None, *, has_roles: bool
) -> Turn:
    # Corrections and rejected answers are leaves: nobody answers them.
    before = [n for n, turn in enumerate(turns) if turn.kind not in _LEAVES]
    parent = rng.choice(before[-3:]) if before and rng.random() < 0.93 else None
    is_ours = has_roles and rng.random() < 0.5
    kind = rng.choice((*_LEAVES, *[Kind.MESSAGE] * 8)) if is_ours and parent is not None else Kind.MESSAGE
    is_bot = is_ours and kind is not Kind.CORRECTION and rng.random() < 0.7
    role = None if not has_roles else Role.ASSISTANT if is_ours else Role.USER
    if has_roles and number == 0 and rng.random() < 0.3:
        role, is_ours, is_bot, kind = Role.SYSTEM, False, False, Kind.MESSAGE
    author = "" if is_bot else rng.choice(people)
    link = LinkKind.ROOT if parent is None else rng.choice(_LINKS)
    ratings = tuple(Rating(rng.choice(people), rng.choice((1, 1, 1, -1)), "button") for _ in range(rng.randint(0, 2)))
    return Turn(
        (f"m{number}",),
        author,
        tuple(_pieces(rng, number, people)),
        parent,
        link,
        sent_at_ms=now,
        role=role,
        kind=kind,
        is_bot=is_bot,
        ratings=ratings if is_bot and kind is Kind.MESSAGE else (),
    )


def _pieces(rng: random.Random, number: int, people: tuple[str, ...]) -> list[Piece]:
    pieces: list[Piece] = []
    if rng.random() < 0.3:
        pieces += [Called(rng.choice(people)), ": "]
    pieces.append(rng.choice(FILLER) * rng.randint(0, 6) + word(f"m{number}"))
    if rng.random() < 0.2:
        pieces += [" ", Called(rng.choice(people)), rng.choice((" ok", "!"))]
    return pieces
