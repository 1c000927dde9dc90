"""An engine without a model: it says what it is told to.

Knows nothing of chats.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from engine.errors import EngineClosedError
from engine.generation import Completion, FinishReason, Generation, GenerationRequest


@dataclass(frozen=True)
class Refusal:
    """Stands alone in a script: `submit` raises `error`, and nothing is queued."""

    error: Exception


@dataclass(frozen=True)
class InQueue:
    """From here on, the answer's place in the queue is `position`; the first text ends the waiting."""

    position: int


Step = str | Exception | InQueue | Refusal | Callable[[], Awaitable[object]]
"""What an answer does next: give text, fail, wait in the queue, or await something (an `event.wait`)."""

Script = Sequence[Step]


def echo(request: GenerationRequest) -> Script:
    """Answer with the question."""
    return ("You said: ", request.messages[-1].content)


class ScriptedEngine:
    """A `TextEngine` whose answers are scripts, played one per request and in order.

    Attributes:
        requests: What was asked, refused requests included.
    """

    def __init__(
        self,
        scripts: Iterable[Script] = (),
        *,
        otherwise: Callable[[GenerationRequest], Script] = echo,
        version: str = "scripted",
    ) -> None:
        """`otherwise` writes the script of a request when `scripts` are used up."""
        self._scripts, self._otherwise, self._version = list(scripts), otherwise, version
        self._group = asyncio.TaskGroup()
        self._answers: list[_Answer] = []
        self._is_open = False
        self.requests: list[GenerationRequest] = []

    @property
    def num_running(self) -> int:
        """Answers that have not ended: 0 once everyone has let go of theirs."""
        return sum(not answer.is_over for answer in self._answers)

    @property
    def version(self) -> str:
        """What was given as `version`, until a test sets another: then another model answers."""
        return self._version

    @version.setter
    def version(self, version: str) -> None:
        self._version = version

    def add(self, script: Script) -> None:
        """Play another script after those that there are."""
        self._scripts.append(script)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._is_open = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._is_open = False
        for answer in self._answers:
            answer.cancel()
        await self._group.__aexit__(None, None, None)

    async def submit(self, request: GenerationRequest) -> Generation:
        """Begin the next script."""
        if not self._is_open:
            raise EngineClosedError("the scripted engine is not open")
        self.requests.append(request)
        script = self._scripts.pop(0) if self._scripts else self._otherwise(request)
        match script:
            case [Refusal(error)]:
                raise error
        answer = _Answer(script, self._version)
        answer.start(self._group)
        self._answers = [*(other for other in self._answers if not other.is_over), answer]
        return answer.generation


class _Answer:
    """One script on its way to a reader."""

    def __init__(self, script: Script, version: str) -> None:
        self._script, self._version = script, version
        self._position = 0
        self._text = ""
        self._player: asyncio.Task[None] | None = None
        self.is_over = False
        self.generation = Generation(position=lambda: self._position, cancel=self.cancel)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Play the script in `group`."""
        self._player = group.create_task(self._play())

    def cancel(self) -> None:
        """End the answer as it stands."""
        if self._player is not None:
            self._player.cancel()
        self._end(FinishReason.CANCELLED)

    async def _play(self) -> None:
        for step in self._script:
            match step:
                case str():
                    self._position = 0
                    self._text += step
                    self.generation.feed(step)
                    await asyncio.sleep(0)  # lets the reader have each piece alone
                case InQueue(position):
                    self._position = position
                case Exception():
                    self.is_over = True
                    self.generation.fail(step)
                    return
                case Refusal():
                    raise TypeError("a Refusal stands alone in its script")
                case _:
                    await step()
        self._end(FinishReason.STOP)

    def _end(self, reason: FinishReason) -> None:
        self.is_over = True
        self.generation.finish(Completion(text=self._text, finish_reason=reason, version=self._version))
