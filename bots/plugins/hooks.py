"""The hooks: moments at which plugins may look, change something, or say no.

Each holds handlers in their order (`order`, then the order of registration). A handler that fails is skipped.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bots.message import ButtonPressed, ChatRef, Message, MessageId, Reacted, User
from bots.plugins.guard import Guard, HandlerFailedError
from bots.plugins.scope import Handle, Scope
from engine.generation import GenerationRequest

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])
T = TypeVar("T")

LOOK_WITHIN_S = 1.0
"""For hooks that everything else in an account waits for."""
ACT_WITHIN_S = 10.0
"""For hooks that one chat waits for."""


@dataclass(frozen=True)
class Veto:
    """What a handler returns to say no. `say` is told to the person, if there is something to tell."""

    say: str = ""


@dataclass(frozen=True)
class Turn:
    """A question on its way to the engine.

    Attributes:
        author: Who asked.
        request: What the engine is going to be asked: the messages with the persona first, sampling, stop strings.
    """

    chat: ChatRef
    author: User
    is_private: bool
    request: GenerationRequest


@dataclass(frozen=True)
class Answer:
    """An answer that the model has written.

    Attributes:
        text: Markdown, as people are going to see it.
        model_version: Who wrote it.
    """

    chat: ChatRef
    text: str
    model_version: str


@dataclass(frozen=True)
class Feedback:
    """What a person thinks of an answer.

    Attributes:
        score: 1, -1, or 0 if it was taken back.
        correction: What the bot should have said, where the person says so.
    """

    chat: ChatRef
    id: MessageId
    user: User
    score: int
    correction: str | None = None


@dataclass(frozen=True, eq=False)
class _Handler(Generic[F]):
    scope: Scope
    function: F
    order: int


class Hook(Generic[F]):
    """One moment, and who waits for it."""

    def __init__(self, name: str, guard: Guard, within_s: float) -> None:
        self.name, self._guard, self._within_s = name, guard, within_s
        self._handlers: list[_Handler[F]] = []

    def __bool__(self) -> bool:
        """Whether anybody waits for it."""
        return bool(self._handlers)

    def add(self, scope: Scope, function: F, order: int = 0) -> Handle:
        """Let `function` be called.

        Raises:
            TypeError: It is not async.
        """
        is_async = inspect.iscoroutinefunction(function)
        if not is_async:
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(f"{name} is no async function; write `async def`")
        handler = _Handler(scope, function, order)
        self._handlers.append(handler)
        self._handlers.sort(key=lambda each: each.order)  # stable
        return scope.own(lambda: self._handlers.remove(handler))

    async def fold(self, value: T, arguments: Callable[[T], tuple[Any, ...]], off: Collection[str] = ()) -> T | Veto:
        """Let each handler replace `value`; the first veto ends it.

        Args:
            value: What it is at first.
            arguments: What handlers are called with, made of the value.
            off: The plugins that are switched off where this happens.
        """
        for handler in tuple(self._handlers):
            if handler.scope.plugin not in off:
                result = await self._call(handler, *arguments(value), kind=(type(value), Veto))
                if isinstance(result, Veto):
                    return result
                value = value if result is None else result
        return value

    async def tell(self, *arguments: object, off: Collection[str] = ()) -> dict[str, Any]:
        """Tell everybody at once; returns what they had to say, by plugin."""
        handlers = [handler for handler in self._handlers if handler.scope.plugin not in off]
        results = await asyncio.gather(*(self._call(handler, *arguments) for handler in handlers))
        pairs = zip(handlers, results, strict=True)
        return {handler.scope.plugin: result for handler, result in pairs if result is not None}

    async def _call(self, handler: _Handler[F], *arguments: object, kind: tuple[type, ...] = (object,)) -> Any:
        """What a handler returns, if it is one of `kind`; None if it has failed."""

        async def call() -> Any:
            result = await handler.function(*arguments)
            if result is not None and not isinstance(result, kind):
                may_return = ", ".join(each.__name__ for each in kind)
                raise TypeError(f"it has returned a {type(result).__name__}; it may return None, {may_return}")
            return result

        if handler.scope.is_closed:  # since a handler before it
            return None
        try:
            return await self._guard.run(handler.scope, self.name, call, self._within_s)
        except HandlerFailedError:
            return None


BeforeLog = Callable[[Message], Awaitable[Message | Veto | None]]
BeforePress = Callable[[ButtonPressed | Reacted], Awaitable[Veto | None]]
BeforeGenerate = Callable[[Turn], Awaitable[GenerationRequest | Veto | None]]
OnChunk = Callable[[ChatRef, str], Awaitable[str | None]]
AfterGenerate = Callable[[Answer], Awaitable[str | Veto | None]]
BeforeSend = Callable[[ChatRef, str], Awaitable[str | Veto | None]]
OnReaction = Callable[[Reacted], Awaitable[None]]
OnFeedback = Callable[[Feedback], Awaitable[None]]
OnUserForget = Callable[[User], Awaitable[None]]
OnUserExport = Callable[[User], Awaitable[object]]
OnModelSwap = Callable[[str, str], Awaitable[None]]


@dataclass
class Hooks:
    """All of them.

    Attributes:
        before_log: A message that was said to the bot, before anything is kept of it: change it, or ignore it.
        before_press: A button was pressed, or a reaction has changed: ignore it.
        before_generate: Change what the engine is asked, or let there be no answer.
        on_chunk: An answer that grows, as people are going to see it so far: change what they see. Be quick.
        after_generate: A whole answer, before it is kept: change it, or let it not be given.
        before_send: A whole answer or what a command says, before people see it: change what they see of it.
        on_reaction: A reaction below a message of the bot changed.
        on_feedback: A person rated or corrected an answer, by whatever means.
        on_user_forget: Somebody wants to be forgotten: remove what you keep of them elsewhere than in `ctx.store`.
        on_user_export: Somebody wants a copy: return what you keep of them elsewhere, as JSON.
        on_model_swap: From now on another version of the model answers: old and new.
    """

    guard: Guard
    before_log: Hook[BeforeLog] = field(init=False)
    before_press: Hook[BeforePress] = field(init=False)
    before_generate: Hook[BeforeGenerate] = field(init=False)
    on_chunk: Hook[OnChunk] = field(init=False)
    after_generate: Hook[AfterGenerate] = field(init=False)
    before_send: Hook[BeforeSend] = field(init=False)
    on_reaction: Hook[OnReaction] = field(init=False)
    on_feedback: Hook[OnFeedback] = field(init=False)
    on_user_forget: Hook[OnUserForget] = field(init=False)
    on_user_export: Hook[OnUserExport] = field(init=False)
    on_model_swap: Hook[OnModelSwap] = field(init=False)

    def __post_init__(self) -> None:
        """Make them."""
        quick = {"before_log": LOOK_WITHIN_S, "on_chunk": LOOK_WITHIN_S}
        for name in self.__dataclass_fields__:
            if name != "guard":
                setattr(self, name, Hook(name, self.guard, quick.get(name, ACT_WITHIN_S)))
