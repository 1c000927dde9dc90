"""The console in a terminal: a prompt that stays usable while the reply grows above it.

Rows of a reply that are complete are printed for good and belong to the terminal's scroll-back; the
unfinished row is part of the prompt and drawn again with each draft. A line that is typed while a reply
grows waits below it, and is printed when its turn comes, so that the screen reads like a dialogue.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style

from bots.adapter import Caps
from bots.commands import Command
from bots.console.local import LocalAccount, local_message, new_id
from bots.console.printable import printable
from bots.console.rows import GrowingText, rows
from bots.console.state import save_new
from bots.errors import AdapterClosedError, UnsupportedError
from bots.message import Button, ChatRef, Message, MessageId

_STYLE = Style.from_dict({"prompt": "bold ansicyan", "you": "bold", "aside": "ansibrightblack"})
_STOP = "/stop"
_MAX_NEXT = 3
_MAX_MENU_ROWS = 12
"""A terminal with fewer rows than the prompt wants shows no prompt at all."""


class CommandCompleter(Completer):
    """Completes the names of commands at the start of a line."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        """`commands` are looked up anew each time: they may change."""
        self._commands = commands

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """Yield the commands that begin with what was typed."""
        typed = document.text_before_cursor
        for name, command in self._commands.items():
            if typed and command.is_listed and f"/{name}".startswith(typed.lower()):
                yield Completion(f"/{name}", -len(typed), display=command.usage, display_meta=command.summary)


class TerminalAdapter(LocalAccount):
    """A person at a terminal."""

    def __init__(
        self,
        *,
        greeting: str,
        commands: Mapping[str, Command] = MappingProxyType({}),
        history: History | None = None,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        """`greeting` is the first screen; `input` and `output` default to the process's terminal.

        `commands` are those to complete, which may change at any time.
        """
        self._commands = commands
        self._greeting = greeting
        self._reply = GrowingText()
        self._is_thinking = self._is_replying = self._is_closed = False
        self._delayed: list[str] = []
        self._unsettled: list[Message] = []
        self._echoed: Message | None = None
        self._kept_input = ""
        self._session: PromptSession[str] = PromptSession(
            message=self._prompt,
            style=_STYLE,
            history=history,
            completer=CommandCompleter(commands),
            # Room for the menu is kept below the prompt as long as this holds: only while it is of use. How much,
            # is said with each prompt.
            complete_while_typing=Condition(lambda: self._session.default_buffer.text.startswith("/")),
            key_bindings=self._keys(),
            erase_when_done=True,
            input=input,
            output=output,
        )

    async def __aenter__(self) -> Self:
        self._print_paragraph("", self._greeting)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._end_reply()
        self._is_closed = True
        if self._session.app.is_running and not self._session.app.is_done:
            self._session.app.exit(exception=EOFError())

    def caps(self, chat: ChatRef) -> Caps:  # noqa: ARG002  # a console has one chat
        """Drafts as fast as they come, and no limits."""
        return Caps(draft_interval_s=0.0, can_show_queue=True)

    async def events(self) -> AsyncIterator[Message]:
        """Yield what is typed until Ctrl-D; Ctrl-C during a reply is `/stop`."""
        while not self._is_closed:
            kept, self._kept_input = self._kept_input, ""
            try:
                num_rows = min(len(self._commands) + 1, _MAX_MENU_ROWS)
                line = await self._session.prompt_async(default=kept, reserve_space_for_menu=num_rows)
            except EOFError:
                return
            if text := line.strip():
                message = local_message(text)
                self._unsettled.append(message)
                self._echo_next()
                yield message

    async def settled(self, message: Message) -> None:
        """End the reply to the oldest message, and let the next one appear."""
        is_oldest = message.id == self._unsettled[0].id
        self._unsettled = [each for each in self._unsettled if each.id != message.id]
        if is_oldest:
            self._end_reply()
            self._echo_next()
        self._session.app.invalidate()  # what waits is part of the prompt

    async def draft(self, chat: ChatRef, text: str) -> None:  # noqa: ARG002
        """Print the rows that are complete, and show the last one in the prompt."""
        self._check_open()
        self._is_replying = True
        self._grow(text)

    async def send(
        self,
        chat: ChatRef,  # noqa: ARG002
        text: str,
        *,
        reply_to: MessageId | None = None,  # noqa: ARG002
        buttons: Sequence[Button] = (),  # noqa: ARG002
        nonce: str = "",  # noqa: ARG002
    ) -> MessageId:
        """Print what is not there yet."""
        self._check_open()
        self._is_replying = True
        self._grow(text)
        self._end_reply()
        return new_id()

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:  # noqa: ARG002
        """Print an aside; one that comes in the middle of a reply is printed after it."""
        self._check_open()
        self._delayed.append(text)
        if not self._is_replying:
            self._print_delayed()

    async def hand_over(self, chat: ChatRef, name: str, data: bytes, *, reply_to: MessageId) -> None:
        """Write the file into the folder that the program was started in, and say where."""
        self._check_open()
        try:
            file = await asyncio.to_thread(save_new, Path.cwd(), name, data)
        except OSError as exc:
            raise UnsupportedError(f"{name} cannot be saved here: {exc.strerror or exc}") from exc
        await self.notice(chat, f"Saved as {file}", reply_to=reply_to)

    def _check_open(self) -> None:
        if self._is_closed:
            raise AdapterClosedError("the console was closed")

    def _grow(self, text: str) -> None:
        complete = self._reply.update(printable(text).rstrip(), self._columns())
        if complete:
            self._print([("", f"{row}\n") for row in complete])
        else:
            self._session.app.invalidate()

    def _columns(self) -> int:
        # A terminal that does not know its size says 0.
        return max(self._session.output.get_size().columns, 20)

    def _end_reply(self) -> None:
        if self._is_replying:
            self._print([("", f"{self._reply.rest}\n\n")])
        self._reply = GrowingText()
        self._is_thinking = self._is_replying = False
        self._print_delayed()

    def _print_delayed(self) -> None:
        asides, self._delayed = self._delayed, []
        for text in asides:
            self._print_paragraph("class:aside", text)

    def _print_paragraph(self, style: str, text: str) -> None:
        lines = rows(printable(text).strip("\n"), self._columns())
        self._print([(style, "\n".join([*lines, "", ""]))])

    def _echo_next(self) -> None:
        """Print the oldest message that is not settled, once: what it says is answered now."""
        if self._unsettled and self._unsettled[0] is not self._echoed:
            self._echoed = self._unsettled[0]
            self._is_thinking = True
            self._print([("class:prompt", "> "), ("class:you", f"{printable(self._echoed.text)}\n")])

    def _print(self, fragments: StyleAndTextTuples) -> None:
        """Print above the prompt, and have it drawn again below.

        prompt_toolkit's own run_in_terminal would hand the keyboard back to the terminal for that long, and
        would have to be awaited: between a row that is printed and its removal from the prompt, the prompt
        could be drawn with both.
        """
        app = self._session.app
        if app.is_running:
            app.renderer.erase()
        print_formatted_text(self._session.output, fragments, _STYLE)
        if app.is_running:
            app.renderer.request_absolute_cursor_position()
            app.invalidate()

    def _prompt(self) -> StyleAndTextTuples:
        above: StyleAndTextTuples = []
        if self._is_replying:
            above.append(("", f"{self._reply.rest}\n"))
        elif self._is_thinking:
            above.append(("class:aside", "thinking ... (Ctrl-C stops)\n"))
        waiting = self._unsettled[1:]
        above += [("class:aside", f"next: {_one_line(message.text)}\n") for message in waiting[:_MAX_NEXT]]
        if len(waiting) > _MAX_NEXT:
            above.append(("class:aside", f"      and {len(waiting) - _MAX_NEXT} more\n"))
        return [*above, ("class:prompt", "> ")]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("<sigint>")
        def interrupt(event: KeyPressEvent) -> None:
            buffer = event.app.current_buffer
            if self._unsettled:
                self._kept_input = buffer.text
                event.app.exit(result=_STOP)
            elif buffer.text:
                buffer.reset()
            else:
                self._print_paragraph("class:aside", "Ctrl-D quits; /help lists the commands.")

        return keys


def _one_line(text: str, limit: int = 60) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
