"""Texts that were said apart, read together: what somebody cut in two is whole again.

Whoever says something in several messages may break the line, a phrase, or a number between them, so that there are
several ways in which the parts may belong together. Knows nothing of what is looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one of the texts: `texts[number][start:end]`."""

    number: int
    start: int
    end: int


class Join:
    """Texts as one, without the spaces around each and with `between` in their place.

    Attributes:
        text: The whole.
        between: What stands between two texts that are not blank.
    """

    def __init__(self, texts: Sequence[str], between: str) -> None:
        """Each text of `texts` may be blank."""
        self.between = between
        self._texts = texts
        self._stretches: list[tuple[int, Part]] = []
        words, end = [], 0
        for number, text in enumerate(texts):
            if word := text.strip():
                skipped = len(text) - len(text.lstrip())
                self._stretches.append((end, Part(number, skipped, skipped + len(word))))
                words.append(word)
                end += len(word) + len(between)
        self.text = between.join(words)

    def new_words(self) -> list[str]:
        """Words that are in none of the texts, as nothing stands between two."""
        known = {word for text in self._texts for word in text.split()}
        return [word for word in self.text.split() if word not in known]

    def parts(self, start: int, end: int) -> tuple[Part, ...]:
        """Of which texts `text[start:end]` is made, and of what in each."""
        parts = []
        for begin, whole in self._stretches:
            first = max(whole.start, whole.start + start - begin)
            last = min(whole.end, whole.start + end - begin)
            if first < last:
                parts.append(Part(whole.number, first, last))
        return tuple(parts)
