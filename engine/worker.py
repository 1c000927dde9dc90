"""Serves one bundle version: a loop that plans a step, runs it on the model's thread, and delivers its tokens.

The loop's task alone changes the scheduler's running sequences and the cache; all of it lives on one event
loop, and only ONNX runs, sampling and tokenising leave it. A worker that drains takes nothing new and ends when
its last answer has.
"""

import asyncio
import functools
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from engine.bundle import GRAPH_NAME, Bundle
from engine.errors import (
    BundleError,
    EngineClosedError,
    EngineError,
    InvalidRequestError,
    NonFiniteLogitsError,
    QueueFullError,
)
from engine.generation import Completion, FinishReason, Generation, GenerationRequest, TokenLogprob
from engine.metrics import Metrics, MetricsSnapshot
from engine.prompt import Prompt, PromptBuilder, text_parts
from engine.sampling import FloatArray, Sampled, SamplerState, sample
from engine.scheduler import Decode, Prefill, Scheduler, Sequence, StepPlan
from engine.session import Session
from engine.settings import EngineSettings
from engine.stopping import StopMatcher
from engine.tokenizer import TextStream

logger = logging.getLogger(__name__)

WARM_UP_TOKENS = 8
Clock = Callable[[], float]
WorkerType = TypeVar("WorkerType", bound="Worker")


@dataclass(eq=False)
class _Answer:
    """Everything about one request under way."""

    request: GenerationRequest
    prompt: Prompt
    max_tokens: int
    sequence: Sequence
    sampler: SamplerState
    text: TextStream
    stops: StopMatcher
    submitted_at: float
    generation: Generation
    is_cancelled: bool = False
    first_token_at: float | None = None
    shown: list[str] = field(default_factory=list)
    sampled: list[Sampled] = field(default_factory=list)

    @property
    def deadline_at(self) -> float:
        limit = self.request.deadline_s
        return float("inf") if limit is None else self.submitted_at + limit


