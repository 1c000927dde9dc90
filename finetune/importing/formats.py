"""The formats that files can be imported from, by name, and what holds for the messages of all of them.

Knows nothing of how a format is read, nor of rights: whoever imports says why that is allowed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engine.speakers import Called, Piece
from finetune.errors import SourceFileError
from finetune.importing import chatjsonl, dialogues, discord, irc, telegram, whatsapp
from finetune.importing.options import ImportOptions
from finetune.importing.problems import Problems
from finetune.importing.reading import Consumed, head
from finetune.message import Role, SourceMessage

__all__ = ["FORMATS", "Format", "ImportOptions", "guess"]

# What no text has: halves of a character, which stand for undecodable bytes as well, and NUL.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Format:
    """One way in which chats are written down.

    Attributes:
        platform: Of its messages; `dataset` for what was not said on a platform.
        summary: One line for people who choose.
        parse: Reads a file, as `read` but without what holds for all formats.
        resembles: Whether a file that begins with some text may be of this format.
    """

    name: str
    platform: str
    summary: str
    parse: Callable[[Path, ImportOptions, Problems, Consumed], Iterator[SourceMessage]]
    resembles: Callable[[str], bool]

    def read(
        self, path: Path, options: ImportOptions, problems: Problems, consumed: Consumed
    ) -> Iterator[SourceMessage]:
        """The messages of a file, in its order; memory does not grow with it.

        Args:
            path: The file; may be compressed with gzip.
            options: What the file does not say.
            problems: Gets what is wrong with the file and what is left out of it.
            consumed: Gets the number of bytes of the file, as it is on disk, that were read since the last call.

        Raises:
            SourceFileError: the file cannot be read, or nothing in it is of this format; on the first iteration or,
                if it takes the whole file to find that out, on the last.
        """
        num_messages, is_assistant_there = 0, False
        for message in self.parse(path, options, problems, consumed):
            num_messages += 1
            with_role = _with_role(message, options.assistant)
            is_assistant_there = is_assistant_there or with_role.role is Role.ASSISTANT
            yield _mended(with_role, problems)
        if not num_messages and not problems.skipped:
            raise SourceFileError(self._refusal(path, problems))
        if num_messages and options.assistant is not None and not is_assistant_there:
            raise SourceFileError(
                f"{path} has no message by {options.assistant!r}, who is to be the assistant; give --assistant the id "
                "or the name of a speaker as the file has it"
            )

    def _refusal(self, path: Path, problems: Problems) -> str:
        why = f" ({problems.first[0]})" if problems.first else ""
        other = guess(path)
        todo = (
            "look whether it is the right file"
            if other in {None, self.name}
            else f"it may be {other}: --format {other}"
        )
        return f"{path} holds no message that reads as {self.name}{why}; {todo}"


FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        Format(
            "discord",
            discord.PLATFORM,
            "a channel or thread as DiscordChatExporter writes it as JSON",
            discord.read,
            discord.resembles,
        ),
        Format(
            "telegram",
            telegram.PLATFORM,
            "result.json of Telegram Desktop: one chat, or an account with all its chats",
            telegram.read,
            telegram.resembles,
        ),
        Format(
            "openai",
            chatjsonl.PLATFORM,
            'JSON Lines with {"messages": [{"role": ..., "content": ...}]}',
            chatjsonl.read_openai,
            chatjsonl.resembles_openai,
        ),
        Format(
            "sharegpt",
            chatjsonl.PLATFORM,
            'JSON Lines, or a list, with {"conversations": [{"from": ..., "value": ...}]}',
            chatjsonl.read_sharegpt,
            chatjsonl.resembles_sharegpt,
        ),
        Format(
            "irc",
            irc.PLATFORM,
            "a log as irssi, WeeChat, ZNC or the Ubuntu channels write it",
            irc.read,
            irc.resembles,
        ),
        Format(
            "whatsapp",
            whatsapp.PLATFORM,
            "a chat as the app exports it as text",
            whatsapp.read,
            whatsapp.resembles,
        ),
        Format(
            "dialogues",
            dialogues.PLATFORM,
            "JSON Lines, JSON or CSV in which --map says where the words, speakers and times stand",
            dialogues.read,
            lambda _: False,
        ),
    )
}


def guess(path: Path) -> str | None:
    """The format that a file seems to have, for error messages; None if it looks like none, or like dialogues."""
    text = head(path)
    return next((name for name, format in FORMATS.items() if text and format.resembles(text)), None)


def _with_role(message: SourceMessage, assistant: str | None) -> SourceMessage:
    if assistant is None or message.role is not None:
        return message
    is_assistant = assistant in {message.author, message.name}
    return replace(message, role=Role.ASSISTANT if is_assistant else Role.USER)


def _mended(message: SourceMessage, problems: Problems) -> SourceMessage:
    """The message with the replacement character for what is no text in it."""
    called = [piece.speaker for piece in message.pieces if isinstance(piece, Called)]
    named = [
        message.id,
        message.chat,
        message.author,
        message.name,
        message.thread,
        message.reply_to,
        message.conversation,
    ]
    bad = _NO_TEXT.search("".join([message.text, *called, *(word for word in named if word)]))
    if bad is None:
        return message
    problems.note(_text(message.id), "UTF-8 without NUL", f"U+{ord(bad[0]):04X}, which is no character")
    return replace(
        message,
        id=_text(message.id),
        chat=_text(message.chat),
        thread=message.thread and _text(message.thread),
        author=_text(message.author),
        name=_text(message.name),
        reply_to=message.reply_to and _text(message.reply_to),
        conversation=message.conversation and _text(message.conversation),
        pieces=tuple(map(_piece, message.pieces)),
    )


def _piece(piece: Piece) -> Piece:
    return Called(_text(piece.speaker)) if isinstance(piece, Called) else _text(piece)


def _text(text: str) -> str:
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)
