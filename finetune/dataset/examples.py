"""Makes examples of conversations that fit into the model's context, so that each target is learnt exactly once.

Knows nothing of splits or files.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from engine.errors import ChatTemplateError
from engine.speakers import Called
from finetune.conversation import Conversation, Turn
from finetune.dataset.example import Example, ExampleMessage
from finetune.dataset.paths import Voice, path_to, paths, shown, voices
from finetune.dataset.rendering import Encoded, Renderer, RenderingError
from finetune.dataset.windows import Answer, Way, Window
from finetune.fate import Fate, dropped

VERSION = 1
# What a tag takes, with its space.
TAG_TOKENS = 4
# For what else a template writes: before the first message, or behind the last one.
SPARE_TOKENS = 20

ASSISTANT = Voice(None)


@dataclass(frozen=True)
class Made:
    """An example and what the model sees of it."""

    example: Example
    encoded: Encoded

    @property
    def target_lengths(self) -> list[int]:
        """How many tokens each target has."""
        runs = groupby(self.encoded.weights, key=lambda weight: weight > 0)
        return [len(list(run)) for is_target, run in runs if is_target]


@dataclass(frozen=True)
class Exchange:
    """An answer and what it was given to.

    Attributes:
        message_ids: Of all that is shown.
    """

    prompt: tuple[ExampleMessage, ...]
    answer: str
    message_ids: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Why nothing can be made of an answer; as in `Fate`."""

    reason: str
    detail: str


TOO_LONG = "too long"
NOTHING_BEFORE = Refusal("nothing before it", "what it answers is not there")
NOT_WHOLE = Refusal("not whole", "it goes on from an answer that is not learnt with it")
EMPTY = Refusal("empty", "nothing is left of it without the names of those whom it answers")


@dataclass(frozen=True)
class _Rendered:
    messages: tuple[ExampleMessage, ...]
    encoded: Encoded


class ExampleMaker:
    """Makes the examples of conversations for one model."""

    def __init__(self, renderer: Renderer, persona: str, limit_tokens: int) -> None:
        self._renderer, self._persona, self._limit = renderer, persona, limit_tokens
        self._overhead = renderer.overhead()
        self._persona_cost = renderer.count(persona) + self._overhead

    def make(self, conversation: Conversation) -> tuple[list[Made], tuple[Fate, ...]]:
        """All examples of a conversation, and the targets that none could be made of."""
        made: list[Made] = []
        fates: list[Fate] = []
        turns, costs = conversation.turns, self._costs(conversation)
        learnt: set[int] = set()
        for path in paths(turns):
            wanted = [n for n in path if turns[n].is_target and n not in learnt]
            learnt.update(wanted)
            for voice in voices(turns[n] for n in wanted):
                way = Way(conversation, voice, path, costs)
                answers, late = way.answers(frozenset(wanted))
                fates += _fates(late, NOT_WHOLE)
                for each in self._taught(way, answers):
                    if isinstance(each, Made):
                        made.append(each)
                    else:
                        fates.append(each)
        return made, tuple(fates)

    def exchange(self, conversation: Conversation, number: int) -> Exchange | Refusal:
        """One of the assistant's answers, to be learnt or not; what was said before has half of the context at most."""
        way = Way(conversation, ASSISTANT, path_to(conversation.turns, number), self._costs(conversation))
        place = len(way.numbers) - 1
        if place and way.is_voice(place - 1):
            return NOTHING_BEFORE
        window, found = self._rendered(way.half_window_of(Answer(place, place), self._room(way)))
        if isinstance(found, Refusal):
            return found
        *prompt, said = found.messages
        return Exchange(tuple(prompt), said.content, _ids(window))

    def _costs(self, conversation: Conversation) -> list[int]:
        """About how many tokens each turn takes: an estimate that saves most of the rendering."""
        return [self._cost(turn, is_tagged=conversation.is_shared) for turn in conversation.turns]

    def _cost(self, turn: Turn, *, is_tagged: bool) -> int:
        num_tags = sum(isinstance(piece, Called) for piece in turn.pieces) + is_tagged * len(turn.ids)
        return self._renderer.count(turn.text) + self._overhead + TAG_TOKENS * num_tags

    def _room(self, way: Way) -> int:
        """About how many tokens are left for what is said."""
        return self._limit - (way.system_cost or self._persona_cost) - SPARE_TOKENS

    def _taught(self, way: Way, answers: Sequence[Answer]) -> Iterator[Made | Fate]:
        """Examples that teach the answers of a path, each of them as many as fit together."""
        room = self._room(way)
        while answers:
            window, found = self._rendered(way.window(answers, room))
            if isinstance(found, Refusal):
                yield from _fates(window.learnt, found)
            else:
                yield Made(_example(window, found.messages), found.encoded)
            answers = answers[len(window.answers) :]

    def _rendered(self, window: Window) -> tuple[Window, _Rendered | Refusal]:
        """What the model sees of a window, or of as much of it as really fits."""
        found = self._tried(window)
        while isinstance(found, Refusal) and (smaller := _smaller(window, found)) is not None:
            window, found = smaller, self._tried(smaller)
        return window, found

    def _tried(self, window: Window) -> _Rendered | Refusal:
        way = window.way
        if window.start == window.answers[0].first:
            return NOTHING_BEFORE
        messages = shown(way.conversation, window.turns, way.voice, window.weights, self._persona)
        if any(message.is_target and not message.content.strip() for message in messages):
            return EMPTY
        try:
            encoded = self._renderer.encode(messages)
        except (RenderingError, ChatTemplateError) as error:
            return Refusal("not rendered", str(error))
        if len(encoded.ids) > self._limit:
            return Refusal(TOO_LONG, f"{len(encoded.ids)} tokens with what it answers, limit {self._limit}")
        return _Rendered(messages, encoded)


def _smaller(window: Window, refusal: Refusal) -> Window | None:
    """What to try in place of a window that was refused."""
    if len(window.answers) > 1:
        return window.of_first_answer()
    return window.shorter() if refusal.reason == TOO_LONG else None


def _example(window: Window, messages: tuple[ExampleMessage, ...]) -> Example:
    conversation, turns, learnt = window.way.conversation, window.turns, window.learnt
    return Example(
        id=learnt[-1].ids[0],
        conversation=conversation.key,
        source=conversation.source,
        messages=messages,
        message_ids=_ids(window),
        authors=tuple(dict.fromkeys(turn.author for turn in (*learnt, *turns))),
    )


def _ids(window: Window) -> tuple[str, ...]:
    return tuple(id for turn in window.turns for id in turn.ids)


def _fates(turns: Iterable[Turn], refusal: Refusal) -> Iterator[Fate]:
    return (dropped(turn.ids[0], refusal.reason, refusal.detail) for turn in turns)
