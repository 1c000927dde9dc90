"""What was said in one chat, and the next question to the engine that follows from it.

Knows nothing of platforms: where the answer is shown is up to the caller.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bots.message import ChatRef
from engine.generation import ChatMessage, Generation, GenerationRequest, TextEngine
from engine.sampling import SamplingParams


@dataclass(frozen=True)
class AnswerOptions:
    """How the engine is to answer.

    Attributes:
        max_tokens: The answer's limit, in tokens.
        deadline_s: Seconds after which an answer ends as it stands; None lets it run.
    """

    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_tokens: int = 256
    deadline_s: float | None = None


@dataclass(frozen=True)
class Turn:
    """A question that was answered; the unit in which the engine drops what does not fit."""

    question: str
    answer: str

    @property
    def messages(self) -> tuple[ChatMessage, ChatMessage]:
        """Both sides, as the model sees them."""
        return ChatMessage("user", self.question), ChatMessage("assistant", self.answer)


class Conversation:
    """The memory of one chat.

    A question and its answer are remembered together, once the answer was shown; an answer that was
    stopped is remembered as far as it got. A question that failed leaves the memory as it was, so asking
    it again is all that a retry takes.
    """

    def __init__(
        self, chat: ChatRef, engine: TextEngine, *, persona: str, options: AnswerOptions | None = None
    ) -> None:
        """`persona` is the system message to begin with, and what `default` goes back to."""
        self.chat, self.persona, self.default_persona = chat, persona, persona
        self._engine, self._options = engine, options or AnswerOptions()
        self._turns: list[Turn] = []
        self._turn_taking = asyncio.Lock()
        self._is_answering = self._is_stopping = False
        self._generation: Generation | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What is remembered, oldest first, without the persona."""
        return tuple(self._turns)

    @asynccontextmanager
    async def ask(self, text: str) -> AsyncIterator[Generation]:
        """Have the engine answer `text`; one question at a time, in the order they are asked.

        The body shows the answer. If it ends well, both are remembered; if it raises, the engine is told
        to stop, and nothing is.

        Raises:
            EngineError: The engine refused the question or could not finish the answer.
        """
        async with self._turn_taking:
            turns = self._turns  # a reset meanwhile replaces the list, and nothing comes back into it
            self._is_answering, self._is_stopping = True, False
            try:
                generation = await self._engine.submit(self._request(text))
                self._generation = generation
                if self._is_stopping:
                    generation.cancel()
                yield generation
                completion = await generation.result()
            finally:
                if self._generation is not None:
                    self._generation.cancel()  # does nothing to an answer that has ended
                self._generation = None
                self._is_answering = False
            del turns[: completion.dropped_turns]  # they will not fit the next time either
            if completion.text.strip():
                turns.append(Turn(text, completion.text))

    def stop(self) -> bool:
        """End the answer under way as it stands; False if there is none."""
        if not self._is_answering:
            return False
        self._is_stopping = True
        if self._generation is not None:
            self._generation.cancel()
        return True

    def reset(self) -> None:
        """Forget what was said; the persona stays."""
        self._turns = []

    def _request(self, text: str) -> GenerationRequest:
        system = (ChatMessage("system", self.persona),) if self.persona else ()
        past = (message for turn in self._turns for message in turn.messages)
        return GenerationRequest(
            messages=(*system, *past, ChatMessage("user", text)),
            chat=self.chat.key,
            sampling=self._options.sampling,
            max_tokens=self._options.max_tokens,
            deadline_s=self._options.deadline_s,
        )
