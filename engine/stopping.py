"""Ends an answer at a stop string, even one that arrives in pieces.

Knows nothing of tokens: text in, the text that may be shown out.
"""

from collections.abc import Sequence


class StopMatcher:
    """Holds back text that may turn out to be the beginning of a stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        """Empty strings in `stop` are ignored."""
        self._stop = tuple(s for s in stop if s)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Take new text; return what may be shown, and whether a stop string has ended the answer."""
        self._held += text
        found = [at for at in (self._held.find(s) for s in self._stop) if at >= 0]
        if found:
            shown, self._held = self._held[: min(found)], ""
            return shown, True
        keep = self._longest_partial_match()
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown, False

    def flush(self) -> str:
        """The answer ended otherwise: what was held back was no stop string after all."""
        held, self._held = self._held, ""
        return held

    def _longest_partial_match(self) -> int:
        """Length of the longest end of the held text that a stop string begins with."""
        longest = min(len(self._held), max((len(s) - 1 for s in self._stop), default=0))
        for size in range(longest, 0, -1):
            if self._held.endswith(tuple(s[:size] for s in self._stop if len(s) > size)):
                return size
        return 0
