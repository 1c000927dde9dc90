"""Trains the scorer of threads: conversations of the Ubuntu IRC corpus in, whole numbers out.

Needs torch, which `finetune.threads` does not: what is trained here is computed there without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.ircthreads import AnnotatedLog
from finetune.threads import features
from finetune.threads.columns import NONE, Ints, columns
from finetune.threads.features import Flags
from finetune.threads.scorer import HIDDEN_ONE, SCORE_HALVING, SHIFT

HIDDEN = 64
EPOCHS = 15
BATCH = 512
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
TIMELESS = 4  # one in so many logs is learnt from a second time without its times: not all sources have them


@dataclass(frozen=True)
class TrainingSet:
    """n annotated messages.

    Attributes:
        right: [n, C + 1] which candidates are answered; the last is none.
    """

    messages: Flags
    pairs: Flags
    found: Ints
    right: npt.NDArray[np.bool_]


def training_set(logs: Sequence[AnnotatedLog]) -> TrainingSet:
    """What there is to learn from logs; messages whose parents are no candidates are left out."""
    timeless = [log.without_times() for log in logs[::TIMELESS]]
    parts = [_rows(log) for log in [*logs, *timeless]]
    joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    learnable = joined[-1].any(1)
    return TrainingSet(*(array[learnable] for array in joined))


def _rows(log: AnnotatedLog) -> tuple[Flags, Flags, Ints, npt.NDArray[np.bool_]]:
    chat = columns(log.messages)
    rows = np.array(sorted(log.parents), np.int64)
    found = features.candidates(chat, rows)
    right = np.zeros((len(rows), found.shape[1] + 1), np.bool_)
    for place, number in enumerate(rows.tolist()):
        right[place, :-1] = np.isin(found[place], log.parents[number])
        right[place, -1] = not log.parents[number]
    return features.of_messages(chat, rows), features.of_pairs(chat, rows, found), found, right


class Network(torch.nn.Module):
    """As `finetune.threads.scorer.Scorer`, with fractions for weights."""

    def __init__(self, num_pair: int, num_message: int) -> None:
        super().__init__()
        self.pair = torch.nn.Linear(num_pair, HIDDEN)
        self.message = torch.nn.Linear(num_message, HIDDEN, bias=False)
        self.out = torch.nn.Linear(HIDDEN, 1, bias=False)
        self.root = torch.nn.Linear(num_message, HIDDEN)
        self.root_out = torch.nn.Linear(HIDDEN, 1)

    def forward(self, messages: torch.Tensor, pairs: torch.Tensor, is_there: torch.Tensor) -> torch.Tensor:
        """[n, C + 1] logarithms of probabilities."""
        hidden = torch.relu(self.pair(pairs) + self.message(messages)[:, None])
        scores = self.out(hidden)[..., 0].masked_fill(~is_there, -1e9)
        root = self.root_out(torch.relu(self.root(messages)))
        return torch.log_softmax(torch.cat([scores, root], 1), 1)


def train(data: TrainingSet, tell_loss: Callable[[float], object], seed: int = 0) -> Network:
    """A network that has learnt from `data`, where any of several parents is right; tells each epoch's mean loss."""
    torch.manual_seed(seed)
    network = Network(data.pairs.shape[-1], data.messages.shape[-1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    starts = range(0, len(data.right), BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS * len(starts))
    for _ in range(EPOCHS):
        order = torch.randperm(len(data.right)).numpy()
        total = 0.0
        for start in starts:
            batch = np.sort(order[start : start + BATCH])
            loss = _loss(network, data, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        tell_loss(total / len(order))
    return network


def _loss(network: Network, data: TrainingSet, batch: Ints) -> torch.Tensor:
    chances = network(
        torch.from_numpy(data.messages[batch]).float(),
        torch.from_numpy(data.pairs[batch]).float(),
        torch.from_numpy(data.found[batch] != NONE),
    )
    right = torch.from_numpy(data.right[batch])
    return -torch.logsumexp(chances.masked_fill(~right, -1e9), 1).mean()


def in_whole_numbers(network: Network) -> dict[str, Any]:
    """What `Scorer.from_json` reads."""
    to_score = SCORE_HALVING / log(2) * (1 << SHIFT)
    weights = {
        "pair": network.pair.weight.T * HIDDEN_ONE,
        "message": network.message.weight.T * HIDDEN_ONE,
        "bias": network.pair.bias * HIDDEN_ONE,
        "out": network.out.weight[0] * to_score / HIDDEN_ONE,
        "root": network.root.weight.T * HIDDEN_ONE,
        "root_bias": network.root.bias * HIDDEN_ONE,
        "root_out": network.root_out.weight[0] * to_score / HIDDEN_ONE,
        "root_out_bias": network.root_out.bias * to_score,
    }
    return {name: weight.round().long().tolist() for name, weight in weights.items()}
