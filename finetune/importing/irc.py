"""Messages out of IRC logs as text: those of irssi, WeeChat and ZNC, and the form of the Ubuntu channels' logs.

Lines have the time of day at most, so that the day comes from the options, the file's name, or lines that say which day
begins; a clock that goes back by more than half a day has passed midnight. Without any day messages have no time: made
up ones would end up in splits by time. A person who changes nick stays the same author for the rest of the file. Knows
nothing of bots: a log does not tell who is one.
"""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune.importing.options import ImportOptions, file_name
from finetune.importing.problems import Problems, describe
from finetune.importing.reading import Consumed, chunks, lines
from finetune.importing.times import Clock
from finetune.message import Kind, SourceMessage

PLATFORM = "irc"

_STAMP = re.compile(r"\[?(?:(?P<day>\d{4}-\d\d-\d\d)[ T])?(?P<time>\d\d:\d\d(?::\d\d)?)\]?(?:[ \t]|$)")
# What clients show in front of a nick: operator, voice and the like, or a space in their place.
_NICK = r"[@+%&~! ]?(?P<nick>[^\s<>]+)"
_MESSAGE = re.compile(rf"<{_NICK} ?> ?(?P<text>.*)")
_ACTION = re.compile(r" *\* (?P<nick>[^\s<>]+)(?: (?P<text>.*))?$")
# Who joined, and notices of services: "-ChanServ- ..."
_NOTE = re.compile(r"(?:===|---|-!-|\*\*\*)(?: |$)|-[^\s-]\S*- ")
# WeeChat divides by tabs; in place of a nick stands a sign if nobody speaks.
_COLUMNS = re.compile(r"(?P<sign>[^\t]*)\t(?P<text>.*)")
_COLUMN_NICK = re.compile(rf"{_NICK}$")
_COLUMN_ACTION, _COLUMN_NOTES = " *", {"-->", "<--", "--", "=!=", ""}
_NEW_NICK = re.compile(r"(?:===|---|-!-|\*\*\*|--)\s(?P<old>\S+) is now known as (?P<new>\S+)")
# irssi: "--- Log opened Mon Jan 01 00:00:00 2024", "--- Day changed Tue Jan 02 2024"
_DAY_BEGINS = re.compile(
    r"--- (?:Log opened|Day changed) \w{3} (?P<month>\w{3}) (?P<day>\d\d?) (?:[\d:]{8} )?(?P<year>\d{4})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)(?!\d)")
# Of mIRC and its heirs: colours, bold and the like (modern.ircdocs.horse/formatting).
_FORMATTING = re.compile(r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9a-fA-F]{6})?|[\x02\x0f\x11\x16\x1d\x1e\x1f]")
# Enough to see what a file is.
_NUM_LINES_TO_GUESS = 50


def read(path: Path, options: ImportOptions, problems: Problems, consumed: Consumed) -> Iterator[SourceMessage]:
    """What was said and done, line by line."""
    chat, prefix = options.chat_of(path), options.id_prefix(PLATFORM, path)
    log = _Log(Clock(options.zone, options.first_day or _day_in(file_name(path))), problems)
    for number, line in lines(chunks(path, problems, consumed), problems):
        sent_at_ms, said = log.take(number, line)
        if said is not None:
            yield SourceMessage(
                id=f"{prefix}:{number}",
                platform=PLATFORM,
                chat=chat,
                author=log.author(said.nick),
                name=said.nick,
                pieces=(said.text,),
                sent_at_ms=sent_at_ms,
                kind=said.kind,
            )


def resembles(head: str) -> bool:
    """Whether a file that begins so may be such a log: most lines read as lines of one, and somebody speaks."""
    whole = [line for line in head.splitlines()[:_NUM_LINES_TO_GUESS] if line.strip()]
    parsed = [line for line in map(_parse, whole) if line is not None]
    return any(isinstance(line.content, _Said) and line.time for line in parsed) and len(parsed) * 2 > len(whole)


