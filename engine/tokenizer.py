"""Text to token ids and back, without transformers.

Two encoders share a vocabulary: one knows the control tokens and reads what the chat template wrote, the other
does not and reads plain text. Knows nothing of conversations.
"""

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers

from engine.chat_template import GUARD
from engine.errors import BundleError

INCOMPLETE = "\ufffd"  # what a decoder gives for bytes that are no character, or not yet
SURROGATES = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """A model's tokeniser."""

    def __init__(self, definition: str, template: str = "") -> None:
        """`definition` is the text of tokenizer.json; `template` the chat template, if there is one.

        A control token is one that the vocabulary marks as special, or that the template writes (Qwen's
        `<think>` is not marked, yet structures the text).
        """
        parsed = json.loads(definition)
        added = parsed.get("added_tokens", [])
        self.control_tokens = frozenset(
            t["content"] for t in added if t["special"] or (t["content"].strip() and t["content"] in template)
        )
        parsed |= {"post_processor": None, "padding": None, "truncation": None}
        self._without_control = parsed | {"added_tokens": [t for t in added if t["content"] not in self.control_tokens]}
        # Control tokens are found in the raw text, where GUARD hides the typed ones; then GUARD is taken out, and
        # what is left is encoded as ever. Cutting the text up instead would lose what the tokeniser does around
        # control tokens (Phi-3's swallow the white space behind them).
        raw = [t | {"normalized": t["normalized"] and t["content"] not in self.control_tokens} for t in added]
        without_guard = {"type": "Replace", "pattern": {"String": GUARD}, "content": ""}
        steps = [without_guard] + ([parsed["normalizer"]] if parsed.get("normalizer") else [])
        self._full = _load(parsed | {"added_tokens": raw, "normalizer": {"type": "Sequence", "normalizers": steps}})

    @functools.cached_property
    def _plain(self) -> tokenizers.Tokenizer:
        """Made when it is first asked for: serving needs prompts only, and start-up is a tenth shorter without."""
        return _load(self._without_control)

    @classmethod
    def open(cls, path: Path, template: str = "") -> "Tokenizer":
        """Read a tokenizer.json.

        Raises:
            BundleError: The file is missing or not a tokeniser.
        """
        try:
            return cls(path.read_text(encoding="utf-8"), template)
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"{path} is not a tokeniser: {error}; export the model again") from error

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text: nothing in it becomes a control token, and none is added."""
        return _encode(self._plain, text)

    def encode_prompt(self, rendered: str) -> list[int]:
        """Token ids of a rendered chat template.

        Control tokens that the template wrote are honoured; those that `GUARD` marks as spelled out by a
        person are encoded as the characters that they are.
        """
        return _encode(self._full, rendered)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens left out."""
        return str(self._full.decode(list(ids), skip_special_tokens=True))

    def token_id(self, token: str) -> int | None:
        """The id of one token by its text, None if there is no such token."""
        found = self._full.token_to_id(token)
        return None if found is None else int(found)

    def stream(self) -> "TextStream":
        """A decoder that takes one token at a time."""
        return TextStream(self._full)


class TextStream:
    """Turns tokens into text as they come; characters that span tokens appear when they are complete.

    Not the library's DecodeStream: it raises an error when a token changes how those before it are read, as a
    stray byte does with byte fallback (Gemma, Mistral, Phi-3), and a model may write anything.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []  # those shown last, which the next ones are read with, and those not shown yet
        self._num_shown = 0

    def push(self, token_id: int) -> str:
        """The text that this token completes, often empty for a part of an emoji."""
        self._ids.append(token_id)
        text = self._decode(self._ids)
        shown = self._decode(self._ids[: self._num_shown])
        if len(text) <= len(shown) or text.endswith(INCOMPLETE):
            return ""
        self._ids = self._ids[self._num_shown :]
        self._num_shown = len(self._ids)
        return text[len(shown) :]

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))


def _load(definition: dict[str, Any]) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(json.dumps(definition))


def _encode(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    # A batch of one: `encode` holds Python's lock while it works, which would stop the event loop from a thread.
    (encoding,) = tokenizer.encode_batch_fast([_whole(text)], add_special_tokens=False)
    return list(encoding.ids)


def _whole(text: str) -> str:
    """The text with halves of surrogate pairs, which JSON may hold, replaced: they are no Unicode text."""
    return SURROGATES.sub(INCOMPLETE, text)