class Worker:
    """One loaded bundle with its scheduler, its thread and the answers that it is writing."""

    def __init__(self, bundle: Bundle, session: Session, settings: EngineSettings, clock: Clock) -> None:
        """Use `load`, which reads the files; `session` is the loaded graph."""
        self.version = bundle.version
        self._session = session
        template, self._tokenizer = text_parts(bundle)
        self._prompts = PromptBuilder(template, self._tokenizer)
        tokens = bundle.manifest.tokens
        self._stop_ids, self._stop_strings = frozenset(tokens.stop_ids), tokens.stop_strings
        self._scheduler = Scheduler(
            num_slots=session.num_slots, max_batch=settings.max_batch, chunk_tokens=settings.prefill_chunk
        )
        self._queue_limit, self._clock = settings.queue_limit, clock
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._text_thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        self._answers: dict[Sequence, _Answer] = {}
        self._num_encoding = 0
        self._wake = asyncio.Event()
        self._is_draining = self._is_aborted = False
        self._metrics = Metrics(bundle.version)

    @classmethod
    async def load(
        cls, path: Path, settings: EngineSettings, clock: Clock = time.monotonic, *, version: str | None = None
    ) -> Self:
        """Open a bundle, load its graph and run it once, without blocking the event loop.

        Args:
            version: What the bundle has to be, if that is known.

        Raises:
            BundleError: It is damaged, cannot be loaded or run, or is another version.
            ProviderError: The provider does not work here.
        """
        return await asyncio.to_thread(_load, cls, path, settings, clock, version)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is running, waiting or being tokenised."""
        return not self._answers and not self._num_encoding

    def metrics(self) -> MetricsSnapshot:
        """Figures of this version."""
        return self._metrics.snapshot(
            queue_length=len(self._scheduler.waiting), num_running=len(self._scheduler.running)
        )

    async def submit(self, request: GenerationRequest) -> Generation:
        """Tokenise a request and put it in line; see `TextEngine.submit`."""
        self._require_room()
        self._require_valid(request)
        submitted_at = self._clock()
        max_tokens = min(request.max_tokens, self._session.length // 2)
        limit = self._session.length - max_tokens
        self._num_encoding += 1
        try:
            loop = asyncio.get_running_loop()
            prompt = await loop.run_in_executor(self._text_thread, self._prompts.build, request.messages, limit)
        finally:
            self._num_encoding -= 1
            self._wake.set()
        if self._is_aborted:
            raise _closed()
        answer = self._answer(request, prompt, max_tokens, submitted_at)
        self._answers[answer.sequence] = answer
        self._scheduler.add(answer.sequence)
        return answer.generation

    def drain(self) -> None:
        """Take no more requests; `run` returns when all answers have ended."""
        self._is_draining = True
        self._wake.set()

    def abort(self) -> None:
        """End all answers now, with an error."""
        self._is_aborted = True
        self.drain()

    async def run(self) -> None:
        """Plan, run and deliver until drained; closes the threads and drops the graph at the end."""
        try:
            while True:
                self._end_what_must()
                if self._is_draining and self.is_idle:
                    return
                plan = self._scheduler.plan_step()
                if plan is None:
                    self._wake.clear()
                    await self._wake.wait()
                else:
                    await self._step(plan)
        finally:
            self.abort()
            for answer in self._answers.values():  # none, unless the loop itself broke
                answer.generation.fail(_closed())
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._model_thread.shutdown()  # waits for a run that is still going on
        self._text_thread.shutdown()
        del self._session

    def _require_room(self) -> None:
        if self._is_draining:
            raise _closed()
        num_waiting = len(self._scheduler.waiting) + self._num_encoding
        if num_waiting >= self._queue_limit:
            raise QueueFullError(num_waiting, self._queue_limit)

    def _require_valid(self, request: GenerationRequest) -> None:
        """Refuse at the door what would fail in the middle of a batch."""
        if request.max_tokens < 1:
            raise InvalidRequestError(f"max_tokens is {request.max_tokens}, must be 1 or more")
        if not (request.deadline_s is None or request.deadline_s >= 0):
            raise InvalidRequestError(f"deadline_s is {request.deadline_s}, must be None, or 0 or more")
        if not all(isinstance(message.content, str) for message in request.messages):
            raise InvalidRequestError("a message has no text; give the empty string for none")
        for token_id, bias in request.sampling.logit_bias.items():
            if not 0 <= token_id < self._session.vocabulary or math.isnan(bias) or bias == math.inf:
                raise InvalidRequestError(
                    f"logit_bias {token_id}: {bias} is impossible; token ids are 0 to "
                    f"{self._session.vocabulary - 1}, biases numbers or -inf"
                )

    def _answer(self, request: GenerationRequest, prompt: Prompt, max_tokens: int, submitted_at: float) -> _Answer:
        sequence = Sequence(request.chat, list(prompt.ids))
        return _Answer(
            request=request,
            prompt=prompt,
            max_tokens=max_tokens,
            sequence=sequence,
            sampler=SamplerState(request.sampling, prompt.ids),
            text=self._tokenizer.stream(),
            stops=StopMatcher((*request.stop, *self._stop_strings)),
            submitted_at=submitted_at,
            generation=Generation(
                position=functools.partial(self._scheduler.waiting.position, sequence),
                cancel=functools.partial(self._cancel, sequence),
            ),
        )

    def _cancel(self, sequence: Sequence) -> None:
        answer = self._answers.get(sequence)
        if answer is not None:
            answer.is_cancelled = True
            self._wake.set()

    def _end_what_must(self) -> None:
        """End what was cancelled or has run out of time, waiting or running; everything after an abort."""
        now = self._clock()
        for answer in list(self._answers.values()):
            if self._is_aborted:
                self._fail(answer, _closed())
            elif answer.is_cancelled:
                self._finish(answer, FinishReason.CANCELLED)
            elif now >= answer.deadline_at:
                self._finish(answer, FinishReason.DEADLINE)

    async def _step(self, plan: StepPlan) -> None:
        rows = _rows(plan)
        answers = [self._answers[s] for s in rows]
        states = [answer.sampler for answer in answers]
        started = time.perf_counter()
        try:
            run = functools.partial(_execute, self._session, plan, states)
            sampled = await asyncio.get_running_loop().run_in_executor(self._model_thread, run)
        except Exception as error:
            logger.exception("a step of %s failed", self.version)
            self._fail_run(error)
            return
        decoded = len(rows) if isinstance(plan.run, Decode) else 0
        self._metrics.count_run(time.perf_counter() - started, decoded)
        self._scheduler.commit(plan.run)
        for answer, token in zip(answers, sampled, strict=True):
            if isinstance(token, NonFiniteLogitsError):
                self._fail(answer, token)
                continue
            try:
                self._deliver(answer, token)
            except Exception as error:  # one answer's trouble must not end the loop that serves them all
                logger.exception("an answer of %s failed", self.version)
                self._fail(answer, EngineClosedError(f"the answer could not be delivered: {error}"))

    def _fail_run(self, error: Exception) -> None:
        """A run that failed may have left anything in the cache: end what was running and forget all slots."""
        failure = error if isinstance(error, EngineError) else EngineClosedError(f"the model failed: {error}")
        for sequence in self._scheduler.running:
            self._fail(self._answers[sequence], failure)
        self._scheduler.forget_cache()

    def _deliver(self, answer: _Answer, token: Sampled) -> None:
        """Take one sampled token into the answer and end it if it is complete."""
        now = self._clock()
        if answer.first_token_at is None:
            answer.first_token_at = now
        answer.sequence.tokens.append(token.token_id)
        answer.sampled.append(token)
        if token.token_id in self._stop_ids:
            self._finish(answer, FinishReason.STOP)
            return
        shown, is_stopped = answer.stops.push(answer.text.push(token.token_id))
        answer.shown.append(shown)
        answer.generation.feed(shown)
        if is_stopped:
            self._finish(answer, FinishReason.STOP, flush=False)
        elif len(answer.sampled) >= answer.max_tokens or self._is_full(answer):
            self._finish(answer, FinishReason.LENGTH)

    def _is_full(self, answer: _Answer) -> bool:
        return len(answer.sequence.tokens) >= self._session.length

    def _finish(self, answer: _Answer, reason: FinishReason, *, flush: bool = True) -> None:
        if flush:
            held = answer.stops.flush()
            answer.shown.append(held)
            answer.generation.feed(held)
        self._scheduler.remove(answer.sequence)
        del self._answers[answer.sequence]
        completion = self._completion(answer, reason)
        self._metrics.count_completion(completion)
        answer.generation.finish(completion)

    def _fail(self, answer: _Answer, error: Exception) -> None:
        if self._answers.pop(answer.sequence, None) is None:
            return  # it has ended already
        self._scheduler.remove(answer.sequence, keep_cache=False)
        self._metrics.failed += 1
        answer.generation.fail(error)

    def _completion(self, answer: _Answer, reason: FinishReason) -> Completion:
        now = self._clock()
        first_at = now if answer.first_token_at is None else answer.first_token_at
        asks_logprobs = answer.request.sampling.logprobs is not None
        return Completion(
            text="".join(answer.shown),
            finish_reason=reason,
            version=self.version,
            prompt_sha256=answer.prompt.sha256,
            prompt_tokens=len(answer.prompt.ids),
            cached_tokens=answer.sequence.num_reused,
            dropped_turns=answer.prompt.dropped_turns,
            token_ids=tuple(s.token_id for s in answer.sampled),
            logprobs=tuple(
                TokenLogprob(s.token_id, s.logprob, s.top)
                for s in answer.sampled
                if asks_logprobs and s.logprob is not None
            ),
            time_to_first_token_s=first_at - answer.submitted_at,
            duration_s=now - answer.submitted_at,
        )


def _closed() -> EngineClosedError:
    return EngineClosedError("the engine is shutting down; ask again when it is back")


def _rows(plan: StepPlan) -> tuple[Sequence, ...]:
    """The sequences that get a token from this step."""
    if isinstance(plan.run, Decode):
        return plan.run.sequences
    return (plan.run.sequence,) if plan.run.is_last else ()


def _execute(session: Session, plan: StepPlan, states: list[SamplerState]) -> list[Sampled | NonFiniteLogitsError]:
    """Carry out a step on the model's thread."""
    session.move(plan.moves)
    run = plan.run
    if isinstance(run, Prefill):
        wanted = [len(run.tokens) - 1] if run.is_last else []
        logits = session.prefill(run.slot, run.tokens, run.past, wanted)
    else:
        tokens = [s.tokens[-1] for s in run.sequences]
        logits = session.decode(tokens, [s.num_computed for s in run.sequences])
    return _sample_each(logits, states) if states else []


