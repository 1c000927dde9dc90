"""Rows as batches of tensors, and what each token that is to be learnt costs a model.

The one place where losses are computed in torch: training and held-out bits per byte differ only in what they make of
them. Knows nothing of optimisers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.nn.parallel import DistributedDataParallel

from finetune.training.encoding import Row, pack

# Tokens that go through a model at once, by device. With LoRA on the default model a token took 5 MB in fp32 on a CPU
# (dropout keeps a copy of each layer's input), so that 1,024 are 5 GB; a GPU has more, keeps half as much of each in
# bf16, and wants more work at a time. Batches that are larger are cut, which the loss does not notice; to compute
# activations twice instead of keeping them made 180 tokens/s of 255.
TOKENS_AT_ONCE = {"cpu": 1024, "cuda": 8192}


@dataclass(frozen=True)
class Batch:
    """Rows that go through a model at once.

    Attributes:
        ids: [B, S] int64 token ids.
        weights: [B, S] float32, how much each counts in the loss; 0 for context and padding.
        placing: How a model keeps rows and padding apart: `attention_mask` or, for packed rows, `position_ids`.
    """

    ids: Tensor
    weights: Tensor
    placing: dict[str, Tensor]


@dataclass(frozen=True)
class Losses:
    """What the targets of a batch cost.

    Attributes:
        nats: [N] float32 negative log-likelihood of each target token, given all before it.
        weights: [N] float32, how much each counts.
        ids: [N] the tokens.
    """

    nats: Tensor
    weights: Tensor
    ids: Tensor


def portions(rows: Sequence[Row], batch_size: int, limit_tokens: int) -> Iterator[list[Row]]:
    """Rows that may go through a model at once, in their order; one that is over the limit goes alone.

    Args:
        limit_tokens: Most tokens of a batch, padding included.
    """
    portion: list[Row] = []
    for row in rows:
        longest = max(len(each.ids) for each in (*portion, row))
        if portion and (len(portion) == batch_size or longest * (len(portion) + 1) > limit_tokens):
            yield portion
            portion = []
        portion.append(row)
    if portion:
        yield portion


def padded(rows: Sequence[Row], device: torch.device) -> Batch:
    """Rows under one another, filled up at the end."""
    length = max(len(row.ids) for row in rows)
    ids, weights = _filled([row.ids for row in rows], length), _filled([row.weights for row in rows], length)
    mask = _filled([(1,) * len(row.ids) for row in rows], length)
    return _batch(ids, weights, {"attention_mask": mask}, device)


def packed(rows: Sequence[Row], length: int, device: torch.device) -> Batch:
    """Rows after one another, as many in one as fit into a length; a model tells them apart by their positions.

    Where attention has no mask, transformers keep documents apart at places where positions begin anew.
    """
    packs = pack(rows, max(length, *(len(row.ids) for row in rows)))
    longest = max(len(each.ids) for each in packs)
    ids, weights = _filled([each.ids for each in packs], longest), _filled([each.weights for each in packs], longest)
    positions = [(*each.positions, *range(longest - len(each.ids))) for each in packs]
    return _batch(ids, weights, {"position_ids": positions}, device)


def losses(model: Any, batch: Batch) -> Losses:
    """What each token that is to be learnt costs; the logits of all others are never computed.

    Args:
        model: One of transformers', perhaps wrapped by PEFT or for several processes.
    """
    is_target = batch.weights[:, 1:] > 0
    with _only(model, pad(is_target, (0, 1))) as places:
        logits = model(input_ids=batch.ids, use_cache=False, **batch.placing).logits
    # A model whose head is no module of its own computes all of them.
    logits = logits[places] if logits.dim() == 3 else logits
    ids = batch.ids[:, 1:][is_target]
    nats = cross_entropy(logits.float(), ids, reduction="none")
    return Losses(nats, batch.weights[:, 1:][is_target], ids)


@contextmanager
def _only(model: Any, places: Tensor) -> Iterator[Tensor]:
    """Have a model's head see some places only; what the model does with logits behind it, as Gemma's caps, stays.

    On the default model that made a step an eighth faster (168 against 148 tokens/s), as most tokens are context.
    """
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    head = inner.get_output_embeddings()
    hook = None if head is None else head.register_forward_pre_hook(lambda _, given: (given[0][places], *given[1:]))
    try:
        yield places
    finally:
        if hook is not None:
            hook.remove()


def _filled(rows: Sequence[Sequence[float]], length: int) -> list[tuple[float, ...]]:
    """Rows of one length. Padding is token 0, whichever that is: nothing looks at it."""
    return [(*row, *([0] * (length - len(row)))) for row in rows]


def _batch(ids: Any, weights: Any, placing: dict[str, Any], device: torch.device) -> Batch:
    return Batch(
        torch.tensor(ids, dtype=torch.int64, device=device),
        torch.tensor(weights, dtype=torch.float32, device=device),
        {name: torch.tensor(rows, dtype=torch.int64, device=device) for name, rows in placing.items()},
    )
