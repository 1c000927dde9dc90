"""How fast a model answers on this machine, beside another one.

Both are in memory and take turns, round by round, so that what else the machine does hits both alike; what counts is
the median of the rounds' ratios. Graphs are run as serving runs them, without the engine around them, which is the same
for both. Knows nothing of text.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.bundle import GRAPH_NAME, Bundle
from engine.session import Session
from engine.settings import EngineSettings
from engine.slots import Copy
from finetune.evaluation.figures import Serving

PROMPT_TOKENS = 256
ANSWER_TOKENS = 64
# One reply alone, and among as many as a busy chat has.
BATCHES = (1, 8)
# Prompts in one round.
PROMPTS = 4
ROUNDS = 5
# Until it is clear on which side of the limit a model is: single rounds differ by more than a tenth on a busy machine.
MOST_ROUNDS = 15


@dataclass(frozen=True)
class Times:
    """What one round took; `token_s` is the mean of one more token of a reply, alone and in a batch."""

    first_token_s: tuple[float, ...]
    token_s: float


@dataclass(frozen=True)
class Round:
    """A round of both models."""

    challenger: Times
    champion: Times

    @property
    def first_token_ratio(self) -> float:
        """By medians: what is above them is the machine's doing."""
        return statistics.median(self.challenger.first_token_s) / statistics.median(self.champion.first_token_s)

    @property
    def token_ratio(self) -> float:
        """Of the time of one more token."""
        return self.challenger.token_s / self.champion.token_s


def compare(
    challenger: Bundle,
    champion: Bundle,
    settings: EngineSettings,
    limit: float,
    *,
    rounds: int = ROUNDS,
    most_rounds: int = MOST_ROUNDS,
    on_round: Callable[[], None] = lambda: None,
) -> tuple[Serving, Serving]:
    """The figures of both, the challenger's first.

    Args:
        settings: How models are served here: threads, provider, longest conversation, tokens of a prompt at a time.
        limit: Ratio that is looked out for: there are more rounds where it is close.
        on_round: Called after each round.

    Raises:
        BundleError: ONNX Runtime refuses a graph.
        ProviderError: The provider does not work here.
    """
    done = []
    for each in settled(_rounds(_Timed(challenger, settings), _Timed(champion, settings)), limit, rounds, most_rounds):
        done.append(each)
        on_round()
    first, later = _medians(done)
    return (
        _figures(challenger, [each.challenger for each in done], first, later),
        _figures(champion, [each.champion for each in done], 1.0, 1.0),
    )


def settled(rounds: Iterator[Round], limit: float, least: int = ROUNDS, most: int = MOST_ROUNDS) -> Iterator[Round]:
    """Rounds until their medians are clearly within the limit or clearly beyond it."""
    done: list[Round] = []
    for each in rounds:
        done.append(each)
        yield each
        if len(done) >= most or (len(done) >= least and _is_clear(_medians(done), limit)):
            return


def _is_clear(ratios: tuple[float, float], limit: float) -> bool:
    margin = (limit - 1) / 2
    return max(ratios) <= limit - margin or max(ratios) > limit + 2 * margin


def _medians(rounds: list[Round]) -> tuple[float, float]:
    first = statistics.median(each.first_token_ratio for each in rounds)
    return first, statistics.median(each.token_ratio for each in rounds)


def _rounds(challenger: "_Timed", champion: "_Timed") -> Iterator[Round]:
    """Rounds without an end; who begins changes, for the second finds a warmer machine."""
    for model in (challenger, champion):
        model.first_token_s()  # loads what is loaded at first use
    while True:
        yield Round(challenger.times(), champion.times())
        champion_first = champion.times()
        yield Round(challenger.times(), champion_first)


class _Timed:
    """A graph in memory that is timed."""

    def __init__(self, bundle: Bundle, settings: EngineSettings) -> None:
        model = bundle.manifest.model
        self._session = Session(
            bundle.file(GRAPH_NAME),
            model,
            bundle.manifest.kv.dtype,
            num_slots=max(BATCHES),
            max_batch=max(BATCHES),
            length=min(settings.context_tokens, model.context),
            threads=settings.threads,
            provider=settings.provider,
        )
        self._chunk = settings.prefill_chunk
        # Any tokens do, as long as they are not the same ones.
        self._prompt = [7919 * n % model.vocabulary for n in range(min(PROMPT_TOKENS, self._session.length // 2))]

    def times(self) -> Times:
        """One round."""
        first = tuple(self.first_token_s() for _ in range(PROMPTS))
        return Times(first, statistics.fmean(self._token_s(rows) for rows in BATCHES))

    def first_token_s(self) -> float:
        """Seconds that a prompt takes, in pieces as the engine runs it."""
        prompt, began = self._prompt, time.perf_counter()
        for at in range(0, len(prompt), self._chunk):
            piece = prompt[at : at + self._chunk]
            self._session.prefill(0, piece, at, [len(piece) - 1] if at + self._chunk >= len(prompt) else [])
        return time.perf_counter() - began

    def _token_s(self, rows: int) -> float:
        """Seconds that a step of so many replies takes, all of them behind the same prompt."""
        length = len(self._prompt)
        self._session.move([Copy(0, slot, length) for slot in range(1, rows)])
        steps = min(ANSWER_TOKENS, self._session.length - length)
        began = time.perf_counter()
        for step in range(steps):
            self._session.decode([self._prompt[step % length]] * rows, [length + step] * rows)
        return (time.perf_counter() - began) / steps


def _figures(bundle: Bundle, times: list[Times], first_token_ratio: float, token_ratio: float) -> Serving:
    return Serving(
        first_token_s=float(np.percentile([seconds for each in times for seconds in each.first_token_s], 95)),
        token_s=statistics.fmean(each.token_s for each in times),
        first_token_ratio=first_token_ratio,
        token_ratio=token_ratio,
        file_bytes=sum(file.size for name, file in bundle.manifest.files.items() if name.startswith(GRAPH_NAME)),
    )
