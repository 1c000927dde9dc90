"""What is wrong with a file that is imported, and what of it is left out on purpose: counted, and the first few kept.

Never quotes what people said: this is shown on terminals. Knows nothing of formats.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Longer than any type or list of a few keys, shorter than a line of a terminal.
MAX_FOUND_CHARACTERS = 60
MAX_FIELDS = 20
# What programs call their fields, and hardly anybody says.
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One place of a file that could not be read as it should.

    Attributes:
        place: `line 17`, `messages[3]`, `byte 1234567`.
        expected: What stands there in a good file.
        found: What stands there instead: types and names of fields, never words of a message.
    """

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, found {self.found}"


class Problems:
    """The problems of one import, and how many rows were left out although nothing is wrong with them."""

    def __init__(self, limit: int = 100) -> None:
        """All are counted; the first `limit` are kept."""
        self._limit = limit
        self._first: list[Problem] = []
        self._count = 0
        self._skipped: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many there are, kept or not."""
        return self._count

    @property
    def first(self) -> tuple[Problem, ...]:
        """The first few, in the order in which they were met."""
        return tuple(self._first)

    @property
    def skipped(self) -> Mapping[str, int]:
        """Number of rows that are no messages or say nothing, by reason: `service message`, `no text`."""
        return self._skipped

    def note(self, place: str, expected: str, found: str) -> None:
        """Count a problem."""
        self._count += 1
        if len(self._first) < self._limit:
            self._first.append(Problem(place, expected, _cut(found)))

    def skip(self, reason: str) -> None:
        """Count a row that is left out on purpose."""
        self._skipped[reason] += 1


class BadRowError(Exception):
    """A row is not what its format says; never leaves this package: its reader notes it and goes on."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected, self.found = expected, found


def describe(value: Any) -> str:
    """What a JSON value is, without what it says: `a list of 3`, `an object with id, text`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return f"a string of {len(value)} character{'s'[: len(value) != 1]}" if value else "an empty string"
        case dict():
            return f"an object with {field_names(value)}" if value else "an empty object"
        case list():
            return f"a list of {len(value)}"
        case _:
            return f"a {type(value).__name__}"


def field_names(row: Iterable[Any]) -> str:
    """Names of fields, as far as they look like some: a table without a header has people's words in their place."""
    names = [name if _FIELD.fullmatch(name) else "…" for name in map(str, row)]
    return ", ".join(names[:MAX_FIELDS])


def _cut(found: str) -> str:
    found = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in found)
    return found if len(found) <= MAX_FOUND_CHARACTERS else found[: MAX_FOUND_CHARACTERS - 1] + "…"
