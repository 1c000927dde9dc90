"""Renders a conversation into the text that the model was trained on, without transformers.

The environment is the one that transformers gives its templates (a sandbox with `raise_exception`,
`strftime_now`, `tojson`, loop controls and the tag `generation`), so any template that works there works here.
Knows nothing of tokens: which strings are control tokens is told to it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import ChatTemplateError
from engine.generation import ChatMessage

# A Unicode noncharacter, reserved for use inside a program (Unicode 15, section 23.7): put into text that
# spells a control token, it keeps the spelling from being taken for the token. The tokeniser takes it out.
GUARD = "\ufdd0"


class ChatTemplate:
    """A model's chat template, compiled."""

    def __init__(self, source: str, special: Mapping[str, str], control_tokens: Iterable[str]) -> None:
        """`special` are names like `bos_token` that templates use; `control_tokens` never come from content.

        Raises:
            ChatTemplateError: It is not a template.
        """
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise ChatTemplateError(f"the model's chat template is broken: {error}; export the model again") from error
        self._special = dict(special)
        spellings = sorted((t for t in control_tokens if t), key=len, reverse=True)
        self._spelled = re.compile("|".join(map(re.escape, spellings)) or r"(?!)")

    def render(self, messages: Sequence[ChatMessage], *, add_generation_prompt: bool = True) -> str:
        """The prompt as text, with `GUARD` inside each control token that a message spells out.

        Raises:
            ChatTemplateError: The template refuses these messages.
        """
        turns = [{"role": m.role, "content": self._defuse(m.content)} for m in messages]
        try:
            return self._template.render(
                messages=turns,
                # Without these two, a template that asks `tools is not none` would take the chat for one with tools.
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special,
            )
        except Exception as error:  # a template is a program of others: it may divide by zero
            raise ChatTemplateError(f"the model's chat template refuses this conversation: {error}") from error

    def _defuse(self, content: str) -> str:
        content = content.replace(GUARD, "")
        return self._spelled.sub(lambda match: match[0][0] + GUARD + match[0][1:], content)


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}` marks answers for the training loss; here, what it encloses is rendered as it stands."""

    tags = {"generation"}  # noqa: RUF012  as Jinja declares it

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        """A scope of its own, as in transformers."""
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=lineno)


def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, _GenerationTag]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _now(format: str) -> str:
    return datetime.now().strftime(format)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
