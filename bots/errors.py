"""What can go wrong between a chat platform and the bot.

BotError
├── MessageTooLongError   one message cannot hold this text: split or shorten it (wrong input)
├── RateLimitedError      refused for now: wait and send it again (not now)
└── AdapterClosedError    the platform is gone for good (unreachable)
"""


class BotError(Exception):
    """Base of all errors that adapters and the dispatcher raise on purpose."""


class MessageTooLongError(BotError, ValueError):
    """The text does not fit into one message of the chat; nothing was sent."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"text has {length} characters, the chat takes {limit}; split it")
        self.length, self.limit = length, limit


class RateLimitedError(BotError):
    """The platform refuses for now; nothing was sent."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"the platform takes nothing for {retry_after_s:g} s; send it again then")
        self.retry_after_s = retry_after_s


class AdapterClosedError(BotError):
    """The adapter was closed, or the other end of it went away; nothing more can be sent."""
