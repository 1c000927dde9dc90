"""Messages out of a chat as WhatsApp exports it: text, with times as the phone of whoever exported it writes them.

Phones with Android write `31/12/24, 23:59 - Ann: text`, iPhones `[31/12/24, 23:59:59] Ann: text`, and both follow the
phone's habits for dates, so that the order of day and month is found from the whole file first. A message may have many
lines. Placeholders for media are known in English, and in all languages where they stand in <angle brackets> or behind
the mark that iPhones set before them. Knows nothing of replies: the export leaves them out.
"""

import datetime
import hashlib
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.speakers import Called, Piece
from finetune.errors import SourceFileError
from finetune.importing.options import ImportOptions
from finetune.importing.problems import Problems
from finetune.importing.reading import Consumed, chunks, lines
from finetune.importing.times import from_datetime
from finetune.message import SourceMessage

PLATFORM = "whatsapp"

# Marks for the direction of writing, invisible. iPhones set the first before what the app itself says.
_LEFT_TO_RIGHT = "\u200e"
_MARKS = "\u200e\u200f\u202a\u202b\u202c\ufeff"
_WHEN = (
    r"(?P<first>\d{1,4})(?P<sign>[./-])(?P<second>\d{1,2})(?P=sign)(?P<third>\d{1,4}),?\s+"
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d\d)(?:[:.](?P<second_of_minute>\d\d))?"
    r"(?:\s*(?P<half>[AaPp])\.?\s?[Mm]\.?)?"
)
_ANDROID = re.compile(rf"[{_MARKS}]*{_WHEN}\s+[-\u2013]\s(?P<rest>.*)")
_IPHONE = re.compile(rf"[{_MARKS}]*\[{_WHEN}\]\s?(?P<rest>.*)")
_NAMED = re.compile(r"(?P<name>[^:]{1,100}): (?P<text>.*)|(?P<silent>[^:]{1,100}):$")
_CALLED = re.compile(r"@\u2068(?P<name>[^\u2068\u2069]+)\u2069")
_EDITED = re.compile(rf"\s*[{_MARKS}]*<This message was edited>$")
_ATTACHED = re.compile(r"[^\n]{1,200} \(file attached\)(?:\n|$)")
_MEDIA = re.compile(
    r"<[^<>\n]{3,60}>|null|(?:[^\n]{0,200} )?(?:image|video|audio|sticker|GIF|document|Contact card|video note) omitted"
)
_DELETED = re.compile(r"(?:This message was deleted|You deleted this message)(?: by an admin)?\.?")
_NUM_LINES_TO_GUESS = 50
# A message is as long as the app lets people write, 65 536 characters; more is a file that has lost its form.
_MAX_MESSAGE_CHARACTERS = 1 << 20
# Of a chat of a million messages two have the same by chance with a probability of 10^-7.
_ID_BYTES = 8


def read(path: Path, options: ImportOptions, problems: Problems, consumed: Consumed) -> Iterator[SourceMessage]:
    """The messages of a chat; reads the file twice unless the options say in which order dates are written.

    Raises:
        SourceFileError: the order of dates is to be found, and the file is a pipe, which reads only once.
    """
    order = options.date_order if options.date_order != "auto" else _order(path, problems)
    chat = options.chat_of(path)
    ids = _Ids(chat)
    for entry in _entries(lines(chunks(path, problems, consumed), problems), problems):
        if entry.is_too_long:
            problems.note(f"line {entry.number}", f"at most {_MAX_MESSAGE_CHARACTERS} characters", "a longer message")
            continue
        try:
            moment = entry.head.moment(order, options.zone)
        except ValueError:
            problems.note(f"line {entry.number}", f"a day and a time, written as {order}", "a day that there is not")
            continue
        if reason := _reason_to_skip(entry):
            problems.skip(reason)
            continue
        yield SourceMessage(
            id=ids.next(entry, moment),
            platform=PLATFORM,
            chat=chat,
            author=entry.head.name or "",
            name=entry.head.name or "",
            pieces=_pieces(_words(entry.text)),
            sent_at_ms=moment,
        )


def resembles(head: str) -> bool:
    """Whether a file that begins so may be such a chat."""
    first = head.splitlines()[:_NUM_LINES_TO_GUESS]
    return any(_head(line) for line in first[:5])


