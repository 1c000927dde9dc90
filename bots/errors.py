"""What can go wrong between a chat platform and the bot.

BotError
├── MessageTooLongError   one message cannot hold this text: split or shorten it (wrong input)
├── MessageGoneError      the message to edit is not there any more, or too old: send a new one (wrong input)
├── RateLimitedError      refused for now: wait and send it again (not now)
├── UnreachableError      no answer from the platform, or a broken one: try again (unreachable)
├── ForbiddenError        the bot may not do this here: blocked, removed, no permission (wrong input)
├── UnsupportedError      the platform does not offer this here: do without (wrong input)
├── AdapterClosedError    the adapter was left; it may be opened anew (unreachable)
├── AccountError          the token or the account's rights are not good: the operator must act (wrong input)
├── DatabaseError         the chat log cannot be opened or read: the operator must act
└── PluginError           a plugin cannot be found, loaded or unloaded: its author or the operator must act
"""


class BotError(Exception):
    """Base of all errors that adapters, the chat log and the dispatcher raise on purpose."""


class MessageTooLongError(BotError, ValueError):
    """The text does not fit into one message of the chat; nothing was sent."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"text has {length} characters, the chat takes {limit}; split it")
        self.length, self.limit = length, limit


class MessageGoneError(BotError):
    """The message was deleted, or is too old to be changed."""


class RateLimitedError(BotError):
    """The platform refuses for now; nothing was sent.

    Attributes:
        retry_after_s: How long the platform asks to wait, in seconds.
        is_account_wide: Whether that holds for every chat of the account.
    """

    def __init__(self, retry_after_s: float, *, is_account_wide: bool = False) -> None:
        super().__init__(f"the platform takes nothing for {retry_after_s:g} s; send it again then")
        self.retry_after_s, self.is_account_wide = retry_after_s, is_account_wide


class UnreachableError(BotError):
    """No answer, or one that makes no sense.

    Attributes:
        may_be_done: Whether the platform may have done what was asked all the same.
    """

    def __init__(self, reason: str, *, may_be_done: bool = True) -> None:
        super().__init__(f"the platform did not answer ({reason})")
        self.may_be_done = may_be_done


class ForbiddenError(BotError):
    """The bot may not do this in this chat, and trying again does not help."""


class UnsupportedError(BotError):
    """The platform does not offer this in this chat."""


class AdapterClosedError(BotError):
    """The adapter was closed, or the other end of it went away; nothing more can be sent through it."""


class AccountError(BotError):
    """The account cannot be used as it is set up; says what the operator has to change."""


class DatabaseError(BotError):
    """The chat log cannot be used; says what the operator has to change."""


class PluginError(BotError):
    """A plugin cannot be found, loaded or unloaded; says why. Everything else goes on."""
