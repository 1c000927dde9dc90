"""What an operator says about a file beside its format, since the file does not say it.

Knows nothing of formats: each reads what it needs.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from finetune.errors import FinetuneError

DATE_ORDERS = ("auto", "dmy", "mdy", "ymd")

_SUFFIXES = {".gz", ".json", ".jsonl", ".ndjson", ".txt", ".log", ".weechatlog", ".raw", ".csv", ".tsv"}


@dataclass(frozen=True)
class ImportOptions:
    """All have a default that does for most files.

    Attributes:
        chat: Name of the chat, where a file does not say; the file's name without suffixes if None.
        timezone: IANA name of the zone that times without one are in.
        mapping: Dialogues: their field for each of ours, see `finetune.importing.dialogues`.
        assistant: The speaker, by id or name, whom a model shall learn to answer as; all others become users.
        platform: Dialogues: where they were said; `dataset` if None.
        is_group: Dialogues: each is a chat of many people rather than a conversation of two.
        date: IRC: day of the first line, as `2024-12-31`, where neither lines nor the file's name have it.
        name: Of the import; None before it has one.
        date_order: WhatsApp: order of day, month and year; one of `DATE_ORDERS`.
    """

    chat: str | None = None
    timezone: str = "UTC"
    mapping: Mapping[str, str] = field(default_factory=dict)
    assistant: str | None = None
    platform: str | None = None
    is_group: bool = False
    date: str | None = None
    name: str | None = None
    date_order: str = "auto"

    def __post_init__(self) -> None:
        if self.date_order not in DATE_ORDERS:
            raise FinetuneError(f"date order is {self.date_order!r}; give one of {', '.join(DATE_ORDERS)}")
        _ = self.zone, self.first_day

    @property
    def zone(self) -> datetime.tzinfo:
        """The time zone; UTC works where no zone data are installed."""
        if self.timezone == "UTC":
            return datetime.UTC
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise FinetuneError(f"time zone {self.timezone!r} is not known; give one like Europe/Berlin") from exc

    @property
    def first_day(self) -> datetime.date | None:
        """The day of the first line, if it was given."""
        try:
            return datetime.date.fromisoformat(self.date) if self.date else None
        except ValueError as exc:
            raise FinetuneError(f"date is {self.date!r}; give it as 2024-12-31") from exc

    def chat_of(self, path: Path) -> str:
        """The chat's name, where the file itself has none."""
        return self.chat or file_name(path)

    def id_prefix(self, platform: str, path: Path) -> str:
        """What the ids of a file begin with whose messages have only numbers of lines or rows.

        Several files may be of one chat that `chat` names, or have one name: then the import's tells their lines apart.
        """
        name = self.name or file_name(path)
        return f"{platform}:{name}" if self.chat in (None, name) else f"{platform}:{self.chat}:{name}"


def file_name(path: Path) -> str:
    """Its name without `.jsonl.gz` and the like, but with other dots that it has."""
    name = Path(path.name)
    while name.suffix.lower() in _SUFFIXES:
        name = name.with_suffix("")
    return name.name
