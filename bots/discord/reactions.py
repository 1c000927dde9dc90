"""What reactions say of an answer: thumbs up or down, or the like.

Knows nothing of whose message it is.
"""

from collections.abc import Mapping

from bots.bounded import remember

SCORES: Mapping[str, int] = {
    "\N{THUMBS UP SIGN}": 1,
    "\N{HEAVY BLACK HEART}": 1,
    "\N{CLAPPING HANDS SIGN}": 1,
    "\N{PARTY POPPER}": 1,
    "\N{HUNDRED POINTS SYMBOL}": 1,
    "\N{THUMBS DOWN SIGN}": -1,
}

_SKIN_TONES = dict.fromkeys(range(127995, 128000))
_VARIATIONS = {0xFE0E: None, 0xFE0F: None}


def score_of(emoji: str) -> int | None:
    """1 or -1; None for an emoji that says neither."""
    return SCORES.get(emoji.translate(_SKIN_TONES | _VARIATIONS))


class Reactions:
    """Who put what below which message, as far as this run has seen it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], dict[str, int]] = {}

    def change(self, message_id: int, user_id: int, emoji: str, *, is_added: bool) -> int | None:
        """Note a change; returns what the person thinks now, by the newest reaction, None if that is not clear."""
        score = score_of(emoji)
        if score is None:
            return None
        key = message_id, user_id
        reactions = remember(self._seen, key, self._seen.get(key, {}))
        reactions.pop(emoji, None)
        if is_added:
            reactions[emoji] = score
        return next(reversed(reactions.values()), 0)
