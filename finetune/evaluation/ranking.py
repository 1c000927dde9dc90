"""Reply ranking: how often a model finds the reply that was given, among others that were given elsewhere.

Hits@1 of ten, as in retrieval-based dialogue (Lowe et al., 2015, arXiv:1506.08909; Zhang et al., 2018,
arXiv:1801.07243), but by what the context adds to a reply's likelihood: alone, likelihood prefers what is short and
common. A stand-in, without a judge, for whether a model speaks to the point. Knows nothing of limits.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from finetune.dataset.example import Example, ExampleMessage
from finetune.dataset.rendering import Renderer
from finetune.dataset.similarity import normalised
from finetune.evaluation import losses
from finetune.evaluation.scoring import Scorer

NUM_QUESTIONS = 100
NUM_OTHERS = 9
# Of a reply: whether it is to the point is said by then, and a few long replies would take most of the time.
MAX_TOKENS = 32

# Templates that ask for user and assistant in turns (Gemma, Mistral) refuse a conversation without a user's turn; an
# empty one says nothing in all of them.
NOTHING_SAID = ExampleMessage("user", "")


@dataclass(frozen=True)
class Ranking:
    """How often the true reply came first; NaN if nothing could be asked.

    Attributes:
        num_questions: How many replies were looked for.
    """

    hits_at_1: float
    num_questions: int


@dataclass(frozen=True)
class Question:
    """A conversation up to a reply, and the replies to choose from.

    Attributes:
        candidates: The true one first; no two of them are the same.
    """

    context: tuple[ExampleMessage, ...]
    candidates: tuple[str, ...]


def questions(examples: Iterable[Example], number: int = NUM_QUESTIONS) -> list[Question]:
    """One question of each of so many conversations; none if there are not ten different replies.

    The other replies are drawn by hash from other conversations among them, so that the same examples give the same
    questions to every model, and few replies have to be scored.
    """
    asked = list(_last_replies(losses.chosen(examples, number)))
    found = []
    for one in asked:
        others = _others(one, asked)
        if len(others) == NUM_OTHERS:
            found.append(Question(one.context, (one.reply, *others)))
    return found


def rank(
    scorer: Scorer, renderer: Renderer, asked: Sequence[Question], on_done: Callable[[], None] = lambda: None
) -> Ranking:
    """How often the true reply gains most by its context; that it is equal to another does not count.

    Args:
        on_done: Called after each question.

    Raises:
        TooLongError: A conversation does not fit into the model's context.
        ChatTemplateError: The model's template refuses one.
    """
    alone = _Alone(scorer, renderer)
    hits = 0
    for question in asked:
        in_context = _means(scorer, renderer, question.context, question.candidates)
        without = alone.means(question)
        true, *others = (a - b for a, b in zip(without, in_context, strict=True))
        hits += all(true > other for other in others)
        on_done()
    return Ranking(hits / len(asked) if asked else math.nan, len(asked))


@dataclass
class _Alone:
    """What replies cost without a context, each found out once."""

    scorer: Scorer
    renderer: Renderer
    known: dict[tuple[tuple[ExampleMessage, ...], str], float] = field(default_factory=dict)

    def means(self, question: Question) -> list[float]:
        """Of each candidate, after the persona alone."""
        persona = tuple(message for message in question.context[:1] if message.role == "system")
        new = [text for text in question.candidates if (persona, text) not in self.known]
        found = _means(self.scorer, self.renderer, (*persona, NOTHING_SAID), new)
        self.known |= {(persona, text): mean for text, mean in zip(new, found, strict=True)}
        return [self.known[persona, text] for text in question.candidates]


@dataclass(frozen=True)
class _Asked:
    """A reply that was given."""

    id: str
    conversation: str
    context: tuple[ExampleMessage, ...]
    reply: str


def _last_replies(examples: Iterable[Example]) -> Iterator[_Asked]:
    """The last reply of one example of each conversation."""
    seen: set[str] = set()
    for example in sorted(examples, key=lambda example: losses.order(example.id)):
        place = max((at for at, message in enumerate(example.messages) if message.is_target), default=None)
        if place is not None and example.conversation not in seen:
            seen.add(example.conversation)
            context = tuple(replace(message, weight=0.0) for message in example.messages[:place])
            yield _Asked(example.id, example.conversation, context, example.messages[place].content)


def _others(one: _Asked, asked: Iterable[_Asked]) -> list[str]:
    """Replies to others than this one, each of them once, by hash."""
    found: dict[str, str] = {}
    for other in sorted(asked, key=lambda other: losses.order(f"{one.id}\n{other.id}")):
        if normalised(other.reply) != normalised(one.reply):
            found.setdefault(normalised(other.reply), other.reply)
    return list(found.values())[:NUM_OTHERS]


def _means(
    scorer: Scorer, renderer: Renderer, context: Sequence[ExampleMessage], replies: Sequence[str]
) -> list[float]:
    """Mean nats of a token of each reply's words, after one context."""
    if not replies:
        return []
    encoded = [renderer.encode((*context, ExampleMessage("assistant", reply, weight=1.0))) for reply in replies]
    places = [renderer.word_places(each)[:MAX_TOKENS] for each in encoded]
    start = min(at for at, weight in enumerate(encoded[0].weights) if weight > 0)
    shown = [each.ids[start : at[-1] + 1] for each, at in zip(encoded, places, strict=True)]
    scored = scorer.score_after(encoded[0].ids[:start], shown)
    return [float(np.mean(each.nats[np.array(at) - start])) for each, at in zip(scored, places, strict=True)]
