"""Conversations out of the two forms in which data sets for training chat models come, as JSON Lines or a JSON list.

OpenAI's: `{"messages": [{"role": "user", "content": "..."}]}`, platform.openai.com/docs/guides/supervised-fine-tuning.
ShareGPT's: `{"conversations": [{"from": "human", "value": "..."}]}`, with LLaMA-Factory's `system` beside the turns.
Tools are left out: calls of them and what they answer. Knows nothing of chats of people.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.importing.options import ImportOptions
from finetune.importing.problems import BadRowError, Problems, describe
from finetune.importing.reading import Consumed
from finetune.importing.records import Record, records
from finetune.importing.rows import Row, as_row, list_of, optional_word, string
from finetune.message import DATASET, Role, SourceMessage

PLATFORM = DATASET

_OPENAI_ROLES = {
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
}
_SHAREGPT_ROLES = {
    "human": Role.USER,
    "user": Role.USER,
    "gpt": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "bing": Role.ASSISTANT,
    "bard": Role.ASSISTANT,
    "system": Role.SYSTEM,
}
_TOOL_ROLES = {"tool", "function", "function_call", "observation", "tool_call", "tool_response"}


@dataclass(frozen=True)
class _Shape:
    """What one of the two forms calls things.

    Attributes:
        turns: The field of a row that has its turns.
        role: The field of a turn that says whose it is.
        roles: What may stand in there.
        words: What a turn says; BadRowError if that cannot be found.
    """

    turns: str
    role: str
    roles: dict[str, Role]
    words: Callable[[Row], str]


def read_openai(path: Path, options: ImportOptions, problems: Problems, consumed: Consumed) -> Iterator[SourceMessage]:
    """The turns of all conversations; one with weight 0 is a problem, as it would be learnt like the others."""
    return _read(_OPENAI, path, options, problems, consumed)


def read_sharegpt(
    path: Path, options: ImportOptions, problems: Problems, consumed: Consumed
) -> Iterator[SourceMessage]:
    """The turns of all conversations."""
    return _read(_SHAREGPT, path, options, problems, consumed)


def resembles_openai(head: str) -> bool:
    """Whether a file that begins so may be of OpenAI's form."""
    return _resembles(head, _OPENAI)


def resembles_sharegpt(head: str) -> bool:
    """Whether a file that begins so may be of ShareGPT's form."""
    return _resembles(head, _SHAREGPT)


def _resembles(head: str, shape: _Shape) -> bool:
    return head.lstrip()[:1] in {"{", "["} and f'"{shape.turns}"' in head and f'"{shape.role}"' in head


def _read(
    shape: _Shape, path: Path, options: ImportOptions, problems: Problems, consumed: Consumed
) -> Iterator[SourceMessage]:
    chat, prefix = options.chat_of(path), options.id_prefix(PLATFORM, path)
    for record in records(path, problems, consumed):
        try:
            turns = _system_turns(record.row, shape) + list_of(record.row, shape.turns)
        except BadRowError as error:
            problems.note(record.place, error.expected, error.found)
            continue
        conversation = optional_word(record.row, "id") or record.key
        for number, said in _said(turns, shape, record, problems):
            yield SourceMessage(
                id=f"{prefix}:{conversation}:{number}",
                platform=PLATFORM,
                chat=chat,
                author=f"{conversation}:{said.role}",
                pieces=(said.text,),
                conversation=conversation,
                role=said.role,
            )


@dataclass(frozen=True, slots=True)
class _Said:
    role: Role
    text: str


def _said(turns: list[Any], shape: _Shape, record: Record, problems: Problems) -> Iterator[tuple[int, _Said]]:
    for number, turn in enumerate(turns):
        place = f"{record.place}, turn {number + 1}"
        try:
            said = _turn(as_row(turn, "turns that are objects"), shape, problems)
        except BadRowError as error:
            problems.note(place, error.expected, error.found)
            continue
        if said and turn.get("weight") == 0:
            problems.note(place, "weight 1 or none, since each turn may be learnt", "weight 0")
        if said:
            yield number, said


def _turn(turn: Row, shape: _Shape, problems: Problems) -> _Said | None:
    role = string(turn, shape.role)
    if role in _TOOL_ROLES:
        problems.skip("of a tool")
        return None
    if role not in shape.roles:
        raise BadRowError(f"{', '.join(shape.roles)} in '{shape.role}'", "another word")
    text = shape.words(turn)
    if not text.strip():
        problems.skip("no text")
        return None
    return _Said(shape.roles[role], text)


def _system_turns(row: Row, shape: _Shape) -> list[Any]:
    text = row.get("system")
    return [{"from": "system", "value": text}] if shape is _SHAREGPT and isinstance(text, str) and text else []


def _openai_words(turn: Row) -> str:
    """Its content: a string, or parts of which those with text count; calls of tools have none."""
    content = turn.get("content")
    if content is None and ("tool_calls" in turn or "function_call" in turn):
        return ""
    if isinstance(content, list):
        parts = [as_row(part, "parts of 'content' that are objects") for part in content]
        return "".join(string(part, "text") for part in parts if part.get("type") == "text")
    if not isinstance(content, str):
        raise BadRowError("a string or a list in 'content'", describe(content))
    return content


def _sharegpt_words(turn: Row) -> str:
    return string(turn, "value")


_OPENAI = _Shape("messages", "role", _OPENAI_ROLES, _openai_words)
_SHAREGPT = _Shape("conversations", "from", _SHAREGPT_ROLES, _sharegpt_words)
