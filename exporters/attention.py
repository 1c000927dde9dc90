"""The one attention operator of an exported graph, and the same computation in plain torch.

`GroupQueryAttention` (ONNX Runtime contrib operator, domain com.microsoft) applies rotary embedding,
appends K and V to a cache in place, and attends over it. While tracing, the autograd function below
writes that single node; while running in torch it computes what the operator does, so that comparing
both is a real check. Grouped-query attention: Ainslie et al., 2023 (arXiv:2305.13245); rotary
embedding: Su et al., 2021 (arXiv:2104.09864).

Knows nothing of architectures or files.

Shapes: B batch, S query tokens, M cache length, H heads, K KV heads, D head size, R rotary size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class AttentionSpec:
    """The constants of one layer's attention, as the operator's attributes.

    Attributes:
        window: Tokens that a query sees, itself included; None for all.
        softcap: Logits become `softcap * tanh(logits / softcap)`; 0 for none.
    """

    num_heads: int
    num_kv_heads: int
    head_size: int
    scale: float
    has_rotary: bool
    window: int | None = None
    softcap: float = 0.0


class GroupQueryAttention(torch.autograd.Function):
    """Attend over a shared cache buffer; see the module's docstring.

    Arguments: query [B, S, H, D], key and value [B, S, K, D] before rotary, past_key and past_value
    [B, K, M, D], seqlens_k [B] int32 (tokens after this step, minus 1), total_sequence_length scalar
    int32 (the largest of them plus 1), cos and sin [M', R/2] with M' >= M, and an `AttentionSpec`.

    Returns the attention output [B, S, H, D] and both caches with the new keys and values written in.
    """

    @staticmethod
    def symbolic(
        g: Any,
        query: Any,
        key: Any,
        value: Any,
        past_key: Any,
        past_value: Any,
        seqlens_k: Any,
        total_sequence_length: Any,
        cos: Any,
        sin: Any,
        spec: AttentionSpec,
    ) -> Any:
        """Write one node into the graph that is being traced."""
        rotary = (cos, sin) if spec.has_rotary else ()
        output, present_key, present_value = g.op(
            "com.microsoft::GroupQueryAttention",
            *(_reshape(g, x, (0, 0, -1)) for x in (query, key, value)),  # the operator wants heads merged
            past_key,
            past_value,
            seqlens_k,
            total_sequence_length,
            *rotary,
            num_heads_i=spec.num_heads,
            kv_num_heads_i=spec.num_kv_heads,
            scale_f=spec.scale,
            do_rotary_i=int(spec.has_rotary),
            local_window_size_i=-1 if spec.window is None else spec.window,
            softcap_f=spec.softcap,
            outputs=3,
        )
        output = _reshape(g, output, (0, 0, spec.num_heads, spec.head_size))
        # Batch and length stay open, so that no shape around the node becomes a constant.
        output.setType(past_key.type().with_sizes([None, None, spec.num_heads, spec.head_size]))
        for present in (present_key, present_value):
            present.setType(past_key.type().with_sizes([None, spec.num_kv_heads, None, spec.head_size]))
        return output, present_key, present_value

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ARG004 - the signature of autograd functions
        query: Tensor,
        key: Tensor,
        value: Tensor,
        past_key: Tensor,
        past_value: Tensor,
        seqlens_k: Tensor,
        total_sequence_length: Tensor,  # noqa: ARG004 - the operator wants it, torch does not
        cos: Tensor,
        sin: Tensor,
        spec: AttentionSpec,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute in torch what the operator computes."""
        positions = query_positions(seqlens_k, query.shape[1])
        q, k, v = (x.transpose(1, 2) for x in (query, key, value))
        if spec.has_rotary:
            q, k = (_rotate(x, cos[positions], sin[positions]) for x in (q, k))
        present_key, present_value = _append(past_key, k, positions), _append(past_value, v, positions)
        output = _attend(q, present_key, present_value, positions, spec)
        return output.transpose(1, 2), present_key, present_value


def _reshape(g: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """A Reshape node with a constant shape, in which 0 keeps an axis."""
    return g.op("Reshape", x, g.op("Constant", value_t=torch.tensor(shape)))


def query_positions(seqlens_k: Tensor, num_queries: int) -> Tensor:
    """Positions of the S newest tokens of each row: [B, S] int64."""
    last = seqlens_k.to(torch.int64).unsqueeze(1)
    return last - (num_queries - 1) + torch.arange(num_queries, device=seqlens_k.device).unsqueeze(0)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first R of D channels of [B, heads, S, D]; cos and sin are [B, S, R/2]."""
    half = cos.shape[-1]
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    x1, x2, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin, rest), dim=-1)


def _append(past: Tensor, new: Tensor, positions: Tensor) -> Tensor:
    index = positions[:, None, :, None].expand_as(new)
    return past.scatter(2, index, new)


def _attend(q: Tensor, k: Tensor, v: Tensor, positions: Tensor, spec: AttentionSpec) -> Tensor:
    groups = spec.num_heads // spec.num_kv_heads
    k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    scores = (q @ k.transpose(2, 3)).float() * spec.scale
    if spec.softcap:
        scores = spec.softcap * torch.tanh(scores / spec.softcap)
    distance = positions[:, None, :, None] - torch.arange(k.shape[2])[None, None, None, :]
    visible = distance >= 0
    if spec.window is not None:
        visible &= distance < spec.window
    weights = scores.masked_fill(~visible, float("-inf")).softmax(dim=-1)
    return weights.to(v.dtype) @ v
