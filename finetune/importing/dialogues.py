"""Messages out of public dialogue corpora and tables, whatever their fields are called: the operator gives a mapping.

A mapping names for parts of ours the fields of theirs. A field is looked for in the turn first, then in its dialogue:

- `turns`: list of the turns of a dialogue; without it, each row is one message
- `text`, `speaker`: of a turn; fields of these names need no mapping
- `id`: of the dialogue, or of the row that is one message; without it, its number in the file
- `turn_id`: of a turn; without it, its number in the dialogue
- `time`: of a turn: seconds or milliseconds since 1970, ISO 8601, or `23:59` together with `date`
- `date`: the day on which a dialogue begins
- `author`: who wrote a turn, where that is not its speaker; `{speaker}` is for rows that have the author of each
  speaker in a field called like the speaker: `{"user": "u17", "assistant": "w4", "turns": [...]}`
- `reply_to`: id of the turn that a turn answers, or a list of which the last counts
- `kind`: turns that are neither `message` nor `action` are left out
- `conversation`: of a row that is one message, the dialogue that it belongs to

Two people talk in a dialogue, and each turn answers the one before, unless the options say that it is a chat of many.
Knows nothing of what is in a turn beside that.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.errors import SourceFileError
from finetune.importing.fields import Fields
from finetune.importing.options import ImportOptions
from finetune.importing.problems import BadRowError, Problems, describe, field_names
from finetune.importing.reading import Consumed
from finetune.importing.records import Record, records
from finetune.importing.rows import Row, as_row, is_word
from finetune.importing.times import Clock, from_iso, from_unix
from finetune.message import DATASET, Kind, Role, SourceMessage

PLATFORM = DATASET

_KINDS = {"message": Kind.MESSAGE, "action": Kind.ACTION}


def read(path: Path, options: ImportOptions, problems: Problems, consumed: Consumed) -> Iterator[SourceMessage]:
    """The messages of all dialogues, in the order of the file.

    Raises:
        SourceFileError: the mapping fits no row; says which fields the first row has.
    """
    fields = Fields(options.mapping)
    first: Record | None = None
    num_rows_that_fit = 0
    for record in records(path, problems, consumed, has_keys=fields.has("turns")):
        first = first or record
        try:
            dialogue = _dialogue(record, path, fields, options)
            num_rows_that_fit += 1
        except BadRowError as error:
            problems.note(record.place, error.expected, error.found)
        else:
            yield from dialogue.messages(fields, options, problems)
    if first is not None and not num_rows_that_fit:
        raise SourceFileError(_misfit(path, first, problems))
    for part, name in fields.unseen:
        problems.note("the whole file", f"a field '{name}' for {part}", "none")


@dataclass(frozen=True, slots=True)
class _Dialogue:
    """One row, taken apart: what holds for all its turns.

    Attributes:
        prefix: What the ids of its turns begin with.
        conversation: None in a chat of many, where nobody says which conversation a turn belongs to.
        has_turns: Whether its turns are rows of their own.
    """

    record: Record
    prefix: str
    chat: str
    conversation: str | None
    turns: list[Any]
    clock: Clock
    has_turns: bool

    def messages(self, fields: Fields, options: ImportOptions, problems: Problems) -> Iterator[SourceMessage]:
        """The turns that say something."""
        for number, turn in enumerate(self.turns):
            try:
                if message := self._message(number, turn, fields, options, problems):
                    yield message
            except BadRowError as error:
                place = self.record.place + (f", turn {number + 1}" if self.has_turns else "")
                problems.note(place, error.expected, error.found)

    def _message(
        self, number: int, turn: Any, fields: Fields, options: ImportOptions, problems: Problems
    ) -> SourceMessage | None:
        rows = (as_row(turn, "turns that are objects"), self.record.row)
        kind = _KINDS.get(fields.word("kind", rows[0]) or "message")
        # The clock hears of every turn, since each may be the first after midnight.
        sent_at_ms = self._sent_at_ms(fields.value("time", *rows), options.zone)
        if kind is None:
            problems.skip("another kind of turn")
            return None
        text = fields.text(rows[0])
        if not text.strip():
            problems.skip("no text")
            return None
        speaker = fields.word("speaker", *rows)
        return SourceMessage(
            id=self._id(self._turn_id(number, rows[0], fields)),
            platform=options.platform or PLATFORM,
            chat=self.chat,
            author=self._author(speaker, rows, fields),
            name=speaker or "" if self.conversation is None else "",
            pieces=(text,),
            sent_at_ms=sent_at_ms,
            reply_to=self._reply_to(fields.value("reply_to", rows[0])),
            conversation=self.conversation,
            role=_role(speaker, options.assistant),
            kind=kind,
        )

    def _id(self, turn: str) -> str:
        return f"{self.prefix}:{turn}"

    def _turn_id(self, number: int, turn: Row, fields: Fields) -> str:
        if not self.has_turns:
            return fields.word("id", turn) or self.record.key
        return fields.word("turn_id", turn) or str(number)

    def _author(self, speaker: str | None, rows: tuple[Row, Row], fields: Fields) -> str:
        if author := fields.author(speaker, *rows):
            return author
        if not speaker:
            return ""
        # The two sides of a dialogue are called alike in all dialogues, and are other people in each.
        return speaker.lower() if self.conversation is None else f"{self.conversation}:{speaker}"

    def _reply_to(self, answered: Any) -> str | None:
        last = answered[-1] if isinstance(answered, list) and answered else answered
        return self._id(str(last)) if is_word(last) and last != "" else None

    def _sent_at_ms(self, time: Any, zone: datetime.tzinfo) -> int | None:
        try:
            return _moment(time, self.clock, zone)
        except ValueError as exc:
            raise BadRowError("a time since 1970, in ISO 8601, or as 23:59", describe(time)) from exc


def _dialogue(record: Record, path: Path, fields: Fields, options: ImportOptions) -> _Dialogue:
    has_turns = fields.has("turns")
    key = fields.word("id", record.row) or record.key
    if not has_turns:
        fields.text(record.row)
    chat = key if options.is_group and has_turns else options.chat_of(path)
    prefix = options.id_prefix(options.platform or PLATFORM, path)
    return _Dialogue(
        record=record,
        prefix=f"{prefix}:{key}" if has_turns else prefix,
        chat=chat,
        conversation=None if options.is_group else fields.word("conversation", record.row) or key,
        turns=fields.turns(record.row) if has_turns else [record.row],
        clock=Clock(options.zone, _day(fields.word("date", record.row), options)),
        has_turns=has_turns,
    )


def _role(speaker: str | None, assistant: str | None) -> Role | None:
    if assistant is None:
        return None
    return Role.ASSISTANT if speaker == assistant else Role.USER


def _day(text: str | None, options: ImportOptions) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if text else options.first_day
    except ValueError as exc:
        raise BadRowError("a day such as 2024-12-31", describe(text)) from exc


def _moment(value: Any, clock: Clock, zone: datetime.tzinfo) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return from_unix(value)
    if not isinstance(value, str):
        raise ValueError("neither a number nor a string")  # noqa: TRY004 - as all that is no time
    if value.replace(".", "", 1).isdecimal():
        return from_unix(float(value))
    if len(value) <= len("23:59:59"):
        return clock.at(datetime.time.fromisoformat(value if value[1:2] != ":" else f"0{value}"))
    return from_iso(value, zone)


def _misfit(path: Path, first: Record, problems: Problems) -> str:
    names = field_names(first.row)
    why = problems.first[0] if problems.first else "no row fits"
    return f"{path} does not fit its mapping ({why}); its fields are {names}: name the right ones with --map PART=FIELD"
