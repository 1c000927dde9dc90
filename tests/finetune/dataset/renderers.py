"""What renders and encodes examples in tests: templates in the manners of known models, as a bundle has them."""

import functools
from dataclasses import dataclass

from transformers import GenerationConfig

from engine.chat_template import ChatTemplate
from engine.prompt import PromptBuilder
from engine.tokenizer import Tokenizer
from exporters.vocabulary import read_vocabulary
from finetune.dataset.rendering import Renderer
from tests.engine.chat_styles import STYLES, make_tokenizer


@dataclass(frozen=True)
class Model:
    """Both sides of one model: what serving has, and what training has."""

    template: ChatTemplate
    tokenizer: Tokenizer
    stop_ids: frozenset[int]
    renderer: Renderer

    @property
    def prompts(self) -> PromptBuilder:
        return PromptBuilder(self.template, self.tokenizer)

    @property
    def control_ids(self) -> set[int | None]:
        return {self.tokenizer.token_id(token) for token in self.tokenizer.control_tokens}


# What the generation config of the real model has beside the tokeniser's own.
STOPS = {"gemma": ("<end_of_turn>",), "phi3": ("<|end|>",)}


@functools.cache
def model(style: str = "chatml", template: str | None = None, *, with_stops: bool = True) -> Model:
    """The model of a style, perhaps with another template, or without the stops of its generation config."""
    reference = make_tokenizer(STYLES[style])
    stops = STOPS.get(style, ()) if with_stops else ()
    eos = [reference.eos_token_id, *map(reference.convert_tokens_to_ids, stops)]
    vocabulary = read_vocabulary(reference, GenerationConfig(eos_token_id=eos))
    source = template or vocabulary.template
    tokenizer = Tokenizer(vocabulary.tokenizer_json, source)
    chat_template = ChatTemplate(source, vocabulary.tokens.special, tokenizer.control_tokens)
    stop_ids = vocabulary.tokens.stop_ids
    return Model(chat_template, tokenizer, frozenset(stop_ids), Renderer(chat_template, tokenizer, stop_ids, style))
