"""Says on stderr which stage of a job runs and how far it is; stdout stays clean.

On a terminal a stage with a known total draws one tqdm bar. Elsewhere (a log, a pipe) each stage
prints one plain line when it starts and one when it ends, and nothing in between. Knows nothing of
what the stages do.

    progress = Progress(stages=6)
    with progress.stage("trace the model"):
        ...
    with progress.stage("check parity", total=200, unit="prompts") as bar:
        for prompt in prompts:
            ...
            bar.update(1)
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Never, TextIO

from tqdm import tqdm


class Bar:
    """How far one stage is. Draws only when it has a total and stderr is a terminal."""

    def __init__(self, stream: TextIO | None) -> None:
        """Draw on `stream`; None draws nothing."""
        self._stream = stream
        self._tqdm: tqdm[Never] | None = None

    def start(self, total: int, unit: str = "it") -> None:
        """Begin, or begin anew, to count to `total`; the unit "B" is scaled to kB, MB and GB."""
        self.close()
        if self._stream is not None:
            scaled = unit == "B"
            self._tqdm = tqdm(
                total=total, unit=unit, unit_scale=scaled, unit_divisor=1000, file=self._stream, leave=False
            )

    def update(self, n: int = 1) -> None:
        """Count `n` more."""
        if self._tqdm is not None:
            self._tqdm.update(n)

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self._tqdm is not None:
            self._tqdm.close()
            self._tqdm = None


class Progress:
    """Numbers the stages of one job: `[2/6] convert the GGUF file ...`."""

    def __init__(self, stages: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Count to `stages`; writes to `stream`, or to what `sys.stderr` is now."""
        self._stages = stages
        self._stage = 0
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock

    @property
    def is_terminal(self) -> bool:
        """Whether bars are drawn."""
        return self._stream.isatty()

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "it") -> Iterator[Bar]:
        """Announce the next stage and yield its bar; say how long it took when the block ends.

        Args:
            name: what the stage does, as a verb phrase: "quantise the weights".
            total: what the bar counts to; None draws no bar until `bar.start(total)` is called.
            unit: what is counted; "B" for bytes.
        """
        self._stage += 1
        label = f"[{self._stage}/{self._stages}] {name}"
        self._say(f"{label} ...")
        bar = Bar(self._stream if self.is_terminal else None)
        if total is not None:
            bar.start(total, unit)
        began = self._clock()
        ending = "stopped"
        try:
            yield bar
            ending = "done"
        finally:
            bar.close()
            self._say(f"{label}: {ending} after {self._clock() - began:.1f} s")

    def _say(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()
