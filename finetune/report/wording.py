"""How numbers and foreign strings are written, on the page and in the terminal.

Knows nothing of what they mean. Nothing here depends on the locale.
"""

import math
from collections.abc import Iterable, Mapping
from unicodedata import category

NOT_SHOWN = "\ufffd"

_SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "B"))


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


def plain(text: str) -> str:
    """The text as it is, lines and all, with a mark for each control character and each half of a character."""
    return "".join(NOT_SHOWN if category(char) in ("Cc", "Cs") and char not in "\n\t" else char for char in text)


def short(text: str, limit: int = 28) -> str:
    """The text, printable and cut to so many characters."""
    text = printable(text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def plural(number: int, noun: str) -> str:
    """`1 author`, `2 authors`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def decimal(number: float | None, digits: int = 3) -> str:
    """`1.687`; `-` for what was not measured, and NaN by its name."""
    if number is None:
        return "-"
    return f"{number:,.{digits}f}" if math.isfinite(number) else "not finite"


def percent(number: float | None, digits: int = 1) -> str:
    """`12.3 %` of a share from 0 to 1."""
    return "-" if number is None else _with(decimal(100 * number, digits), "%")


def change(after: float | None, before: float | None) -> str:
    """By how much of what it was: `-7.7 %`, `+49.0 %`; `-` where that says nothing."""
    if after is None or before is None or not (math.isfinite(after) and math.isfinite(before) and before > 0):
        return "-"
    return f"{signed(100 * (after - before) / before)} %"


def signed(number: float) -> str:
    """`+3.0`, `-7.7`, and `0.0` for what is not worth a sign."""
    written = f"{number:+.1f}"
    return written[1:] if float(written) == 0 else written


def duration(seconds: float | None) -> str:
    """`12.3 s`, `41 min 12 s`, `1 h 03 min`."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def size(num_bytes: int | None) -> str:
    """`138.4 MB`, by thousands."""
    if num_bytes is None:
        return "-"
    scale, unit = next(pair for pair in _SIZES if num_bytes >= pair[0] or pair[0] == 1)
    return f"{num_bytes / scale:,.1f} {unit}" if scale > 1 else f"{num_bytes} {unit}"


def _with(number: str, unit: str) -> str:
    return f"{number} {unit}" if number[-1].isdigit() else number
