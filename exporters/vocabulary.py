"""What serving must know of a checkpoint's vocabulary: the chat template, and where an answer ends.

Reads the tokeniser and the generation config of a checkpoint; writes the tokeniser files of a bundle.
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from engine.bundle import TEMPLATE_NAME, TOKENIZER_NAME, TokenInfo
from exporters.errors import SourceError

# For base models without a template: a transcript, in which the next "User:" ends an answer.
PLAIN_TEMPLATE_STOPS = ("\nUser:", "\nAssistant:")
MARKER = "mynah-marker"


@dataclass(frozen=True)
class Vocabulary:
    """A bundle's tokeniser files as text, and the token facts for its manifest."""

    tokenizer_json: str
    template: str
    tokens: TokenInfo

    def write(self, folder: Path) -> None:
        """Write tokenizer.json and chat_template.jinja."""
        (folder / TOKENIZER_NAME).write_text(self.tokenizer_json, encoding="utf-8")
        (folder / TEMPLATE_NAME).write_text(self.template, encoding="utf-8")


def read_vocabulary(tokenizer: Any, generation_config: Any) -> Vocabulary:
    """Collect what serving needs from a transformers tokeniser and generation config.

    Raises:
        SourceError: The tokeniser has no fast version, without which it cannot be served, or its chat template
            ignores the messages.
    """
    if not tokenizer.is_fast:
        raise SourceError(
            f"{type(tokenizer).__name__} has no fast version (tokenizer.json), which serving needs; "
            "convert it with transformers' AutoTokenizer(..., use_fast=True) and save it"
        )
    has_template = bool(tokenizer.chat_template)
    if not has_template:
        tokenizer.chat_template = resources.files("exporters").joinpath("data/plain_chat.jinja").read_text()
    template = tokenizer.get_chat_template()
    if MARKER not in tokenizer.apply_chat_template([{"role": "user", "content": MARKER}], tokenize=False):
        raise SourceError("the chat template leaves out what people say; give the checkpoint another one")
    # Plain text of the library's own serialisation: without the padding and truncation that training may have set.
    definition = json.loads(tokenizer.backend_tokenizer.to_str()) | {"padding": None, "truncation": None}
    special = {k: v for k, v in tokenizer.special_tokens_map.items() if isinstance(v, str)}
    bos = tokenizer.bos_token_id
    tokens = TokenInfo(
        stop_ids=tuple(sorted(_stop_ids(tokenizer, generation_config, has_template))),
        stop_strings=() if has_template else PLAIN_TEMPLATE_STOPS,
        bos_id=bos,
        adds_bos=bos is not None and tokenizer("a").input_ids[:1] == [bos],
        special=special,
    )
    return Vocabulary(json.dumps(definition, ensure_ascii=False), template, tokens)


def _stop_ids(tokenizer: Any, generation_config: Any, has_template: bool) -> set[int]:
    """Every token that ends a turn: the configured ones, and what the template writes after an answer."""
    configured = generation_config.eos_token_id
    ids = {configured} if isinstance(configured, int) else set(configured or ())
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    if has_template:
        ids |= _end_of_turn(tokenizer)
    return ids


def _end_of_turn(tokenizer: Any) -> set[int]:
    """The control token that directly follows an answer in a rendered chat, if one does."""
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": MARKER}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False)
    rest = rendered.partition(MARKER)[2].lstrip()
    following = [t for t in tokenizer.all_special_tokens if rest.startswith(t)]
    return {tokenizer.convert_tokens_to_ids(max(following, key=len))} if following else set()
