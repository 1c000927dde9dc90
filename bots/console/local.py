"""The one chat and the one person that a console has, and what a console cannot do."""

from collections.abc import Sequence
from datetime import UTC, datetime

from bots.adapter import Pace
from bots.errors import MessageGoneError, UnsupportedError
from bots.message import Addressed, Attachment, Button, ChatRef, Message, MessageId, Text, User

LOCAL_CHAT = ChatRef("console", "local", "console")
LOCAL_USER = User("console", "local", "you")


def local_message(number: int, text: str) -> Message:
    """Make a message of what was typed; `number` counts them."""
    now = datetime.now(UTC)
    return Message(
        # The log keeps them from one run to the next: two runs must not use the same id.
        id=MessageId(f"{now.timestamp():.6f}-{number}"),
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
