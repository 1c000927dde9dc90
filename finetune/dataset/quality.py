"""Which answers are worth learning, as far as their form says.

Rules look at an answer and at what it answers, one at a time, and at no language in particular. Knows nothing of what
is true, kind or wanted: there is no list of words in here.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from finetune.conversation import Conversation, Turn
from finetune.dataset.similarity import normalised
from finetune.dataset.withholding import Decided, Reason, withhold

VERSION = 1

# Discord's limit of a message, and half of the 1,024 tokens that an example may have.
MAX_CHARS = 2_000
# Chat holds more of `:-)` and `>>` than prose; Gopher wants 0.8 of the words to have a letter (Rae et al., 2021,
# arXiv:2112.11446, table A1). Below 0.4 of the characters it is a log, a table or a drawing.
MIN_LETTERS = 0.4
# Gopher allows the most common 4-gram 0.16 of the characters, in documents; in a line of chat one refrain is soon more.
MAX_REPEATED = 0.5
NGRAM = 4
# In fewer words, saying something twice is a manner of speaking: `no no no no`.
REPETITIVE_WORDS = 8
# `noooooooooo` is one, too.
REPETITIVE_CHARS = 20
# Keys, hashes and paths; no word has so many, and links are `<URL>` by now.
UNBROKEN_CHARS = 80

# As normalising and redaction leave them: `<URL>`, `<PHONE_NUMBER>`.
_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]*>")
_LINK = re.compile(r"\w+://\S+")
# Scripts without spaces between words count by character; `_` joins words in code and draws lines.
_SPACELESS = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_LETTERS = rf"[^\W_{_SPACELESS}]+"
_WORD = re.compile(rf"[{_SPACELESS}]|{_LETTERS}(?:['\u2019]{_LETTERS})*")
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_UNBROKEN = re.compile(rf"[!-~]{{{UNBROKEN_CHARS},}}")
# What cannot be decoded becomes U+FFFD; UTF-8 that was read as Windows-1252 shows as these.
_MOJIBAKE = re.compile("\ufffd|\u00e2\u20ac|\u00c3[\u0080-\u00bf]")


@dataclass(frozen=True)
class Answer:
    """What is judged: `question` is what it answers, None if it answers nothing."""

    text: str
    question: str | None = None

    @cached_property
    def bare(self) -> str:
        """Without links and placeholders."""
        return _LINK.sub(" ", _PLACEHOLDER.sub(" ", self.text))

    @cached_property
    def words(self) -> list[str]:
        """The words, in whatever script."""
        return _WORD.findall(self.bare)


def has_no_words(answer: Answer) -> bool:
    """Nothing is left without links, placeholders, punctuation and pictures."""
    return not answer.words


def is_one_word(answer: Answer) -> bool:
    """A bot of one word is no company; to a question, one may be all there is to say: `yes`."""
    return len(answer.words) == 1 and not _is_question(answer.question)


def is_too_long(answer: Answer) -> bool:
    """A chat message is shorter."""
    return len(answer.text) > MAX_CHARS


def is_broken(answer: Answer) -> bool:
    """It was decoded wrongly somewhere."""
    return _MOJIBAKE.search(answer.text) is not None


def is_echo(answer: Answer) -> bool:
    """It repeats what it answers."""
    return answer.question is not None and normalised(answer.text) == normalised(answer.question)


def is_code(answer: Answer) -> bool:
    """More than half of it stands in code fences, or something in it is too long for a word."""
    fenced = sum(len(block) for block in _FENCED.findall(answer.text))
    return fenced > len(answer.text) / 2 or _UNBROKEN.search(answer.bare) is not None


def has_few_letters(answer: Answer) -> bool:
    """Numbers and the marks of other scripts count as letters."""
    shown = "".join(answer.bare.split())
    letters = sum(unicodedata.category(char)[0] in "LMN" for char in shown)
    return letters < MIN_LETTERS * len(shown)


def is_repetitive(answer: Answer) -> bool:
    """One character, or one phrase of four words, makes up more than half of it."""
    shown = "".join(answer.text.casefold().split())
    return _is_one_character(shown) or _is_one_phrase([word.casefold() for word in answer.words])


@dataclass(frozen=True, slots=True)
class Rule:
    """What keeps an answer from being learnt."""

    reason: Reason
    applies: Callable[[Answer], bool]


# The first that applies is the reason.
RULES = (
    Rule(Reason("no words", "only links, placeholders, punctuation or pictures"), has_no_words),
    Rule(Reason("too short", "one word, and not to a question"), is_one_word),
    Rule(Reason("too long", f"more than {MAX_CHARS:,} characters"), is_too_long),
    Rule(Reason("broken characters", "decoded wrongly before it came here"), is_broken),
    Rule(Reason("echo", "the same as what it answers"), is_echo),
    Rule(Reason("code", "mostly code, or something too long for a word"), is_code),
    Rule(Reason("few letters", f"less than {MIN_LETTERS:.0%} letters and numbers"), has_few_letters),
    Rule(Reason("repetitive", f"more than {MAX_REPEATED:.0%} one character or one phrase"), is_repetitive),
)


def check(conversation: Conversation) -> Decided:
    """A conversation without the targets that are not worth learning; None if none is left.

    Returns:
        What goes on, and a fate for each turn that lost its place as a target; see `withhold`.
    """
    found = {n: _reason(conversation, turn) for n, turn in enumerate(conversation.turns) if turn.is_target}
    return withhold(conversation, {n: reason for n, reason in found.items() if reason is not None})


def _reason(conversation: Conversation, turn: Turn) -> Reason | None:
    question = None if turn.parent is None else conversation.turns[turn.parent].text
    answer = Answer(turn.text, question)
    return next((rule.reason for rule in RULES if rule.applies(answer)), None)


def _is_question(text: str | None) -> bool:
    # The question marks of Latin, Arabic, and Chinese and Japanese; Greek's is the Latin semicolon.
    return text is not None and text.rstrip().endswith(("?", "\u061f", "\uff1f"))


def _is_one_character(shown: str) -> bool:
    if len(shown) < REPETITIVE_CHARS:
        return False
    return max(Counter(shown).values()) > MAX_REPEATED * len(shown)


def _is_one_phrase(words: list[str]) -> bool:
    if len(words) < REPETITIVE_WORDS:
        return False
    phrases = [tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)]
    phrase, _ = Counter(phrases).most_common(1)[0]
    covered = {i + k for i, other in enumerate(phrases) if other == phrase for k in range(NGRAM)}
    return len(covered) > MAX_REPEATED * len(words)
