"""What the engine measures about itself, per bundle version.

Only collects and summarises; nothing here changes what the engine does.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.generation import Completion

RECENT = 1000  # answers and gaps that percentiles are taken over


@dataclass(frozen=True)
class MetricsSnapshot:
    """Figures of one version since it was loaded; times in seconds, percentiles over recent answers.

    Attributes:
        tokens_per_second: Answer tokens per second of time in which the model ran.
        mean_batch_size: Rows per decode step.
        cached_share: Share of prompt tokens that came from the cache.
        finished: Answers by finish reason.
    """

    version: str
    queue_length: int
    num_running: int
    finished: dict[str, int]
    failed: int
    prompt_tokens: int
    answer_tokens: int
    cached_share: float
    tokens_per_second: float
    mean_batch_size: float
    time_to_first_token_p50_s: float
    time_to_first_token_p95_s: float
    time_per_output_token_p50_s: float
    time_per_output_token_p99_s: float


@dataclass
class Metrics:
    """Counters of one version."""

    version: str
    finished: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0
    num_decodes: int = 0
    num_rows: int = 0
    busy_s: float = 0.0
    _first_tokens: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _gaps: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def count_run(self, duration_s: float, decoded_rows: int) -> None:
        """A step has run; `decoded_rows` is 0 for a prefill."""
        self.busy_s += duration_s
        self.num_rows += decoded_rows
        self.num_decodes += decoded_rows > 0

    def count_completion(self, completion: Completion) -> None:
        """An answer has ended."""
        count = len(completion.token_ids)
        self.finished[completion.finish_reason] += 1
        self.prompt_tokens += completion.prompt_tokens
        self.cached_tokens += completion.cached_tokens
        self.answer_tokens += count
        if count:
            self._first_tokens.append(completion.time_to_first_token_s)
        if count > 1:
            writing = completion.duration_s - completion.time_to_first_token_s
            self._gaps.append(writing / (count - 1))

    def snapshot(self, *, queue_length: int, num_running: int) -> MetricsSnapshot:
        """The figures as they stand."""
        return MetricsSnapshot(
            version=self.version,
            queue_length=queue_length,
            num_running=num_running,
            finished=dict(self.finished),
            failed=self.failed,
            prompt_tokens=self.prompt_tokens,
            answer_tokens=self.answer_tokens,
            cached_share=_ratio(self.cached_tokens, self.prompt_tokens),
            tokens_per_second=_ratio(self.answer_tokens, self.busy_s),
            mean_batch_size=_ratio(self.num_rows, self.num_decodes),
            time_to_first_token_p50_s=_percentile(self._first_tokens, 50),
            time_to_first_token_p95_s=_percentile(self._first_tokens, 95),
            time_per_output_token_p50_s=_percentile(self._gaps, 50),
            time_per_output_token_p99_s=_percentile(self._gaps, 99),
        )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percentile(values: Iterable[float], percent: float) -> float:
    listed = list(values)
    return float(np.percentile(listed, percent)) if listed else 0.0