def _sample_each(logits: FloatArray, states: list[SamplerState]) -> list[Sampled | NonFiniteLogitsError]:
    """Sample the rows that can be; a row whose logits are broken gets the error, alone."""
    try:
        return list(sample(logits, states))
    except NonFiniteLogitsError as error:
        results: list[Sampled | NonFiniteLogitsError] = [error] * len(states)
        sound = [row for row in range(len(states)) if row not in error.rows]
        for row, token in zip(sound, sample(logits[sound], [states[row] for row in sound]), strict=True):
            results[row] = token
        return results


def _load(
    kind: type[WorkerType], path: Path, settings: EngineSettings, clock: Clock, version: str | None
) -> WorkerType:
    bundle = Bundle.open(path, version)
    try:
        session = Session(
            bundle.file(GRAPH_NAME),
            bundle.manifest.model,
            bundle.manifest.kv.dtype,
            num_slots=max(settings.slots, settings.max_batch),
            max_batch=settings.max_batch,
            length=min(settings.context_tokens, bundle.manifest.model.context),
            threads=settings.threads,
            provider=settings.provider,
        )
        _warm_up(session)
        return kind(bundle, session, settings, clock)
    except EngineError:
        raise
    except Exception as error:  # what onnxruntime and others raise for a bundle that lies about itself
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(f"{path} is intact but does not run: {reason}; export the model again") from error


def _warm_up(session: Session) -> None:
    """Run both kinds of step once: a graph that cannot run is refused before it gets a request."""
    logits = session.prefill(0, [0] * WARM_UP_TOKENS, 0, [WARM_UP_TOKENS - 1])
    session.decode([int(logits[0].argmax())], [WARM_UP_TOKENS])
