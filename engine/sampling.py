"""From logits to the next token, for a whole batch at once.

Plain arithmetic on arrays: knows nothing of models, text or scheduling. Each sequence brings its own random
generator and history, so what it draws does not depend on who shares its batch.

Shapes: B batch, V vocabulary.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from engine.errors import NonFiniteLogitsError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

# exp(-30) of the best token's weight: a whole vocabulary of such tokens weighs less than float32 can tell apart.
NEGLIGIBLE = np.float32(30.0)
COLDEST = 1e-6  # below this the best token has all the weight, and dividing by it would overflow

_NO_BIAS: Mapping[int, float] = MappingProxyType({})


@dataclass(frozen=True)
class SamplingParams:
    """How to choose tokens.

    Attributes:
        temperature: Divides the logits; 0 (or next to it) always takes the best token.
        top_k: Keep the k best tokens (Fan et al., 2018, arXiv:1805.04833); 0 keeps all.
        top_p: Keep the smallest set with this mass (Holtzman et al., 2020, arXiv:1904.09751); 1 keeps all.
        min_p: Keep tokens of at least this share of the best one's probability (Nguyen et al., 2024,
            arXiv:2407.01082); 0 keeps all.
        repetition_penalty: Divides positive and multiplies negative logits of tokens in the prompt or the
            answer (Keskar et al., 2019, arXiv:1909.05858); 1 for none.
        presence_penalty: Subtracted from the logit of each token that the answer has used.
        frequency_penalty: Subtracted once for each time that the answer has used it.
        seed: Makes the draws repeatable; None takes fresh randomness.
        logit_bias: Added to the logits of these token ids; -inf bans one.
        logprobs: Report the chosen token's log-probability and this many alternatives; None for no report.

    Raises:
        ValueError: A value is out of range.
    """

    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=lambda: _NO_BIAS)
    logprobs: int | None = None

    def __post_init__(self) -> None:
        _require("temperature", self.temperature, 0 <= self.temperature < math.inf, "0 or more")
        _require("top_k", self.top_k, self.top_k >= 0, "0 (all) or more")
        _require("top_p", self.top_p, 0 < self.top_p <= 1, "in (0, 1]")
        _require("min_p", self.min_p, 0 <= self.min_p <= 1, "in [0, 1]")
        _require("repetition_penalty", self.repetition_penalty, 0.01 <= self.repetition_penalty <= 100, "0.01 to 100")
        for name in ("presence_penalty", "frequency_penalty"):
            _require(name, getattr(self, name), abs(getattr(self, name)) <= 100, "-100 to 100")
        _require("seed", self.seed, self.seed is None or self.seed >= 0, "None, or 0 or more")
        _require("logprobs", self.logprobs, self.logprobs is None or self.logprobs >= 0, "None, or 0 or more")

    @property
    def reshapes_logits(self) -> bool:
        """Whether anything but temperature and truncation changes the distribution."""
        return (
            self.repetition_penalty != 1
            or self.presence_penalty != 0
            or self.frequency_penalty != 0
            or bool(self.logit_bias)
        )


def _require(name: str, value: object, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ValueError(f"{name} is {value}, must be {expected}")


@dataclass(frozen=True)
class Sampled:
    """One chosen token; log-probabilities are natural and of the model's own distribution."""

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class SamplerState:
    """One sequence's parameters, random generator and token counts."""

    def __init__(self, params: SamplingParams, prompt: Sequence[int]) -> None:
        """`prompt` counts for the repetition penalty."""
        self.params = params
        self.rng = np.random.default_rng(params.seed)
        self._seen = np.unique(np.asarray(prompt, dtype=np.int64))  # for the repetition penalty
        self._counts: dict[int, int] = {}

    def record(self, token_id: int) -> None:
        """Remember a token of the answer."""
        if token_id not in self._counts and token_id not in self._seen:
            self._seen = np.append(self._seen, token_id)
        self._counts[token_id] = self._counts.get(token_id, 0) + 1

    def reshape(self, logits: FloatArray) -> FloatArray:
        """Penalties and biases applied to one row [V]; returns a new array."""
        p = self.params
        out = logits.copy()
        if p.repetition_penalty != 1:
            seen = out[self._seen]
            out[self._seen] = np.where(seen > 0, seen / p.repetition_penalty, seen * p.repetition_penalty)
        if self._counts and (p.presence_penalty or p.frequency_penalty):
            answer = np.fromiter(self._counts, np.int64, len(self._counts))
            times = np.fromiter(self._counts.values(), np.float32, len(self._counts))
            out[answer] -= p.presence_penalty + p.frequency_penalty * times
        for token_id, bias in p.logit_bias.items():
            out[token_id] += bias
        return out


