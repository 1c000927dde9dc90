"""Which architectures export, and what differs between them.

Reads a loaded transformers model and answers questions about it: the attention constants of each
layer, the rotary tables, where it would leave what our graph can express. Changes nothing.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from exporters.attention import AttentionSpec
from exporters.errors import UnsupportedModelError

# model_type -> the name that people know. `gemma3_text` is the text part of Gemma 3.
SUPPORTED = {
    "gpt2": "GPT-2",
    "llama": "Llama, SmolLM2",
    "qwen2": "Qwen2, Qwen2.5",
    "qwen3": "Qwen3",
    "mistral": "Mistral",
    "gemma": "Gemma",
    "gemma2": "Gemma 2",
    "gemma3_text": "Gemma 3 (text)",
    "phi3": "Phi-3",
}

# Rotary schemes whose table depends on the position alone. `dynamic` and `longrope` choose the table by
# the length of the text, which one constant table cannot hold.
STATIC_ROPE = frozenset({"default", "linear", "llama3", "yarn"})

HEAD_SIZE_MULTIPLE = 16  # what the operator's kernels take


@dataclass(frozen=True)
class Dimensions:
    """The sizes of a decoder: L layers, H heads, K KV heads, D head size, V vocabulary."""

    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int


def require_supported(config: Any) -> None:
    """Refuse what cannot become a correct graph, before any weight is loaded.

    Raises:
        UnsupportedModelError: The architecture, head size or rotary scheme; the message names what works.
    """
    model_type = config.model_type
    if model_type not in SUPPORTED:
        raise UnsupportedModelError(
            f"architecture {model_type!r} cannot be exported; supported are: {', '.join(SUPPORTED)}"
        )
    sizes = dimensions(config)
    if sizes.heads % sizes.kv_heads:
        raise UnsupportedModelError(
            f"{sizes.heads} heads cannot share {sizes.kv_heads} sets of keys and values evenly; mend config.json"
        )
    head_size = sizes.head_size
    if head_size % HEAD_SIZE_MULTIPLE:
        raise UnsupportedModelError(
            f"head size {head_size} is not a multiple of {HEAD_SIZE_MULTIPLE}, which the attention operator "
            "needs; choose another model"
        )
    rotary_size = int(head_size * (getattr(config, "partial_rotary_factor", None) or 1.0))
    if rotary_size % HEAD_SIZE_MULTIPLE:
        raise UnsupportedModelError(
            f"rotary size {rotary_size} is not a multiple of {HEAD_SIZE_MULTIPLE}, which the attention operator "
            "needs; choose another model"
        )
    rope = rope_type(config)
    if rope not in STATIC_ROPE:
        raise UnsupportedModelError(
            f"rotary scaling {rope!r} changes with the length of the text and cannot be exported; "
            f"supported are: {', '.join(sorted(STATIC_ROPE))}"
        )
    for flag in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        if getattr(config, flag, False):
            raise UnsupportedModelError(f"{flag}=true cannot be exported; choose a model without it")


def rope_type(config: Any) -> str:
    """The rotary scheme that the config asks for, `default` if none."""
    scaling = getattr(config, "rope_scaling", None) or {}
    return str(scaling.get("rope_type", scaling.get("type", "default")))


def dimensions(config: Any) -> Dimensions:
    """Read the sizes from a transformers config; their names differ between architectures."""
    heads = config.num_attention_heads
    return Dimensions(
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_size=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
    )


def modelling_module(model: nn.Module) -> ModuleType:
    """The transformers module that defines the model, where `apply_rotary_pos_emb` lives."""
    return sys.modules[type(model).__module__]


def attention_spec(layer: Any, call: Mapping[str, Any]) -> AttentionSpec:
    """The operator's attributes for one call of a layer's attention.

    Args:
        layer: The attention module.
        call: The keyword arguments that the module passed to its attention function. All but GPT-2 pass
            `scaling`; Gemma 2 passes `softcap`; whoever has sliding layers passes `sliding_window`.
    """
    sizes = dimensions(layer.config)
    scale = call.get("scaling")
    if scale is None:
        scale = sizes.head_size**-0.5 if getattr(layer, "scale_attn_weights", True) else 1.0
    return AttentionSpec(
        num_heads=sizes.heads,
        num_kv_heads=sizes.kv_heads,
        head_size=sizes.head_size,
        scale=float(scale),
        has_rotary=layer.config.model_type != "gpt2",
        window=call.get("sliding_window"),
        softcap=float(call.get("softcap") or 0.0),
    )


def rotary_tables(model: Any, context: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Cosine and sine tables [context, R/2] for each rotary module of the model, by attribute name.

    Gemma 3 has two, `rotary_emb` and `rotary_emb_local` for its sliding layers; GPT-2 has none.
    """
    base = model.get_decoder()
    tables = {}
    for name in ("rotary_emb", "rotary_emb_local"):
        rotary = getattr(base, name, None)
        if rotary is not None:
            positions = torch.arange(context).unsqueeze(0)
            cos, sin = rotary(torch.zeros(1, dtype=torch.float32), positions)
            half = cos.shape[-1] // 2
            tables[name] = (cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous())
    return tables


def rotary_name(layer: Any, tables: dict[str, tuple[Tensor, Tensor]]) -> str:
    """Which of the tables a layer uses."""
    return "rotary_emb_local" if "rotary_emb_local" in tables and layer.is_sliding else "rotary_emb"
