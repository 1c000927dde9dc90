"""How numbers and foreign strings are written, on the page and in the terminal.

Knows nothing of what they mean. Nothing here depends on the locale.
"""

from collections.abc import Iterable, Mapping

NOT_SHOWN = "\ufffd"


def count(number: int) -> str:
    """`12,345`."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """`12.3 %`; what is not nothing never reads as 0.0 %, and what is not all never as 100.0 %."""
    if not whole:
        return "-"
    tenths = (2000 * part + whole) // (2 * whole)  # rounded half up, in whole numbers: the same on any machine
    if part and not tenths:
        return "< 0.1 %"
    if part < whole and tenths == 1000:
        return "> 99.9 %"
    return f"{tenths // 10}.{tenths % 10} %"


def ranked(counts: Mapping[str, int], first: Iterable[str] = ()) -> list[tuple[str, int]]:
    """The counts that are not zero: the names in `first` in that order, then the largest first."""
    places = {name: place for place, name in enumerate(first)}
    rows = [(name, n) for name, n in counts.items() if n]
    return sorted(rows, key=lambda row: (places.get(row[0], len(places)), -row[1], row[0]))


def printable(text: str) -> str:
    """The text on one line, with a mark for each character that would steer a terminal or break XML."""
    return "".join(char if char.isprintable() else NOT_SHOWN for char in " ".join(text.split()))


def short(text: str, limit: int = 28) -> str:
    """The text, printable and cut to so many characters."""
    text = printable(text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def plural(number: int, noun: str) -> str:
    """`1 author`, `2 authors`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"