def sample(logits: FloatArray, states: Sequence[SamplerState]) -> list[Sampled]:
    """Choose one token per row and record it in the row's state.

    Args:
        logits: [B, V] float32, unnormalised; not modified. -inf marks a banned token.
        states: [B].

    Raises:
        NonFiniteLogitsError: A row holds NaN or +inf, or biases left nothing above -inf. No state has changed.
    """
    rows = [s.reshape(row) if s.params.reshapes_logits else row for row, s in zip(logits, states, strict=True)]
    # NaN wins a maximum, so this finds it too.
    bad = [i for i, row in enumerate(rows) if not np.isfinite(row.max())]
    if bad:
        raise NonFiniteLogitsError(bad)
    chosen = [_choose(row, state) for row, state in zip(rows, states, strict=True)]
    for token_id, state in zip(chosen, states, strict=True):
        state.record(token_id)
    return [_report(row, token, state) for row, token, state in zip(logits, chosen, states, strict=True)]


def _choose(row: FloatArray, state: SamplerState) -> int:
    if state.params.temperature < COLDEST:
        return int(row.argmax())
    ids, weights = _truncate(row, state.params)
    cumulative = weights.cumsum(dtype=np.float64)
    place = int(cumulative.searchsorted(state.rng.random() * cumulative[-1], side="right"))
    return int(ids[min(place, ids.size - 1)])


def _truncate(row: FloatArray, params: SamplingParams) -> tuple[IntArray, FloatArray]:
    """Token ids that stay after top-k, top-p and min-p, with unnormalised weights.

    Filters apply in that order, each to what the one before has left, as in transformers.
    """
    temperature = np.float32(params.temperature)
    best = row.max()
    # At low temperatures few tokens weigh anything at all, and exp is what sampling spends its time on.
    ids = np.flatnonzero(row >= best - NEGLIGIBLE * temperature)
    weights = np.exp((row[ids] - best) / temperature)
    if 0 < params.top_k < ids.size:
        top = np.argpartition(weights, -params.top_k)[-params.top_k :]
        ids, weights = ids[top], weights[top]
    total = weights.sum(dtype=np.float64)
    # What weighs less cannot survive: all tokens below this share of the mass weigh less than 1 - top_p
    # together, so the others hold the nucleus. Exact, and leaves few tokens to sort.
    is_possible = weights >= max((1 - params.top_p) * total / weights.size, params.min_p)
    ids, weights = ids[is_possible], weights[is_possible]
    if params.top_p == 1:
        return ids, weights
    order = np.argsort(-weights, kind="stable")
    size = int(weights[order].cumsum(dtype=np.float64).searchsorted(params.top_p * total)) + 1
    return ids[order[:size]], weights[order[:size]]


def _report(row: FloatArray, token_id: int, state: SamplerState) -> Sampled:
    count = state.params.logprobs
    if count is None:
        return Sampled(token_id)
    shifted = row - row.max()
    logprobs = shifted - np.log(np.exp(shifted).sum())
    best = np.argsort(-logprobs, kind="stable")[:count]
    return Sampled(token_id, float(logprobs[token_id]), tuple((int(i), float(logprobs[i])) for i in best))
