"""How likely a model finds tokens that it is shown: what all comparing of models goes by.

A bundle is asked through the engine's own session, as it is served; `finetune.evaluation.torchscoring` asks a
checkpoint, and gives the same figures for the same model. Knows token ids only: nothing of texts, or of what is good.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engine.bundle import GRAPH_NAME, Bundle
from engine.sampling import FloatArray, IntArray
from engine.session import Session
from engine.settings import Provider
from finetune.errors import FinetuneError

DoubleArray = NDArray[np.float64]

# Tokens of one forward pass: with the default model's vocabulary, their logits take 50 MB at most.
WINDOW = 256
# Rows of logits that are turned into probabilities at a time; they stay in the processor's cache.
ROWS = 16


class TooLongError(FinetuneError, ValueError):
    """What is to be scored has more tokens than the model has places."""

    def __init__(self, num_tokens: int, limit_tokens: int) -> None:
        super().__init__(
            f"a conversation has {num_tokens} tokens and the model has room for {limit_tokens}; set "
            f"FINETUNE_MAX_EXAMPLE_TOKENS to at most that, and prepare the dataset again"
        )
        self.num_tokens, self.limit_tokens = num_tokens, limit_tokens


@dataclass(frozen=True)
class Scored:
    """What a model says of some tokens.

    Attributes:
        nats: [n] float64 negative log-likelihood of each, given all that stands before it.
        best: [n] int64 the token that the model would have put there.
    """

    nats: DoubleArray
    best: IntArray


class Scorer(Protocol):
    """A model that scores tokens; every one passes tests/finetune/evaluation/test_scoring.py."""

    def score(self, ids: Sequence[int], places: Sequence[int]) -> Scored:
        """Score the tokens at some places of a sequence.

        Args:
            ids: [S].
            places: [n] ascending, each at least 1 as the first token is given by nothing.

        Raises:
            TooLongError: The model has no room for so many.
        """
        ...

    def score_after(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Scored]:
        """Score every token of each continuation of one prefix, which runs once; errors as those of `score`.

        Args:
            prefix: [S] at least one token.
            continuations: Each of at least one token.
        """
        ...


class SessionScorer:
    """Scores with an exported graph, in windows, whatever lies in its cache."""

    def __init__(self, session: Session) -> None:
        """`session` needs one slot."""
        self._session = session

    @classmethod
    def open(cls, bundle: Bundle, *, provider: Provider = "auto", threads: int = 0, length: int | None = None) -> Self:
        """Load a bundle's graph.

        Args:
            threads: 0 takes one per physical core.
            length: Longest sequence; None for as many tokens as the model has places. Memory is taken as it is used.

        Raises:
            BundleError: ONNX Runtime refuses the graph.
            ProviderError: The provider does not work here.
        """
        manifest = bundle.manifest
        room = manifest.model.context if length is None else min(length, manifest.model.context)
        session = Session(
            bundle.file(GRAPH_NAME),
            manifest.model,
            manifest.kv.dtype,
            num_slots=1,
            max_batch=1,
            length=room,
            threads=threads,
            provider=provider,
        )
        return cls(session)

    def score(self, ids: Sequence[int], places: Sequence[int]) -> Scored:
        """As the protocol has it."""
        check_places(places)
        if not places:
            return scored((), ())
        self._make_room(places[-1])
        windows = self._windows(ids[: places[-1]], 0, [place - 1 for place in places])
        return scored(windows, [ids[place] for place in places])

    def score_after(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Scored]:
        """As the protocol has it."""
        start = len(prefix)
        self._make_room(start + max(map(len, continuations), default=1) - 1)
        *_, first = self._windows(prefix, 0, [start - 1])
        return [self._after(first, start, continuation) for continuation in continuations]

    def _after(self, first: FloatArray, start: int, continuation: Sequence[int]) -> Scored:
        rest = continuation[:-1]
        return scored(chain([first], self._windows(rest, start, range(len(rest)))), continuation)

    def _windows(self, ids: Sequence[int], past: int, wanted: Sequence[int]) -> Iterator[FloatArray]:
        """Run tokens behind the first `past` in the cache; [m, V] logits of the wanted places, by windows."""
        for at in range(0, len(ids), WINDOW):
            here = [place - at for place in wanted if at <= place < at + WINDOW]
            yield self._session.prefill(0, ids[at : at + WINDOW], past + at, here)

    def _make_room(self, num_tokens: int) -> None:
        if num_tokens > self._session.length:
            raise TooLongError(num_tokens, self._session.length)


def check_places(places: Sequence[int]) -> None:
    """Fail on places that the protocol does not allow."""
    assert all(place >= 1 for place in places[:1]), "the first token has nothing before it"
    assert all(a < b for a, b in pairwise(places)), "places ascend"


def scored(pieces: Iterable[FloatArray], targets: Sequence[int]) -> Scored:
    """Scores of targets [n] by logits [n, V], which come in pieces [m, V]."""
    waiting = iter(targets)
    nats, best = [np.empty(0)], [np.empty(0, np.int64)]
    for logits in pieces:
        nats.append(_nats(logits, np.fromiter(islice(waiting, len(logits)), np.int64)))
        best.append(logits.argmax(axis=1))
    return Scored(np.concatenate(nats), np.concatenate(best))


def _nats(logits: FloatArray, targets: IntArray) -> DoubleArray:
    """[m] float64 negative log-likelihood of targets [m] by logits [m, V], with sums in float64."""
    nats = np.empty(targets.size)
    for at in range(0, targets.size, ROWS):
        rows = logits[at : at + ROWS].astype(np.float64)
        with np.errstate(invalid="ignore"):  # a broken model's infinities become NaN, which no gate passes
            rows -= rows.max(axis=1, keepdims=True)
        chosen = rows[np.arange(len(rows)), targets[at : at + ROWS]]
        nats[at : at + ROWS] = np.log(np.exp(rows).sum(axis=1)) - chosen
    return nats
