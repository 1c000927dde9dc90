"""Fields of one JSON object of a foreign file; what is missing or of another type is a BadRowError.

Knows nothing of what the fields mean.
"""

from typing import Any, TypeGuard

from finetune.importing.problems import BadRowError, describe

Row = dict[str, Any]


def as_row(value: Any, expected: str = "an object") -> Row:
    """An object."""
    if not isinstance(value, dict):
        raise BadRowError(expected, describe(value))
    return value


def string(row: Row, name: str) -> str:
    """A string that must be there; may be empty."""
    value = row.get(name)
    if not isinstance(value, str):
        raise BadRowError(f"a string in '{name}'", _found(row, name))
    return value


def word(row: Row, name: str) -> str:
    """An id, a number or a name that must be there and not be empty."""
    value = optional_word(row, name)
    if value is None:
        raise BadRowError(f"a string or a whole number in '{name}'", _found(row, name))
    return value


def optional_word(row: Row, name: str) -> str | None:
    """An id, a number or a name; None if it is missing, empty or of another type."""
    value = row.get(name)
    return str(value) if is_word(value) and value != "" else None


def is_word(value: Any) -> TypeGuard[str | int]:
    """Whether it can be an id: a string or a whole number."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def rows(row: Row, name: str) -> list[Row]:
    """The objects of a list that may be missing; what else is in it is left out."""
    value = row.get(name)
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def list_of(row: Row, name: str) -> list[Any]:
    """A list that must be there."""
    value = row.get(name)
    if not isinstance(value, list):
        raise BadRowError(f"a list in '{name}'", _found(row, name))
    return value


def _found(row: Row, name: str) -> str:
    return describe(row[name]) if name in row else "nothing"
