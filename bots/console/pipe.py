"""The console without a terminal: one message per line in, one reply per message out.

Replies alone go to the output; whatever else there is to say goes to the error output.
"""

from asyncio import Event
from collections.abc import AsyncIterator, Sequence
from typing import Self

from bots.adapter import Caps
from bots.console.descriptor import Descriptor
from bots.console.local import LocalAccount, local_message, new_id
from bots.console.printable import printable
from bots.errors import AdapterClosedError
from bots.message import Button, ChatRef, Message, MessageId


class PipeAdapter(LocalAccount):
    """Reads lines from one descriptor and writes replies to another.

    A line is taken up only when the one before it is settled, so that replies come in the order of the
    lines, each ended by exactly one line feed.
    """

    def __init__(self, *, stdin: int, stdout: int, stderr: int, is_live: bool) -> None:
        """`is_live` shows replies as they grow: right for people, wrong for programs that want whole ones."""
        self._stdin, self._stdout, self._stderr = Descriptor(stdin), Descriptor(stdout), Descriptor(stderr)
        self._caps = Caps(draft_interval_s=0.0 if is_live else None)
        self._shown = ""
        self._go_on = Event()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        for descriptor in (self._stdin, self._stdout, self._stderr):
            descriptor.close()
        self._go_on.set()

    def caps(self, chat: ChatRef) -> Caps:  # noqa: ARG002  # a console has one chat
        """Drafts if `is_live`, and no limits."""
        return self._caps

    async def events(self) -> AsyncIterator[Message]:
        """Yield one message per line that is not blank. What is not UTF-8 becomes U+FFFD."""
        async for line in self._lines():
            text = line.decode("utf-8", errors="replace").strip()
            if not text:
                continue
            self._go_on.clear()
            yield local_message(text)
            await self._go_on.wait()
            if self._is_closed:
                return

    async def _lines(self) -> AsyncIterator[bytes]:
        buffered = b""
        try:
            while data := await self._stdin.read():
                *lines, buffered = (buffered + data).split(b"\n")
                for line in lines:
                    yield line
        except AdapterClosedError:
            return
        yield buffered

    async def settled(self, message: Message) -> None:  # noqa: ARG002  # there is only one at a time
        """Let the next line come. What is left of a reply that failed gets a line of its own."""
        try:
            if self._shown:
                self._shown = ""
                await self._put("\n")
        except AdapterClosedError:
            pass  # events() has ended, too
        finally:
            self._go_on.set()

    async def draft(self, chat: ChatRef, text: str) -> None:  # noqa: ARG002
        """Write what is new, if the output is live."""
        if self._caps.draft_interval_s is not None:
            await self._put(self._news(printable(text).rstrip("\n")))

    async def send(
        self,
        chat: ChatRef,  # noqa: ARG002
        text: str,
        *,
        reply_to: MessageId | None = None,  # noqa: ARG002
        buttons: Sequence[Button] = (),  # noqa: ARG002
        nonce: str = "",  # noqa: ARG002
    ) -> MessageId:
        """Write what is not there yet, and end the line."""
        news = self._news(printable(text).rstrip("\n"))
        self._shown = ""
        await self._put(news + "\n")
        return new_id()

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:  # noqa: ARG002
        """Write to the error output, below a reply that is under way."""
        await self._put(("\n" if self._shown else "") + printable(text).rstrip("\n") + "\n", to=self._stderr)

    def _news(self, text: str) -> str:
        """What has to be written so that `text` stands there whole."""
        # A text that does not go on from what stands there begins on a new line: it cannot be called back.
        news = text.removeprefix(self._shown) if text.startswith(self._shown) else "\n" + text
        self._shown = text
        return news

    async def _put(self, text: str, *, to: Descriptor | None = None) -> None:
        try:
            await (to or self._stdout).write(text.encode(errors="replace"))
        except AdapterClosedError:
            if to is self._stderr and not self._is_closed:
                return  # nobody reads notices any more; replies go on
            self._close()
            raise
