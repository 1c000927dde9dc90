"""Watches a stage while it runs: notes each step, has it evaluated and kept as planned, and ends it in time.

Which figures mean what is decided in `finetune.training.course`. Knows nothing of what is learnt.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.training.course import Course
from finetune.training.journal import Journal
from finetune.training.planning import Plan

# What a shell gives for a process that SIGTERM has ended.
TERMINATED = 128 + signal.SIGTERM


class Watcher(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Watches one stage; `trainer` is set once there is one."""

    trainer: Any = None

    def __init__(
        self,
        course: Course,
        plan: Plan,
        tokens: Sequence[int],
        seconds: float,
        patience: int | None,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A watcher of a stage that has come to where `course` is.

        Args:
            tokens: Of each step, in all processes together.
            seconds: Budget of wall clock.
            patience: Evaluations without a better one that end the stage; None if the last step is taken in any case.
        """
        self.is_asked_to_end = False
        self._course, self._plan, self._tokens = course, plan, tokens
        self._seconds, self._patience, self._journal, self._clock = seconds, patience, journal, clock
        self._began_at = clock() - course.seconds
        # Since this process began, for the speed: of steps alone, and of the last evaluation.
        self._step_began_at, self._step_seconds, self._steps, self._step_tokens = 0.0, 0.0, 0, 0
        self._evaluation_seconds = 0.0

    @contextmanager
    def heeding_sigterm(self) -> Iterator[None]:
        """Have SIGTERM end the stage after the step that it is in, once that is kept."""
        before = signal.signal(signal.SIGTERM, self._asked_to_end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _asked_to_end(self, *_: object) -> None:
        self.is_asked_to_end = True

    def on_train_begin(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Measure what there is before the first step, or say where it goes on."""
        self.trainer.check_disk()
        if state.global_step:
            self._journal.tell("resumed", step=state.global_step)
        if self._course.before is None:
            self.trainer.evaluate()

    def on_step_begin(self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Look at the clock."""
        self._step_began_at = self._clock()

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Decide, in all processes alike, what follows this step."""
        step = state.global_step
        self._count(step)
        late, asked = self._over_all(self._course.seconds > self._seconds, self.is_asked_to_end)
        self.is_asked_to_end = asked
        if step == self._plan.steps:
            self._course.ended_by = "plan"
        elif late:
            self._course.ended_by = "wall clock"
        control.should_evaluate = self._plan.has_evaluation(step) or late
        control.should_save = control.should_evaluate or asked
        control.should_training_stop |= late or asked

    def _count(self, step: int) -> None:
        now = self._clock()
        self._steps += 1
        self._step_seconds += now - self._step_began_at
        self._step_tokens += self._tokens[step - 1]
        self._course.tokens += self._tokens[step - 1]
        self._course.seconds = now - self._began_at

    def _over_all(self, *flags: bool) -> list[bool]:
        """Which of some flags is up in any process: those whose clocks differ would otherwise wait for each other."""
        return [any(each) for each in zip(*gather_object([flags]), strict=True)]

    def on_log(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        """Note a step."""
        if "loss" not in logs:
            return
        step, loss, norm = state.global_step, logs["loss"], logs["grad_norm"]
        self._course.stepped(step, loss, norm)
        self._journal.tell(
            "step",
            step=step,
            steps=self._plan.steps,
            loss=loss,
            grad_norm=norm,
            learning_rate=logs["learning_rate"],
            tokens=self._course.tokens,
            tokens_per_second=self._step_tokens / self._step_seconds if self._step_seconds else 0.0,
            seconds=self._course.seconds,
            seconds_left=self._seconds_left(step),
        )

    def _seconds_left(self, step: int) -> float:
        left = range(step + 1, self._plan.steps + 1)
        evaluations = sum(map(self._plan.has_evaluation, left)) + self._plan.has_evaluation(step)
        planned = len(left) * self._step_seconds / self._steps + evaluations * self._evaluation_seconds
        return min(planned, max(0.0, self._seconds - self._course.seconds))

    def on_evaluate(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        """Note an evaluation; where there was no better one for too long, this was the last."""
        found, step, course = metrics["eval_bits_per_byte"], state.global_step, self._course
        if course.before is None:
            course.before, is_best = found, False
        else:
            is_best = course.evaluated(step, found, self._patience)
        self._evaluation_seconds = metrics["eval_seconds"]
        course.seconds = self._clock() - self._began_at
        self._journal.tell("evaluation", step=step, bits_per_byte=found, is_best=is_best, seconds=course.seconds)
        if course.ended_by is not None:
            control.should_training_stop = True

    def on_save(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Note a checkpoint."""
        self._journal.tell("checkpoint", step=state.global_step, bytes=self.trainer.saved_bytes)
