"""What can go wrong in the engine, as the few kinds that callers treat differently.

EngineError
├── SettingsError            a setting is misspelt or out of range
├── BundleError              a bundle is missing, damaged or of another format
├── RegistryError            no such version, no champion
├── ProviderError            the execution provider asked for does not work here
├── ChatTemplateError        the model's template refuses these messages
├── InvalidRequestError      a parameter that no model could follow (wrong input)
├── PromptTooLongError       can never run: shorten it (wrong input)
├── QueueFullError           not now: try again later
├── NonFiniteLogitsError     the model gave NaN or infinity for a row
└── EngineClosedError        the engine is shutting down, or its model failed
"""

from collections.abc import Sequence


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose."""


class SettingsError(EngineError, ValueError):
    """A setting is unknown, misspelt or out of range."""


class BundleError(EngineError):
    """A bundle is missing, damaged or of a format that this version does not read."""


class RegistryError(EngineError):
    """The registry has no such version, or no champion yet."""


class ProviderError(EngineError):
    """The execution provider that was asked for does not work on this machine."""


class ChatTemplateError(EngineError, ValueError):
    """The model's chat template refuses these messages, for instance two user turns in a row."""


class InvalidRequestError(EngineError, ValueError):
    """A parameter of the request is out of range for the model that serves."""


class PromptTooLongError(EngineError, ValueError):
    """The prompt cannot run even alone in an empty cache."""

    def __init__(self, num_tokens: int, limit_tokens: int) -> None:
        super().__init__(f"prompt has {num_tokens} tokens, limit is {limit_tokens}; shorten it")
        self.num_tokens, self.limit_tokens = num_tokens, limit_tokens


class QueueFullError(EngineError):
    """The waiting queue is full; nothing was queued."""

    def __init__(self, num_waiting: int, limit: int) -> None:
        super().__init__(f"{num_waiting} requests are waiting and the limit is {limit}; try again later")
        self.num_waiting, self.limit = num_waiting, limit


class NonFiniteLogitsError(EngineError):
    """The model produced NaN or +inf; `rows` says for which rows of the batch."""

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__(f"logits of rows {list(rows)} are not finite; export the model again or report it")
        self.rows = tuple(rows)


class EngineClosedError(EngineError):
    """The engine no longer takes or runs requests."""
