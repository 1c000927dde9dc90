"""Where the parts of a dialogue stand in somebody's rows: the mapping that an operator gives.

Knows nothing of messages.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from finetune.errors import FinetuneError
from finetune.importing.problems import BadRowError, describe
from finetune.importing.rows import Row, is_word

# Parts and their usual fields. All but the text may be missing, unless the operator names them.
_USUAL = {"text": "text", "speaker": "speaker", "id": "id"}
# What no row must have, even if the operator names it: not all messages are replies, or have a time.
_OPTIONAL = {"time", "reply_to", "kind"}
PARTS = ("turns", "text", "speaker", "id", "turn_id", "time", "date", "author", "reply_to", "kind", "conversation")

# Stands for the field that is called like the speaker of the turn.
BY_SPEAKER = "{speaker}"


class Fields:
    """Takes parts out of rows by the names that the rows have for them."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        for part in mapping:
            if part not in PARTS:
                raise FinetuneError(f"there is no part {part!r} of a dialogue; {_nearest(part)}")
        self._given = dict(mapping)
        self._names = _USUAL | self._given
        self._unseen = set(mapping)

    @property
    def unseen(self) -> tuple[tuple[str, str], ...]:
        """Parts, and their fields, that the operator gave and that no row had."""
        return tuple((part, self._names[part]) for part in PARTS if part in self._unseen)

    def has(self, part: str) -> bool:
        """Whether the operator says where the part stands."""
        return part in self._given

    def turns(self, row: Row) -> list[Any]:
        """The turns of a dialogue; BadRowError if there are none."""
        value = self.value("turns", row)
        if not isinstance(value, list):
            raise BadRowError(f"a list in '{self._names['turns']}'", describe(value))
        return value

    def text(self, turn: Row) -> str:
        """The words of a turn; BadRowError if it has no string for them."""
        value = self.value("text", turn)
        if not isinstance(value, str):
            raise BadRowError(f"a string in '{self._names['text']}'", describe(value))
        return value

    def word(self, part: str, *rows: Row) -> str | None:
        """An id, a name or a number, out of the first of the rows that has it.

        Raises:
            BadRowError: none has it, and the operator says that they do.
        """
        value = self.value(part, *rows)
        if is_word(value) and value != "":
            return str(value)
        if part in self._given and part not in _OPTIONAL:
            raise BadRowError(f"a string or a whole number in '{self._names[part]}'", describe(value))
        return None

    def author(self, speaker: str | None, *rows: Row) -> str | None:
        """Who wrote a turn, where rows say more of that than the speaker; BadRowError as for `word`."""
        if self._names.get("author") != BY_SPEAKER:
            return self.word("author", *rows)
        value = next((row[speaker] for row in rows if speaker in row), None)
        if not is_word(value):
            raise BadRowError("a field that is called like the speaker", describe(value))
        self._unseen.discard("author")
        return str(value)

    def value(self, part: str, *rows: Row) -> Any:
        """Whatever stands there, in the first of the rows that has it; None if none does."""
        name = self._names.get(part)
        value = next((row[name] for row in rows if name in row), None) if name is not None else None
        if value is not None:
            self._unseen.discard(part)
        return value


def _nearest(part: str) -> str:
    if near := difflib.get_close_matches(part, PARTS, n=1):
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(PARTS)}"
