"""Says how a training goes: in `events.jsonl`, as it happens, and on stderr for whoever looks on.

On a terminal that is a bar; elsewhere a line with each evaluation, or half a minute after the last one. Knows nothing
of torch, and decides nothing.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Never, Protocol, TextIO

from tqdm import tqdm

from finetune.durable import appending, explained
from finetune.training.job import EVENTS

# Between two lines where no bar can be drawn.
LINE_EVERY_S = 30.0


class Journal(Protocol):
    """Takes events; which there are is said in docs/flywheel.md."""

    def tell(self, event: str, **values: Any) -> None:
        """Note an event."""


class Silence:
    """The journal of a process that is not the first."""

    def tell(self, event: str, **values: Any) -> None:
        """Note nothing."""


class StageJournal:
    """The journal of one stage."""

    def __init__(
        self, folder: Path, stage: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`folder` is the run's; writes to `stream`, or to what `sys.stderr` is now."""
        self._path, self._stage, self._clock = folder / EVENTS, stage, clock
        self._stream = sys.stderr if stream is None else stream
        self._bar: tqdm[Never] | None = None
        self._said_at = clock()
        with explained(self._path):
            _cut_torn_line(self._path)

    def tell(self, event: str, **values: Any) -> None:
        """Note an event.

        Raises:
            StoreError: The file cannot be written.
        """
        line = json.dumps({"event": event, "stage": self._stage, **values})
        with explained(self._path), appending(self._path) as out:
            out.write(f"{line}\n")
        self._show(event, values)

    def _show(self, event: str, values: Mapping[str, Any]) -> None:
        if event == "step":
            self._show_step(values)
        elif event != "checkpoint":
            self._say(f"{self._stage}: {event} {_in_words(values)}")
        if event == "ended" and self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show_step(self, values: Mapping[str, Any]) -> None:
        words = f"loss {values['loss']:.4f}, {values['tokens_per_second']:.0f} tokens/s"
        if self._stream.isatty():
            if self._bar is None:
                self._bar = tqdm(total=values["steps"], desc=self._stage, unit="steps", file=self._stream, leave=False)
            self._bar.update(values["step"] - self._bar.n)
            self._bar.set_postfix_str(f"{words}, {_minutes(values['seconds_left'])} left")
        elif self._clock() - self._said_at >= LINE_EVERY_S:
            left = _minutes(values["seconds_left"])
            self._say(f"{self._stage}: step {values['step']} of {values['steps']}, {words}, {left} left")

    def _say(self, line: str) -> None:
        self._said_at = self._clock()
        if self._bar is not None:
            self._bar.clear()
        self._stream.write(f"{line}\n")
        self._stream.flush()


def _in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _cut_torn_line(path: Path) -> None:
    """Remove what a killed process has left of a line."""
    if path.exists():
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            path.write_bytes(data[: data.rfind(b"\n") + 1])
