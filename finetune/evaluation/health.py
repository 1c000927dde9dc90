"""What is to be seen of a model's answers without reading them: whether they are empty, endless, stale or copied.

Plain counting over plain texts. Knows nothing of models, nor of how much of what is too much.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from finetune.dataset import quality
from finetune.dataset.similarity import normalised
from finetune.evaluation.answers import Answer
from finetune.evaluation.figures import Health
from finetune.evaluation.verbatim import VerbatimIndex

NGRAM = 4
# As `engine.speakers` writes who speaks, at the start of what is said. The model itself speaks without.
_SPEAKER = re.compile(r"^\s*\[[A-Z]{1,2}\]", re.MULTILINE)


def health(answers: Sequence[Answer], blocked: Collection[str], known: VerbatimIndex) -> Health:
    """The figures of some answers, at least one.

    Args:
        blocked: Words, or several in a row, that answers should not hold.
        known: What people have said that the model has learnt.
    """
    words = [[word.casefold() for word in quality.Answer(answer.text).words] for answer in answers]
    forbidden = _pattern(blocked)
    return Health(
        answers=len(answers),
        empty=_share(not answer.text.strip() for answer in answers),
        endless=_share(not answer.has_ended for answer in answers),
        repetition=_repetition(words),
        distinct_2=_distinct_2(words),
        common_reply=_common_reply(answers),
        other_speaker=_share(_SPEAKER.search(answer.text) is not None for answer in answers),
        blocked=_share(forbidden.search(answer.text.casefold()) is not None for answer in answers),
        verbatim=_share(known.holds_part_of(answer.text) for answer in answers),
    )


def _share(found: Iterable[bool]) -> float:
    every = list(found)
    return sum(every) / len(every)


def _repetition(answers: Iterable[Sequence[str]]) -> float:
    """4-grams that stood in the same answer before, of all; 0 if no answer has four words."""
    repeated = total = 0
    for words in answers:
        grams = [tuple(words[at : at + NGRAM]) for at in range(len(words) - NGRAM + 1)]
        repeated += len(grams) - len(set(grams))
        total += len(grams)
    return repeated / total if total else 0.0


def _distinct_2(answers: Iterable[Sequence[str]]) -> float:
    """Different pairs of words, of all (distinct-2: Li et al., 2016, arXiv:1510.03055); 0 if there are none."""
    pairs = [pair for words in answers for pair in pairwise(words)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _common_reply(answers: Iterable[Answer]) -> float:
    """Prompts that got the most common reply, of all: two equal answers to one prompt are no sign of staleness.

    0 if no two prompts got the same one.
    """
    asked: set[str] = set()
    prompts_of: defaultdict[str, set[str]] = defaultdict(set)
    for answer in answers:
        asked.add(answer.prompt)
        if text := normalised(answer.text):
            prompts_of[text].add(answer.prompt)
    most = max(map(len, prompts_of.values()), default=0)
    return most / len(asked) if most > 1 else 0.0


def _pattern(blocked: Collection[str]) -> re.Pattern[str]:
    """What finds any of some words as a word, in a casefolded text."""
    words = (re.escape(word.strip().casefold()) for word in blocked if word.strip())
    return re.compile(rf"(?<!\w)(?:{'|'.join(words) or '(?!)'})(?!\w)")
