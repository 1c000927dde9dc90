"""One large JSON document, element by element: what it holds comes out as it is read, and is never in memory whole.

Python's own decoder reads one element after the other out of a window on the text; around the elements, the few
containers that are walked are read here. Against a streaming parser this leaves the size of one value bounded, and
gives what stands above an element, such as the name of its chat, in one pass. Knows nothing of chats.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from finetune.importing.problems import Problems
from finetune.importing.reading import MAX_CHARACTERS

# Where a value stands: names of fields and numbers of elements, from the outside.
Where = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\r\n]*")
# Control characters inside strings are read as they are: some programs write them so.
_DECODER = json.JSONDecoder(strict=False)


def elements(
    text: Iterator[str], is_walked: Callable[[Where], bool], problems: Problems
) -> Iterator[tuple[Where, Any]]:
    """Each value of a JSON document that is not walked through, with where it stands, in the document's order.

    Args:
        text: The document, piece by piece.
        is_walked: Whether an object or list at some place gives its members one by one rather than whole.
        problems: Gets where the document breaks off or is no JSON; what stands before that comes out.
    """
    document = _Document(text)
    try:
        yield from document.walk((), is_walked)
        document.end()
    except _BrokenError as broken:
        problems.note(f"byte {broken.byte}", f"{broken.expected}; the rest is lost", broken.found)


def place(where: Where) -> str:
    """How people write it: `chats.list[3].messages[17]`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in where]
    return "".join(parts).removeprefix(".")


class _BrokenError(Exception):
    """The document does not go on as JSON does."""

    def __init__(self, byte: int, expected: str, found: str) -> None:
        super().__init__(f"byte {byte}: expected {expected}, found {found}")
        self.byte, self.expected, self.found = byte, expected, found


class _Document:
    """A window on the text of a JSON document, which moves on as values are taken from it."""

    def __init__(self, text: Iterator[str]) -> None:
        self._text = text
        self._window = ""
        self._position = 0
        self._num_bytes_before = 0

    def walk(self, where: Where, is_walked: Callable[[Where], bool]) -> Iterator[tuple[Where, Any]]:
        """The value that comes next, or if it is walked through all in it."""
        opening = self._next()
        if opening == "{" and is_walked(where):
            yield from self._members(where, is_walked)
        elif opening == "[" and is_walked(where):
            yield from self._list(where, is_walked)
        else:
            yield where, self._value()

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self._next():
            raise self._broken("the end of the file", "more text")

    def _members(self, where: Where, is_walked: Callable[[Where], bool]) -> Iterator[tuple[Where, Any]]:
        self._take("{")
        while self._next() != "}":
            if self._next() != '"':
                raise self._broken("the name of a field")
            name = self._value()
            self._take(":")
            yield from self.walk((*where, name), is_walked)
            if self._next() != "}":
                self._take(",")
        self._take("}")

    def _list(self, where: Where, is_walked: Callable[[Where], bool]) -> Iterator[tuple[Where, Any]]:
        self._take("[")
        number = 0
        while self._next() != "]":
            yield from self.walk((*where, number), is_walked)
            number += 1
            if self._next() != "]":
                self._take(",")
        self._take("]")

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise self._broken(f"'{character}'")
        self._position += 1

    def _next(self) -> str:
        """The next character that is not space, without taking it; empty at the end."""
        while True:
            match = _SPACE.match(self._window, self._position)
            assert match is not None, "the pattern matches nothing, too"
            self._position = match.end()
            if self._position < len(self._window):
                return self._window[self._position]
            if not self._widen(1):
                return ""

    def _value(self) -> Any:
        if not self._next():
            raise self._broken("a JSON value")
        while True:
            try:
                value, end = _DECODER.raw_decode(self._window, self._position)
            except (ValueError, RecursionError) as exc:
                if not self._widen(len(self._window) - self._position):
                    raise self._undecodable(exc) from exc
                continue
            # A number that ends with the window may go on behind it.
            if end == len(self._window) and self._widen(1):
                continue
            self._position = end
            return value

    def _widen(self, num_characters: int) -> bool:
        """Add at least so much to the window, if there is so much; False if nothing could be added.

        Values that do not fit are tried again with twice the text, so that long ones cost no more than short ones.
        """
        if len(self._window) - self._position > MAX_CHARACTERS:
            return False
        self._num_bytes_before += _num_bytes(self._window[: self._position])
        parts = [self._window[self._position :]]
        self._position = 0
        while num_characters > 0 and (part := next(self._text, "")):
            parts.append(part)
            num_characters -= len(part)
        self._window = "".join(parts)
        return len(parts) > 1

    def _broken(self, expected: str, found: str | None = None) -> _BrokenError:
        byte = self._num_bytes_before + _num_bytes(self._window[: self._position])
        if found is None:
            is_end = self._position >= len(self._window)
            found = "the end of the file" if is_end else repr(self._window[self._position])
        return _BrokenError(byte, expected, found)

    def _undecodable(self, exc: ValueError | RecursionError) -> _BrokenError:
        if len(self._window) - self._position > MAX_CHARACTERS:
            return self._broken(f"a value of at most {MAX_CHARACTERS} characters", "a longer one, or no JSON")
        if not isinstance(exc, json.JSONDecodeError):
            return self._broken("a JSON value", f"one that cannot be read ({type(exc).__name__})")
        if exc.msg.startswith("Unterminated"):
            return self._broken("a JSON value", "the end of the file in the middle of one")
        self._position = exc.pos
        is_end = exc.pos >= len(self._window)
        return self._broken("valid JSON", "the end of the file" if is_end else f"an error: {exc.msg}")


def _num_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
