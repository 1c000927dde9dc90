"""The one chat and the one person that a console has, and what a console cannot do."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from bots.adapter import Pace
from bots.commands import Command
from bots.errors import MessageGoneError, UnsupportedError
from bots.message import Addressed, Attachment, Button, ButtonPressed, ChatRef, Message, MessageId, Text, User

LOCAL_CHAT = ChatRef("console", "local", "console")
LOCAL_USER = User("console", "local", "you")


def new_id() -> MessageId:
    """An id that no message had before: the log keeps them from one run to the next."""
    return MessageId(uuid4().hex)


def local_message(text: str) -> Message:
    """Make a message of what was typed."""
    now = datetime.now(UTC)
    return Message(
        id=new_id(),
        chat=LOCAL_CHAT,
        author=LOCAL_USER,
        segments=(Text(text),),
        time=now,
        addressed=frozenset({Addressed.DIRECT}),
        is_private=True,
    )


class LocalAccount:
    """The part of an adapter that is the same for every console: there is no platform that could refuse."""

    @property
    def platform(self) -> str:
        """The console."""
        return LOCAL_CHAT.platform

    @property
    def account(self) -> str:
        """There is one."""
        return LOCAL_CHAT.account

    @property
    def pace(self) -> Pace | None:
        """No limit."""
        return None

    async def is_moderator(self, chat: ChatRef, user: User) -> bool:  # noqa: ARG002
        """Whoever sits at the keyboard may do anything."""
        return True

    async def read(self, attachment: Attachment, limit_bytes: int) -> bytes:  # noqa: ARG002
        """Nothing is ever attached to what is typed."""
        raise UnsupportedError("a console takes no files")

    async def tell(self, press: ButtonPressed, text: str) -> None:
        """A console has no buttons."""

    async def typing(self, chat: ChatRef) -> None:
        """A console shows the reply itself as it grows."""

    async def answers_after(self, chat: ChatRef, after: MessageId, text: str) -> list[MessageId]:  # noqa: ARG002
        """What was printed cannot be read back."""
        return []

    async def edit(self, chat: ChatRef, id: MessageId, text: str, *, buttons: Sequence[Button] = ()) -> None:  # noqa: ARG002
        """What was printed stays."""
        raise MessageGoneError("what a console has printed cannot be changed")

    async def delete(self, chat: ChatRef, id: MessageId) -> None:
        """What was printed stays."""

    async def show_commands(self, commands: Sequence[Command]) -> None:
        """Nothing is kept: what a console completes is looked up while it is typed."""

    async def hand_over(self, chat: ChatRef, name: str, data: bytes, *, reply_to: MessageId) -> None:  # noqa: ARG002
        """There is no place for files."""
        raise UnsupportedError("no files can be given here; ask for them in a terminal")
