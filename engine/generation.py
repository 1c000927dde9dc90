"""One request and the text that comes back for it: what callers of the engine hold in their hands.

Knows nothing of models, tokens or scheduling; a scripted engine in a test can produce a `Generation`
just as the real one does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from engine.sampling import SamplingParams

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class ChatMessage:
    """One turn of a conversation as the model sees it."""

    role: Role
    content: str


@dataclass(frozen=True)
class GenerationRequest:
    """What to answer, and within which limits.

    Attributes:
        messages: The conversation, oldest first. A leading system message is the persona. Turns that
            do not fit into the context are dropped from the front, whole, the persona kept.
        chat: Names the conversation. Chats take turns in the queue, and the next request of a chat
            reuses the cache that its last one left behind.
        max_tokens: The answer's limit, in tokens.
        stop: Strings that end the answer; they are not part of it.
        deadline_s: Seconds from submission after which the answer ends as it stands.
    """

    messages: tuple[ChatMessage, ...]
    chat: str
    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    deadline_s: float | None = None


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"


@dataclass(frozen=True)
class TokenLogprob:
    """A sampled token with its log-probability (natural log) and the best alternatives at its place."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Completion:
    """A finished answer and what is worth knowing about it.

    Attributes:
        version: The bundle version that wrote it.
        prompt_sha256: Hash of the exact prompt token ids, for the log.
        prompt_tokens: Length of the prompt in tokens.
        cached_tokens: How many of them were taken from the cache instead of computed.
        dropped_turns: How many of the oldest turns did not fit into the context.
        logprobs: One entry per token if the request asked for them, otherwise empty.
    """

    text: str
    finish_reason: FinishReason
    version: str
    prompt_sha256: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    dropped_turns: int = 0
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    time_to_first_token_s: float = 0.0
    duration_s: float = 0.0


class Generation(AsyncIterator[str]):
    """An answer under way.

    Iterating yields the text that is new since the last step; a slow reader gets larger pieces, never a
    growing queue. The producing side calls `feed`, then `finish` or `fail`, on the event loop that the
    reader runs on.
    """

    def __init__(
        self,
        *,
        position: Callable[[], int] = lambda: 0,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        """`position` tells the place in the queue; `cancel` asks the producer to stop."""
        self._position, self._cancel = position, cancel
        self._unread: list[str] = []
        self._changed = asyncio.Event()
        self._done: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()

    @property
    def position(self) -> int:
        """Place in the waiting queue, 1 for the next in line; 0 once the answer is being written."""
        return 0 if self._done.done() else self._position()

    def cancel(self) -> None:
        """Ask for an early end; the text so far stays, and the finish reason becomes CANCELLED."""
        if not self._done.done():
            self._cancel()

    async def result(self) -> Completion:
        """Wait for the end and return the whole answer.

        Raises:
            EngineError: The answer could not be finished.
        """
        return await asyncio.shield(self._done)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._unread:
            if self._done.done():
                self._done.result()  # raises what `fail` was given
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        text = "".join(self._unread)
        self._unread.clear()
        return text

    def feed(self, text: str) -> None:
        """Add text that the reader may see."""
        if text:
            self._unread.append(text)
            self._changed.set()

    def finish(self, completion: Completion) -> None:
        """End the answer."""
        if not self._done.done():
            self._done.set_result(completion)
            self._changed.set()

    def fail(self, error: Exception) -> None:
        """End the answer with an error, which iterating and `result` raise."""
        if not self._done.done():
            self._done.set_exception(error)
            self._done.exception()  # a caller that went away leaves no "never retrieved" warning
            self._changed.set()


class TextEngine(Protocol):
    """What bots need of an engine; `engine.Engine` is one, and a test's scripted engine another."""

    @property
    def version(self) -> str:
        """The bundle version that answers new requests."""
        ...

    async def submit(self, request: GenerationRequest) -> Generation:
        """Queue a request; returns at once with the answer to come.

        Raises:
            PromptTooLongError: The persona and the last message alone do not fit into the context.
            QueueFullError: Too many requests are waiting.
            EngineClosedError: The engine is shutting down.
        """
        ...