@dataclass(frozen=True, slots=True)
class _Said:
    nick: str
    text: str
    kind: Kind = Kind.MESSAGE


@dataclass(frozen=True, slots=True)
class _Note:
    """What nobody says: who joined, what the topic is; and who goes by a new nick."""

    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    content: _Said | _Note
    time: datetime.time | None = None
    day: datetime.date | None = None


class _Log:
    """What the lines so far say about the next one: which day it is, and who goes by which nick."""

    def __init__(self, clock: Clock, problems: Problems) -> None:
        self._clock, self._problems = clock, problems
        self._authors: dict[str, str] = {}
        self._misses_day = False

    def author(self, nick: str) -> str:
        """The first nick of whoever goes by this one now."""
        return self._authors.get(nick.lower(), nick.lower())

    def take(self, number: int, text: str) -> tuple[int | None, _Said | None]:
        """What is said in a line, and when; nothing if it is a note, or no line of a log, which is counted."""
        line = _parse(text)
        if line is None:
            if text.strip():
                self._problems.note(f"line {number}", "'[23:59] <nick> words' or the like", describe(text))
            return None, None
        sent_at_ms = self._moment(number, line)
        match line.content:
            case _Note(old, new):
                self._problems.skip("system line")
                if new:
                    self._authors[new.lower()] = self.author(old)
                return None, None
            case said if said.text.strip():
                return sent_at_ms, said
            case _:
                self._problems.skip("no text")
                return None, None

    def _moment(self, number: int, line: _Line) -> int | None:
        if line.day is not None:
            self._clock.set_day(line.day)
        if line.time is None:
            return None
        if not self._clock.has_day and not self._misses_day:
            self._misses_day = True
            self._problems.note(f"line {number}", "a day, in lines, the file's name or --date", "a time alone")
        return self._clock.at(line.time)


def _parse(text: str) -> _Line | None:
    if begins := _DAY_BEGINS.match(text):
        return _day_line(begins)
    stamp = _STAMP.match(text)
    content = _content(_FORMATTING.sub("", text[stamp.end() :] if stamp else text))
    if content is None:
        return None
    if stamp is None:
        return _Line(content)
    try:
        day = datetime.date.fromisoformat(stamp["day"]) if stamp["day"] else None
        return _Line(content, datetime.time.fromisoformat(stamp["time"]), day)
    except ValueError:
        return None


def _day_line(begins: re.Match[str]) -> _Line | None:
    try:
        month = _MONTHS.index(begins["month"]) + 1
        return _Line(_Note(), day=datetime.date(int(begins["year"]), month, int(begins["day"])))
    except ValueError:
        return None


def _content(text: str) -> _Said | _Note | None:
    """What a line says behind its time; None if it does not read as a line of a log."""
    if message := _MESSAGE.match(text):
        return _Said(message["nick"], message["text"])
    if change := _NEW_NICK.match(text):
        return _Note(change["old"], change["new"])
    if _NOTE.match(text):
        return _Note()
    if action := _ACTION.match(text):
        return _Said(action["nick"], action["text"] or "", Kind.ACTION)
    columns = _COLUMNS.match(text)
    return columns and _column_content(columns["sign"], columns["text"])


def _column_content(sign: str, text: str) -> _Said | _Note | None:
    if sign == _COLUMN_ACTION:
        nick, _, deed = text.partition(" ")
        return _Said(nick, deed, Kind.ACTION)
    if sign in _COLUMN_NOTES:
        return _Note()
    nick_column = _COLUMN_NICK.match(sign)
    return nick_column and _Said(nick_column["nick"], text)


def _day_in(name: str) -> datetime.date | None:
    for found in _DAY_IN_NAME.finditer(name):
        try:
            return datetime.date(int(found[1]), int(found[3]), int(found[4]))
        except ValueError:
            continue
    return None
