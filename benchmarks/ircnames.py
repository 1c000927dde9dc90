"""How well names in the middle of a text are told from words, on logs of which nobody has marked the names.

What stands for a judge: letters that people say in many other logs in which nobody bears them are a word, all others
are the name. That is too strict on regulars, whom people talk about in logs where they do not speak.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.speakers import Called
from finetune.message import SourceMessage
from finetune.threads.names import call_names

WORD_LOGS = 8  # in so many other logs somebody says it

_WORD = re.compile(r"(?<![\w/\\.=~#$@-])\w{3,}(?![\w/\\@=-])")


@dataclass(frozen=True)
class NamesFound:
    """Of the one-word names that stand in texts, elsewhere than at the start."""

    names: int
    names_found: int
    words: int
    words_taken_for_names: int
    addresses: int


def names_found(logs: Sequence[Sequence[SourceMessage]]) -> NamesFound:
    """How many names of who speaks in a log are found, and how many words are taken for names."""
    words = _words(logs)
    said: Counter[tuple[bool, bool]] = Counter()
    addresses = 0
    for log in logs:
        bearers = {message.name.lower() for message in log}
        for before, after in zip(log, call_names(log), strict=True):
            addresses += bool(after.pieces) and isinstance(after.pieces[0], Called)
            left = Counter(word for word in _middle(after.text) if word in bearers)
            everything = Counter(word for word in _middle(before.text) if word in bearers)
            for word, count in everything.items():
                said[word in words, True] += count - min(left[word], count)
                said[word in words, False] += min(left[word], count)
    return NamesFound(
        names=said[False, True] + said[False, False],
        names_found=said[False, True],
        words=said[True, True] + said[True, False],
        words_taken_for_names=said[True, True],
        addresses=addresses,
    )


def _middle(text: str) -> list[str]:
    return [match[0].lower() for match in _WORD.finditer(text) if match.start() > 0]


def _words(logs: Sequence[Sequence[SourceMessage]]) -> frozenset[str]:
    counts: Counter[str] = Counter()
    for log in logs:
        bearers = {message.name.lower() for message in log}
        counts.update({word for message in log for word in _middle(message.text)} - bearers)
    return frozenset(word for word, count in counts.items() if count >= WORD_LOGS)
