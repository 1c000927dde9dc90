"""The rows of a data set: JSON Lines, one JSON list, one JSON object whose values are the rows, or CSV with a header.

Which of them a file is shows in its name and its first line. Knows nothing of what the rows mean.
"""

import csv
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune.importing.documents import Where, elements, place
from finetune.importing.problems import BadRowError, Problems, describe
from finetune.importing.reading import MAX_CHARACTERS, Consumed, chunks, lines
from finetune.importing.rows import Row, as_row

# Control characters inside strings are read as they are, as in documents.
_DECODER = json.JSONDecoder(strict=False)

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Record:
    """One row.

    Attributes:
        place: For people: `line 17`, `[16]`.
        key: What it is called, if the file is an object; else its number, from 1.
    """

    place: str
    key: str
    row: Row


def records(path: Path, problems: Problems, consumed: Consumed, *, has_keys: bool = False) -> Iterator[Record]:
    """All rows; what is no JSON object is a problem.

    Args:
        path: The file.
        problems: Gets the rows that do not read.
        consumed: As for `reading.chunks`.
        has_keys: Whether a JSON object may stand for all rows, by key, rather than for the first.

    Raises:
        SourceFileError: the file cannot be read at all.
    """
    text = chunks(path, problems, consumed)
    name = path.name.lower().removesuffix(".gz")
    if delimiter := next((sign for suffix, sign in _DELIMITERS.items() if name.endswith(suffix)), None):
        return _csv_records(text, delimiter, problems)
    first_line, text = _first_line(text)
    if _is_document(first_line, has_keys=has_keys):
        return _document_records(text, problems)
    return _line_records(text, problems)


def _first_line(text: Iterator[str]) -> tuple[str, Iterator[str]]:
    """The first line that is not empty, or its beginning if it is very long, and the text with it still in place."""
    taken: list[str] = []
    for chunk in text:
        taken.append(chunk)
        start = "".join(taken).lstrip()
        if "\n" in start or len(start) > MAX_CHARACTERS:
            break
    start = "".join(taken).lstrip()
    return start.partition("\n")[0], itertools.chain(taken, text)


def _is_document(first_line: str, *, has_keys: bool) -> bool:
    """Whether all of the file is one JSON value: its first line then is a list, or breaks off, or holds rows itself."""
    if first_line.startswith("["):
        return True
    if not has_keys or not first_line.startswith("{"):
        return False
    try:
        first = _DECODER.decode(first_line)
    except json.JSONDecodeError as error:
        # One that breaks off at its end goes on in the next line; other errors are of a bad row.
        return error.pos >= len(first_line.rstrip()) or error.msg.startswith("Unterminated")
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and bool(first) and all(isinstance(value, dict) for value in first.values())


def _line_records(text: Iterator[str], problems: Problems) -> Iterator[Record]:
    for number, line in lines(text, problems):
        if not line.strip():
            continue
        try:
            yield Record(f"line {number}", str(number), as_row(_DECODER.decode(line), "a JSON object"))
        except json.JSONDecodeError as error:
            problems.note(f"line {number}", "a JSON object", f"an error at its character {error.pos + 1}: {error.msg}")
        except (ValueError, RecursionError) as error:
            problems.note(f"line {number}", "a JSON object", f"one that cannot be read ({type(error).__name__})")
        except BadRowError as error:
            problems.note(f"line {number}", error.expected, error.found)


def _document_records(text: Iterator[str], problems: Problems) -> Iterator[Record]:
    for where, value in elements(text, _is_outermost, problems):
        if not where or not isinstance(value, dict):
            problems.note(place(where) or "byte 0", "a JSON object", describe(value))
            continue
        key = where[0]
        yield Record(place(where), str(key + 1) if isinstance(key, int) else key, value)


def _csv_records(text: Iterator[str], delimiter: str, problems: Problems) -> Iterator[Record]:
    # The reader joins lines itself where a quoted field goes on.
    reader = csv.reader((f"{line}\n" for _, line in lines(text, problems)), delimiter=delimiter)
    header: list[str] | None = None
    for number in itertools.count(0):
        try:
            fields = next(reader, None)
        except csv.Error as error:
            problems.note(f"line {reader.line_num}", "a row of CSV", str(error))
            continue
        if fields is None:
            return
        if header is None:
            header = fields
        elif len(fields) == len(header):
            yield Record(f"line {reader.line_num}", str(number), dict(zip(header, fields, strict=True)))
        elif fields:
            problems.note(f"line {reader.line_num}", f"{len(header)} columns, as in the header", f"{len(fields)}")


def _is_outermost(where: Where) -> bool:
    return not where
