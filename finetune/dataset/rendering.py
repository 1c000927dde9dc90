"""Examples as token ids, by the very functions that make prompts when serving: speakers, template, tokeniser.

What stands before an answer is rendered and encoded as the prompt that would ask for it; the answer as what the model
would say then, up to and including the token that ends it. Knows nothing of how examples come about.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Self

from engine.bundle import TEMPLATE_NAME, TOKENIZER_NAME, Bundle
from engine.chat_template import ChatTemplate
from engine.errors import ChatTemplateError
from engine.generation import ChatMessage
from engine.prompt import text_parts
from engine.tokenizer import Tokenizer
from finetune.dataset.example import ExampleMessage
from finetune.errors import FinetuneError

# Of templates that do not tell; most have 4 to 6.
USUAL_OVERHEAD = 10


class RenderingError(FinetuneError):
    """The model's template does not render a conversation as a continuation of its own prompts."""


@dataclass(frozen=True)
class Span:
    """A part of a rendered example; `weight` is above 0 where it is to be learnt."""

    text: str
    weight: float


@dataclass(frozen=True)
class Encoded:
    """An example as the model sees it.

    Attributes:
        ids: [S] token ids.
        weights: [S] how much each counts in the loss; 0 for context.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def num_targets(self) -> int:
        """How many tokens are to be learnt."""
        return sum(weight > 0 for weight in self.weights)


class Renderer:
    """Renders and encodes as the engine does that serves a bundle."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer, stop_ids: Collection[int], digest: str) -> None:
        """`stop_ids` are the tokens that end an answer; `digest` is what template and tokeniser are known by."""
        self._template, self._tokenizer = template, tokenizer
        control = tokenizer.control_tokens
        self._control = _any_of(control)
        self._control_ids = frozenset(map(tokenizer.token_id, control))
        self._stop = _any_of(token for token in control if tokenizer.token_id(token) in stop_ids)
        self.digest = digest

    @classmethod
    def open(cls, bundle: Bundle) -> Self:
        """The renderer of a bundle."""
        template, tokenizer = text_parts(bundle)
        files = (bundle.file(TOKENIZER_NAME), bundle.file(TEMPLATE_NAME))
        digest = hashlib.sha256(b"".join(_hash(path) for path in files)).hexdigest()
        return cls(template, tokenizer, bundle.manifest.tokens.stop_ids, digest)

    def spans(self, messages: Sequence[ExampleMessage]) -> list[Span]:
        """An example as text, in parts that are learnt and parts that are not, by turns.

        The text before an answer is byte for byte the prompt that serving makes of the messages before it.

        Raises:
            RenderingError: The template renders them in another way once an answer follows.
            ChatTemplateError: It refuses them.
        """
        turns = [message.chat_message for message in messages]
        spans: list[Span] = []
        done = ""
        for number, message in enumerate(messages):
            if message.is_target:
                prompt = self._template.render(turns[:number])
                answer = self._answer(turns[: number + 1], prompt)
                spans += [Span(_after(prompt, done), 0.0), Span(answer, message.weight)]
                done = prompt + answer
        return spans

    def _answer(self, turns: Sequence[ChatMessage], prompt: str) -> str:
        """What the model is to say last, up to the token at which the engine stops, whatever templates put behind it.

        Where nothing stops the engine but its next words (a model without control tokens), all that is rendered.
        """
        rest = _after(self._template.render(turns, add_generation_prompt=False), prompt)
        stop = self._stop.search(rest)
        return rest[: stop.end()] if stop else rest

    def encode(self, messages: Sequence[ExampleMessage]) -> Encoded:
        """Token ids of an example, up to the end of its last answer; errors as those of `spans`.

        The ids before an answer are those of the prompt that serving makes. If the tokeniser takes what was said for
        other tokens once more follows, that is a `RenderingError`.
        """
        spans = self.spans(messages)
        if all(self._is_seamless(before.text, after.text) for before, after in pairwise(spans)):
            parts = [self._tokenizer.encode_prompt(span.text) for span in spans]
        else:
            parts = self._encoded_from_the_start(spans)
        weights = chain(*([span.weight] * len(part) for span, part in zip(spans, parts, strict=True)))
        return Encoded(tuple(chain(*parts)), tuple(weights))

    def word_places(self, encoded: Encoded) -> list[int]:
        """Where an example's tokens stand that are to be learnt and are words; the marks of the template are not."""
        marks = self._control_ids
        learnt = enumerate(zip(encoded.ids, encoded.weights, strict=True))
        return [place for place, (id, weight) in learnt if weight > 0 and id not in marks]

    def _is_seamless(self, before: str, after: str) -> bool:
        """Whether two texts have the same ids together as apart.

        Tokenisers take what stands between two control tokens for itself: more than that need not be looked at.
        """
        *_, start = 0, *(match.start() for match in self._control.finditer(before))
        end = match.end() if (match := self._control.search(after)) else len(after)
        left, right = before[start:], after[:end]
        encode = self._tokenizer.encode_prompt
        return encode(left + right) == encode(left) + encode(right)

    def _encoded_from_the_start(self, spans: Sequence[Span]) -> list[list[int]]:
        """The ids of each span, where those of the whole are not those of its parts, as with some of sentencepiece."""
        parts: list[list[int]] = []
        text, done = "", list[int]()
        for span in spans:
            text += span.text
            ids = self._tokenizer.encode_prompt(text)
            if ids[: len(done)] == done:
                part = ids[len(done) :]
            elif span.weight:
                part = self._tokenizer.encode_prompt(span.text)
            else:
                raise RenderingError("the tokeniser takes an answer for other tokens once something follows it")
            parts.append(part)
            done = done + part
        return parts

    def overhead(self) -> int:
        """About how many tokens the template adds to a message: role, marks and line ends."""
        turn = (ExampleMessage("user", "a"), ExampleMessage("assistant", "a", 1.0))
        try:
            more = len(self.encode((*turn, *turn)).ids) - len(self.encode(turn).ids)
        except (RenderingError, ChatTemplateError):
            return USUAL_OVERHEAD
        return max(0, -(-more // 2) - self.count("a"))

    def count(self, text: str) -> int:
        """How many tokens some words have."""
        return len(self._tokenizer.encode(text))


def _after(text: str, start: str) -> str:
    if not text.startswith(start):
        raise RenderingError("the template renders what was said before otherwise once an answer follows")
    return text[len(start) :]


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=lambda token: (-len(token), token))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _hash(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