class _Ids:
    """Ids of a chat's messages, which have none: a digest of minute, name and words, and a number among equals.

    Numbers of lines would move with every export that begins earlier or later. Not all phones write seconds.
    """

    def __init__(self, chat: str) -> None:
        self._chat = chat
        self._seen = Counter[bytes]()

    def next(self, entry: "_Entry", moment_ms: int) -> str:
        """The id of the next message."""
        parts = (str(moment_ms // 60_000), entry.head.name or "", _words(entry.text))
        said = "\0".join(parts).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(said, digest_size=_ID_BYTES).digest()
        self._seen[digest] += 1
        number = self._seen[digest]
        return f"{PLATFORM}:{self._chat}:{digest.hex()}{f'.{number}' if number > 1 else ''}"


@dataclass(frozen=True, slots=True)
class _Head:
    """What the first line of an entry says: when, and if somebody speaks who and what."""

    date: tuple[int, int, int]
    time: tuple[int, int, int]
    name: str | None
    text: str

    def day(self, order: str) -> datetime.date:
        """The day; ValueError if there is none such."""
        year, month, day = (self.date[order.index(letter)] for letter in "ymd")
        return datetime.date(year + 2000 if year < 100 else year, month, day)

    def moment(self, order: str, zone: datetime.tzinfo) -> int:
        """The time; ValueError if there is none such."""
        return from_datetime(datetime.datetime.combine(self.day(order), datetime.time(*self.time), zone))


@dataclass(slots=True)
class _Entry:
    """A message or a note of the app, which begins in line `number`; if it is far too long, only its beginning."""

    number: int
    head: _Head
    lines: list[str] = field(default_factory=list)
    num_characters: int = 0

    @property
    def text(self) -> str:
        """What it says, in all its lines."""
        return "\n".join([self.head.text, *self.lines])

    @property
    def is_too_long(self) -> bool:
        """Whether it has more lines than any message."""
        return self.num_characters > _MAX_MESSAGE_CHARACTERS

    def add(self, line: str) -> None:
        """Add a line, if there is room."""
        self.num_characters += len(line) + 1
        if not self.is_too_long:
            self.lines.append(line)


def _entries(numbered: Iterator[tuple[int, str]], problems: Problems) -> Iterator[_Entry]:
    entry: _Entry | None = None
    for number, line in numbered:
        if head := _head(line):
            if entry is not None:
                yield entry
            entry = _Entry(number, head)
        elif entry is not None:
            entry.add(line)
        elif line.strip(_MARKS).strip():
            problems.note(f"line {number}", "a line that begins with a day and a time", "another line")
    if entry is not None:
        yield entry


def _head(line: str) -> _Head | None:
    """None if the line goes on with the message before."""
    found = _ANDROID.match(line) or _IPHONE.match(line)
    if found is None:
        return None
    date = (int(found["first"]), int(found["second"]), int(found["third"]))
    time = (_hour(int(found["hour"]), found["half"]), int(found["minute"]), int(found["second_of_minute"] or 0))
    named = _NAMED.match(found["rest"])
    if named is None:
        return _Head(date, time, None, found["rest"])
    return _Head(date, time, (named["name"] or named["silent"]).strip(_MARKS).strip(), named["text"] or "")


def _hour(hour: int, half: str | None) -> int:
    """12 in the morning is midnight; some phones write 0 for it."""
    if half is None:
        return hour
    return hour % 12 + (12 if half in "Pp" else 0)


def _reason_to_skip(entry: _Entry) -> str | None:
    if entry.head.name is None:
        return "system line"
    if entry.head.text.startswith(_LEFT_TO_RIGHT):
        return "media or system line"
    words = _words(entry.text)
    if not words:
        return "media" if _ATTACHED.match(entry.text.strip(_MARKS)) else "no text"
    if _MEDIA.fullmatch(words):
        return "media"
    return "deleted message" if _DELETED.fullmatch(words) else None


def _words(text: str) -> str:
    """The text without what the app adds: that it was edited, and the name of a file in front of a caption."""
    text = _ATTACHED.sub("", text.strip(_MARKS), count=1) if "(file attached)" in text else text
    return _EDITED.sub("", text).strip(_MARKS + " \t\n")


def _pieces(text: str) -> tuple[Piece, ...]:
    """The text with whom it calls, where the export marks names."""
    pieces: list[Piece] = []
    end = 0
    for called in _CALLED.finditer(text):
        pieces += [text[end : called.start()], Called(called["name"])]
        end = called.end()
    return tuple(piece for piece in [*pieces, text[end:]] if piece != "")


def _reads_once(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # which is told where it is opened
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _order(path: Path, problems: Problems) -> str:
    """The order of dates in a whole file: numbers over 12 decide, else the order in which time passes, else dmy."""
    if _reads_once(path):
        raise SourceFileError(f"{path} is no regular file and reads only once; give --date-order dmy, mdy or ymd")
    evidence = _Evidence()
    for _, line in lines(chunks(path, Problems(), lambda _: None), Problems()):
        if head := _head(line):
            evidence.add(head)
    order, is_sure = evidence.order()
    if not is_sure and evidence.num_dates:
        problems.note(
            "the whole file", "dates that tell days from months, or --date-order", f"neither; read as {order}"
        )
    return order


class _Evidence:
    """What the dates of a file say about the order in which they are written."""

    def __init__(self) -> None:
        self.num_dates = 0
        self._largest = [0, 0]
        self._last: dict[str, datetime.date] = {}
        self._num_steps_back = {"dmy": 0, "mdy": 0}

    def add(self, head: _Head) -> None:
        """Take in one date."""
        self.num_dates += 1
        self._largest = [max(pair) for pair in zip(self._largest, head.date[:2], strict=True)]
        for order in self._num_steps_back:
            try:
                day = head.day(order)
            except ValueError:
                continue
            self._num_steps_back[order] += day < self._last.get(order, day)
            self._last[order] = day

    def order(self) -> tuple[str, bool]:
        """The order, and whether the dates decide it."""
        first, second = self._largest
        if first > 31:
            return "ymd", True
        if (first > 12) != (second > 12):
            return ("dmy" if first > 12 else "mdy"), True
        back = self._num_steps_back
        return ("mdy" if back["mdy"] < back["dmy"] else "dmy"), first <= 12 and back["mdy"] != back["dmy"]
