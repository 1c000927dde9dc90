"""A conversation in, the token ids that fit into the model's context out.

When a conversation outgrows the context, its oldest turns go, whole; the persona and the last message stay.
"""

import bisect
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.bundle import TEMPLATE_NAME, TOKENIZER_NAME, Bundle
from engine.chat_template import ChatTemplate
from engine.errors import BundleError, ChatTemplateError, PromptTooLongError
from engine.generation import ChatMessage
from engine.tokenizer import Tokenizer

# Turns are dropped until the dropped tokens pass the next multiple of this share of the limit. Dropping only
# what is needed would move the start of the prompt with every message, and a moved start means that nothing of
# the cached prefix can be reused; in steps, most messages of a long conversation find their prefix unmoved.
DROP_STEP = 0.25


@dataclass(frozen=True)
class Prompt:
    """Token ids of a rendered conversation, and how many of its oldest turns were left out."""

    ids: tuple[int, ...]
    dropped_turns: int

    @property
    def sha256(self) -> str:
        """Hash of the exact token ids."""
        return hashlib.sha256(np.asarray(self.ids, dtype="<i4").tobytes()).hexdigest()


def text_parts(bundle: Bundle) -> tuple[ChatTemplate, Tokenizer]:
    """What turns conversations into token ids for the model of a bundle, in serving and in training.

    Raises:
        BundleError: A file cannot be read, or is no tokeniser.
        ChatTemplateError: The template is broken.
    """
    path = bundle.file(TEMPLATE_NAME)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} cannot be read ({error}); export the model again") from error
    tokenizer = Tokenizer.open(bundle.file(TOKENIZER_NAME), source)
    return ChatTemplate(source, bundle.manifest.tokens.special, tokenizer.control_tokens), tokenizer


class PromptBuilder:
    """Renders, encodes and trims; the one place that makes prompts."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self._template, self._tokenizer = template, tokenizer

    def build(self, messages: Sequence[ChatMessage], limit_tokens: int) -> Prompt:
        """The newest part of a conversation that fits.

        Raises:
            PromptTooLongError: The persona and the last turn alone are over the limit.
            ChatTemplateError: The conversation is empty, or the model's template refuses it.
        """
        persona = messages[:1] if messages and messages[0].role == "system" else ()
        turns = _turns(messages[len(persona) :])
        if not turns:
            raise ChatTemplateError("the conversation has no message to answer")
        ids = self._encode(persona, turns)
        if len(ids) <= limit_tokens:
            return Prompt(tuple(ids), 0)
        step = max(1, int(limit_tokens * DROP_STEP))
        target = len(ids) - -(-(len(ids) - limit_tokens) // step) * step
        # The fewest turns whose loss brings the prompt down to the target, or all but the last.
        dropped = bisect.bisect_left(
            range(len(turns) - 1), -target, key=lambda n: -len(self._encode(persona, turns[n:]))
        )
        ids = self._encode(persona, turns[dropped:])
        if len(ids) > limit_tokens:
            raise PromptTooLongError(len(ids), limit_tokens)
        return Prompt(tuple(ids), dropped)

    def _encode(self, persona: Sequence[ChatMessage], turns: Sequence[Sequence[ChatMessage]]) -> list[int]:
        messages = [*persona, *(message for turn in turns for message in turn)]
        return self._tokenizer.encode_prompt(self._template.render(messages))


def _turns(messages: Sequence[ChatMessage]) -> list[list[ChatMessage]]:
    """Cut a conversation before each user message; an answer stays with what it answers."""
    turns: list[list[ChatMessage]] = []
    for message in messages:
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns
