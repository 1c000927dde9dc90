"""Examples as rows of token ids with the weight of each, which of them a budget has room for, and in which order.

What chance would decide is decided by hash, so that the same examples, settings and seed give the same training on any
machine, and a row keeps its place when others come or go. Knows nothing of torch, nor of how a model learns.
"""

import hashlib
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from finetune.dataset import canaries, replay
from finetune.dataset.example import Example
from finetune.dataset.rendering import Encoded, Renderer
from finetune.training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Row:
    """An example as a model is trained on it. One without anything to learn cannot be made.

    Attributes:
        id: Of the example, unique in a dataset; `conversation` and `source` are the example's too.
        ids: [S] token ids.
        weights: [S] how much each counts in the loss; 0 for context, and for the first, which nothing can foretell.
        num_bytes: UTF-8 bytes of what is to be learnt, as people wrote it: without the tokens that end an answer.
    """

    id: str
    conversation: str
    source: str
    ids: tuple[int, ...]
    weights: tuple[float, ...]
    num_bytes: int

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.weights)
        assert self.weights[0] == 0, f"the first token of {self.id} has nothing before it to be foretold by"
        assert any(self.weights), f"{self.id} has nothing to be learnt"


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows after one another in one, so that a batch needs no padding.

    A model keeps them apart by their positions: where these begin anew, so does the text.
    """

    rows: tuple[Row, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """[S] token ids."""
        return tuple(chain.from_iterable(row.ids for row in self.rows))

    @property
    def weights(self) -> tuple[float, ...]:
        """[S] as those of `Row`: no row's first token counts, so that none is learnt from the row before it."""
        return tuple(chain.from_iterable(row.weights for row in self.rows))

    @property
    def positions(self) -> tuple[int, ...]:
        """[S] the place of each token in its own row, from 0."""
        return tuple(chain.from_iterable(range(len(row.ids)) for row in self.rows))


def encoded(examples: Iterable[Example], renderer: Renderer) -> list[Row]:
    """Examples as rows, in their order; those without anything to learn are left out.

    Raises:
        RenderingError: The renderer is of another model than the one that the dataset was made for.
    """
    return list(_encoded(examples, renderer))


def _encoded(examples: Iterable[Example], renderer: Renderer) -> Iterator[Row]:
    for example in examples:
        row = renderer.encode(example.messages)
        weights = _without_first(row)
        if any(weights):
            num_bytes = sum(len(target.encode("utf-8", "surrogatepass")) for target in example.targets)
            yield Row(example.id, example.conversation, example.source, row.ids, weights, num_bytes)


def _without_first(row: Encoded) -> tuple[float, ...]:
    """The weights, with none for a token that has nothing before it, as where a template makes an empty prompt."""
    return (0.0, *row.weights[1:])


def choose(rows: Sequence[Row], tokens: int | None, epochs: float, seed: int, replay_share: float) -> list[Row]:
    """What there is room for in a budget, in the order given: new examples come before old ones a second time.

    Canaries are all kept, since evaluation asks for each of them. The rest is cut in an order by hash. Replay has its
    share of what is learnt as far as there is enough of it, also where it is next to nothing of a large dataset, of
    which the budget has room for a part.

    Args:
        tokens: Budget of all epochs together, context included; None for none.
        replay_share: Of the bytes of what is learnt, at least 0, and below 1.

    Raises:
        TrainingError: There is room for nothing.
    """
    once = min(1.0, epochs)
    if tokens is None or _num_tokens(rows) * once <= tokens:
        return list(rows)
    planted = [row for row in rows if row.source == canaries.SOURCE]
    replayed = [row for row in rows if row.source == replay.SOURCE]
    said = [row for row in rows if row.source not in (canaries.SOURCE, replay.SOURCE)]
    room = max(0.0, tokens / once - _num_tokens(planted))
    for_replay = min(_num_tokens(replayed), room * _share_of_tokens(replayed, said, replay_share))
    chosen = [*planted, *_cut(replayed, for_replay, seed), *_cut(said, room - for_replay, seed)]
    if len(chosen) == len(planted):
        raise TrainingError(
            f"a budget of {tokens} tokens has room for none of {len(rows)} examples; raise TRAIN_TOKENS"
        )
    kept = {row.id for row in chosen}
    return [row for row in rows if row.id in kept]


def _share_of_tokens(some: Sequence[Row], others: Sequence[Row], share_of_bytes: float) -> float:
    """Which share of the tokens, context included, makes a share of the bytes that are learnt."""
    if not (some and others):
        return float(bool(some))
    a, b = (_num_tokens(rows) / sum(row.num_bytes for row in rows) for rows in (some, others))
    return share_of_bytes * a / (share_of_bytes * a + (1 - share_of_bytes) * b)


def _cut(rows: Sequence[Row], room: float, seed: int) -> list[Row]:
    """So many rows, in an order by hash, as there is room for, in tokens."""
    chosen: list[Row] = []
    for row in sorted(rows, key=lambda row: _hash(seed, "chosen", row.id)):
        room -= len(row.ids)
        # Not looked at further for one that is short enough: the shortest would be chosen more often.
        if room < 0:
            break
        chosen.append(row)
    return chosen


def order(rows: Iterable[Row], epoch: int, seed: int) -> list[Row]:
    """The rows as an epoch goes through them: shuffled, by hash, whatever order they come in."""
    return sorted(rows, key=lambda row: _hash(seed, "epoch", epoch, row.id))


def pack(rows: Sequence[Row], length: int) -> list[Packed]:
    """The rows in as few as they fit in, about: each is put where the least room is left that does for it.

    Best-fit decreasing: at most 11/9 of the fewest possible and four more (Johnson et al., 1974,
    doi:10.1137/0203025). No row is cut.

    Args:
        length: Most tokens of a packed row; no row may have more.
    """
    bins: list[list[Row]] = []
    room: list[tuple[int, int]] = []  # what is left in each bin, and its number, the fullest first
    for row in sorted(rows, key=lambda row: (-len(row.ids), row.id)):
        assert len(row.ids) <= length, f"{row.id} has {len(row.ids)} tokens, and rows are packed to {length}"
        place = bisect_left(room, (len(row.ids), 0))
        if place == len(room):
            bins.append([])
            left, number = length, len(bins) - 1
        else:
            left, number = room.pop(place)
        bins[number].append(row)
        insort(room, (left - len(row.ids), number))
    return [Packed(tuple(each)) for each in bins]


def _num_tokens(rows: Iterable[Row]) -> int:
    return sum(len(row.ids) for row in rows)


def _hash(*parts: object) -> bytes:
    text = "\n".join(map(str, parts))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
