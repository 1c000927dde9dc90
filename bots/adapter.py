"""What the bot asks of a chat platform: the contract that every adapter keeps.

An adapter translates and decides nothing: when to draft, what to retry, where to split and whom to answer is
the business of `bots.replystream` and `bots.dispatcher`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from bots.commands import Command
from bots.message import Attachment, Button, ButtonPressed, ChatRef, Event, Message, MessageId, User


@dataclass(frozen=True)
class Pace:
    """At most `limit` calls in any `period_s` seconds, and `interval_s` between two that can wait.

    Attributes:
        reserved: How many of them are kept for what cannot wait.
    """

    limit: int
    period_s: float
    interval_s: float = 0.0
    reserved: int = 0


@dataclass(frozen=True)
class Caps:
    """What a chat can do; asked per chat, as private chats and groups differ.

    Attributes:
        draft_interval_s: Least time between two drafts in seconds; 0 shows every piece of text as it
            comes, None says that the chat has no drafts.
        draft_lifetime_s: How long a draft is shown, in seconds; None for as long as the adapter is open.
        can_edit: Whether a message can be changed after it was sent.
        first_text_s: How long a reply may grow until its first words are posted, so that a short one is posted
            once and whole.
        edit_lifetime_s: For how long after it was sent, in seconds; None for ever.
        typing_s: How long a typing indication lasts, in seconds; None says that there is none.
        max_length: What one message can hold, as `length` measures it; None says that there is no limit.
        length: What the platform counts of a Markdown text, once it is written in the platform's own way.
        has_buttons: Whether buttons can stand below a message.
        nonce_lifetime_s: For how long sending again with the same nonce makes no second message; 0 if it always
            does. Of a message sent longer ago, `answers_after` tells whether it is there.
        can_show_queue: Whether a draft is a good place to tell how many others are served first.
        pace: The limit that all calls to this chat share.
        threads_share_pace: Whether it is shared by all threads of the chat, too.
    """

    draft_interval_s: float | None = None
    draft_lifetime_s: float | None = None
    can_edit: bool = False
    first_text_s: float = 1.0
    edit_lifetime_s: float | None = None
    typing_s: float | None = None
    max_length: int | None = None
    length: Callable[[str], int] = len
    has_buttons: bool = False
    nonce_lifetime_s: float = 0.0
    can_show_queue: bool = False
    pace: Pace | None = None
    threads_share_pace: bool = False


class Adapter(Protocol):
    """One account on one chat platform.

    Every adapter passes tests/bots/test_adapter_contract.py:

    - The messages of a chat keep their order, and each one is yielded once as long as the adapter is open.
    - What is sent to a chat appears in the order of the calls.
    - Text is Markdown and data: whatever a model writes, nothing of it is obeyed by the place that shows it,
      and nobody is pinged by it.
    - Leaving the context closes all that entering it opened: `events` ends, and whatever wants to show
      something from then on raises AdapterClosedError.

    An adapter whose other end goes away (a pipe that is closed, a token that is revoked) acts as if its
    context had been left. Entering raises AccountError if the platform refuses the account, and
    UnreachableError if it cannot be reached.

    All that shows something raises, besides what is said below:
        RateLimitedError: Refused for now; `retry_after_s` says for how long. Nothing was done.
        UnreachableError: No answer; `may_be_done` says whether it may have been done.
        ForbiddenError: The bot may not do this here.
        AdapterClosedError: Nobody can see it any more.
    """

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...

    @property
    def platform(self) -> str:
        """For instance `discord`: the `platform` of all its chats."""
        ...

    @property
    def account(self) -> str:
        """The bot's own user id there, known once the context was entered."""
        ...

    @property
    def pace(self) -> Pace | None:
        """The limit that all calls of the account share."""
        ...

    def caps(self, chat: ChatRef) -> Caps:
        """What `chat` can do, from what is known already: no network call."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """Yield what people do, in all chats, until the adapter is done.

        Called once. An event counts as taken when the next one is asked for: one that was not may come
        again after a restart, if the platform can do that. When it ends, answers under way are ended.
        """
        ...

    async def settled(self, message: Message) -> None:
        """Take note that all that `message` asked for was said, or that it is not going to be.

        Called once for each message from `events`, in order within a chat except for commands that act
        at once. A draft that no `send` has replaced by then is left over from a reply that failed.
        """
        ...

    async def read(self, attachment: Attachment, limit_bytes: int) -> bytes:
        """Fetch the first `limit_bytes` bytes of a file that came with a message."""
        ...

    async def is_moderator(self, chat: ChatRef, user: User) -> bool:
        """Whether `user` may change what the bot does in `chat`; in a private chat everyone may."""
        ...

    async def tell(self, press: ButtonPressed, text: str) -> None:
        """Let the person who pressed a button, and nobody else, know what came of it; an empty text says nothing.

        Called once for each press, soon. Late or not, it never fails: the person may have gone.
        """
        ...

    async def typing(self, chat: ChatRef) -> None:
        """Show for `Caps.typing_s` seconds that the bot is writing."""
        ...

    async def draft(self, chat: ChatRef, text: str) -> None:
        """Show `text` as the reply so far, in place of the draft before it.

        The next `send` to the chat dismisses it. Does nothing where `caps` names no draft interval.

        Raises:
            UnsupportedError: The chat takes no drafts after all.
        """
        ...

    async def send(
        self,
        chat: ChatRef,
        text: str,
        *,
        reply_to: MessageId | None = None,
        buttons: Sequence[Button] = (),
        nonce: str = "",
    ) -> MessageId:
        """Post `text` as one message; return once the platform has accepted it.

        Args:
            chat: Where.
            text: Markdown.
            reply_to: The message that it answers; one that is gone makes no difference.
            buttons: What to show below it, where the chat has buttons.
            nonce: At most 25 characters. Sending again with the same one within `Caps.nonce_lifetime_s` does not
                post a second message.

        Raises:
            MessageTooLongError: `text` is over the chat's limit. Nothing was sent.
        """
        ...

    async def answers_after(self, chat: ChatRef, after: MessageId, text: str) -> list[MessageId]:
        """Messages of ours soon after the message `after` that say `text` or have buttons, oldest first.

        None of them if the platform shows bots nothing of what was said.
        """
        ...

    async def edit(self, chat: ChatRef, id: MessageId, text: str, *, buttons: Sequence[Button] = ()) -> None:
        """Replace text and buttons of a message of ours; nothing happens if they are the same already.

        Raises:
            MessageTooLongError: `text` is over the chat's limit. Nothing was changed.
            MessageGoneError: It was deleted, or is too old.
        """
        ...

    async def delete(self, chat: ChatRef, id: MessageId) -> None:
        """Take a message of ours back; one that is gone already makes no difference."""
        ...

    async def show_commands(self, commands: Sequence[Command]) -> None:
        """Let the platform's menu of commands list those that are listed, if it has one.

        What it shows already costs nothing. Never fails: the bot can do without a menu.
        """
        ...

    async def hand_over(self, chat: ChatRef, name: str, data: bytes, *, reply_to: MessageId) -> None:
        """Give a file to the person who wrote `reply_to`, so that nobody else sees it.

        Args:
            chat: Where that was.
            name: What the file is called.
            data: What it holds.
            reply_to: The message that asked for it.

        Raises:
            UnsupportedError: Others would see it, or there are no files here. Nothing was sent.
        """
        ...

    async def notice(self, chat: ChatRef, text: str, *, reply_to: MessageId | None = None) -> None:
        """Say something that is not part of a conversation: what a command answers, or what went wrong.

        May come while a draft is shown, and leaves it as it is where the platform can do that.

        Raises:
            MessageTooLongError: `text` is over the chat's limit. Nothing was sent.
        """
        ...
