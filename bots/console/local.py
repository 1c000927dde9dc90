"""The one chat and the one person that a console has."""

from datetime import UTC, datetime

from bots.message import Addressed, ChatRef, Message, MessageId, User

LOCAL_CHAT = ChatRef("console", "local", "console")
LOCAL_USER = User("console", "local", "you")


def local_message(number: int, text: str) -> Message:
    """Make a message of what was typed; `number` counts them."""
    return Message(
        id=MessageId(str(number)),
        chat=LOCAL_CHAT,
        author=LOCAL_USER,
        text=text,
        time=datetime.now(UTC),
        addressed=frozenset({Addressed.DIRECT}),
    )
