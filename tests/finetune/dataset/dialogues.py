"""Conversations for tests, from a few words."""

import random
from collections.abc import Iterable, Sequence

from finetune.conversation import Conversation, LinkKind, Turn

WORDS = (
    *("river", "lantern", "copper", "garden", "window", "thunder", "basket", "marble", "orchard", "whisper", "saddle"),
    *("feather", "harbour", "candle", "meadow", "blanket", "compass", "thistle", "gravel", "ribbon", "pepper"),
    *("anchor", "velvet", "hollow", "bridge", "cinder", "walnut", "mirror", "tunnel", "pebble"),
)


# What `started_at_ms` counts from: a time that is believed.
EPOCH_MS = 10**12


def turn(id: str, author: str, text: str, parent: int | None, **more: object) -> Turn:
    link = LinkKind.ROOT if parent is None else LinkKind.REPLY
    return Turn((id,), author, (text,) if text else (), parent, link, **more)  # type: ignore[arg-type]


def dialogue(
    key: str,
    texts: Sequence[str],
    *,
    author: str = "bea",
    chat: str = "square",
    started_at_ms: int | None = None,
    source: str = "log",
    targets: Iterable[int] | None = None,
) -> Conversation:
    """Somebody and `author` by turns; what `author` says may be learnt, or the turns that are named."""
    chosen = set(range(1, len(texts), 2) if targets is None else targets)
    turns = tuple(
        turn(
            key if n == 0 else f"{key}.{n}",
            author if n % 2 else "somebody",
            text,
            n - 1 if n else None,
            sent_at_ms=None if started_at_ms is None else EPOCH_MS + started_at_ms + n,
            is_target=n in chosen,
        )
        for n, text in enumerate(texts)
    )
    return Conversation(key, source, "test", chat, turns, is_shared=False)


def sentence(rng: random.Random, num_words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(num_words))


def targets(conversations: Iterable[Conversation]) -> list[Turn]:
    return [each for conversation in conversations for each in conversation.turns if each.is_target]
