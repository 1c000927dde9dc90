"""What the bot asks of a chat platform: the contract that every adapter keeps.

An adapter translates and decides nothing: when to draft, what to retry and whom to answer is the
business of `bots.replystream` and `bots.dispatcher`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, Self

from bots.message import ChatRef, Message, MessageId


@dataclass(frozen=True)
class Caps:
    """What a chat can do; asked per chat, as private chats and groups differ.

    Attributes:
        draft_interval_s: Least time between two drafts in seconds; 0 shows every piece of text as it
            comes, None says that the chat has no drafts.
        max_length: Characters that one message can hold; None says that there is no limit.
        can_show_queue: Whether a draft is a good place to tell how many others are served first.
    """

    draft_interval_s: float | None = None
    max_length: int | None = None
    can_show_queue: bool = False


class Adapter(Protocol):
    """One account on one chat platform.

    Every adapter passes tests/bots/test_adapter_contract.py:

    - The messages of a chat keep their order, and each one is yielded once.
    - What is sent to a chat appears in the order of the calls.
    - Text is data: whatever a model writes, nothing of it is obeyed by the place that shows it.
    - Leaving the context closes all that entering it opened: `messages` ends, and whatever wants to
      show something from then on raises AdapterClosedError.

    An adapter whose other end goes away (a pipe that is closed, a token that is revoked) acts as if its
    context had been left.
    """

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...

    def caps(self, chat: ChatRef) -> Caps:
        """What `chat` can do, from what is known already: no network call."""
        ...

    def messages(self) -> AsyncIterator[Message]:
        """Yield what people say, from all chats, until the adapter is done.

        Called once. When it ends, answers under way are ended as `/stop` would.
        """
        ...

    async def settled(self, message: Message) -> None:
        """Take note that all that `message` asked for was said, or that it is not going to be.

        Called once for each message from `messages`, in order within a chat except for commands that act
        at once. A draft that no `send` has replaced by then is left over from a reply that failed.
        """
        ...

    async def draft(self, chat: ChatRef, text: str) -> None:
        """Show `text` as the reply so far, in place of the draft before it.

        The next `send` to the chat dismisses it. Does nothing where `caps` names no draft interval.

        Raises:
            RateLimitedError: Refused for now; the draft before it still stands.
            AdapterClosedError: Nobody can see it any more.
        """
        ...

    async def send(self, chat: ChatRef, text: str) -> MessageId:
        """Post `text` as one message; return once the platform has accepted it.

        Raises:
            MessageTooLongError: `text` is over the chat's limit. Nothing was sent.
            RateLimitedError: Refused for now; `retry_after_s` says for how long. Nothing was sent.
            AdapterClosedError: Nobody can see it any more.
        """
        ...

    async def notice(self, chat: ChatRef, text: str) -> None:
        """Say something that is not part of a conversation: what a command answers, or what went wrong.

        May come while a draft is shown, and leaves it as it is.

        Raises:
            RateLimitedError: Refused for now. Nothing was sent.
            AdapterClosedError: Nobody can see it any more.
        """
        ...
