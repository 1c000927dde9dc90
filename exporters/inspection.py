"""Explains a model to someone who wants to understand it: what it is made of, and what each part does.

Reads configs, shapes and graphs; loads no weights.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from engine.bundle import GRAPH_NAME, MANIFEST_NAME, Bundle, KvDtype, ModelInfo
from exporters import architectures
from exporters.checkpoint import Checkpoint
from exporters.errors import SourceError, UnsupportedModelError

BYTES_PER_KV = {"float32": 4, "float16": 2, "bfloat16": 2}

# What each kind of weight does, by the last part of its name that says so; the first match counts, and the
# norms come first because their names also name what they stand before.
ROLES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("norm", "ln_"), "scales each vector to a common size before the next part reads it"),
    (("embed", "wte"), "token id -> vector: one row per token of the vocabulary"),
    (("wpe",), "place in the text -> vector, added to the token's"),
    (("q_proj",), "vector -> queries: what each head looks for in earlier tokens"),
    (("k_proj",), "vector -> keys: what a token can be found by; kept in the cache"),
    (("v_proj",), "vector -> values: what a token gives to those that find it; kept in the cache"),
    (("c_attn", "qkv_proj"), "vector -> queries, keys and values in one product; keys and values are cached"),
    (("o_proj", "attn.c_proj"), "what the heads gathered -> back to the vector's own space"),
    (("gate_proj", "gate_up_proj"), "vector -> wider; decides which of the up channels pass"),
    (("up_proj", "c_fc"), "vector -> wider: where most of what a model knows is looked up"),
    (("down_proj", "mlp.c_proj"), "wider -> vector: adds what was found to the stream"),
    (("lm_head",), "vector -> one score (logit) per token of the vocabulary"),
)

# What the operators of an exported graph do, where the name does not tell.
OPERATORS = {
    "MatMul": "matrix product with fp32 weights",
    "MatMulNBits": "matrix product with quantised weights",
    "GroupQueryAttention": "rotary embedding, cache and attention in one",
    "SimplifiedLayerNormalization": "RMS norm",
    "SkipSimplifiedLayerNormalization": "residual sum and RMS norm in one",
    "QuickGelu": "x * sigmoid(alpha * x); with alpha 1 this is SiLU",
    "FastGelu": "GELU by its tanh approximation",
    "Gather": "takes rows: token ids' embeddings, and the places whose logits are wanted",
    "Add": "residual sums and biases",
    "Mul": "gate times up, and scales",
}


def is_bundle(path: Path) -> bool:
    """Whether a path is a folder with a bundle's manifest."""
    return (path / MANIFEST_NAME).is_file()


def kv_bytes_per_token(model: ModelInfo, dtype: KvDtype) -> int:
    """What one token takes in the cache: keys and values of every layer."""
    return 2 * model.layers * model.kv_heads * model.head_size * BYTES_PER_KV[dtype]


def describe_checkpoint(checkpoint: Checkpoint) -> str:
    """A report on a checkpoint, layer by layer.

    Raises:
        SourceError: transformers cannot read its config.
    """
    config, model = _skeleton(checkpoint)
    sizes = architectures.dimensions(config)
    kv = 2 * sizes.layers * sizes.kv_heads * sizes.head_size * BYTES_PER_KV["float32"]
    facts = [
        ("source", checkpoint.source),
        ("provenance", checkpoint.provenance),
        ("checkpoint", f"sha256:{checkpoint.digest}"),
        ("architecture", f"{config.model_type} ({type(model).__name__}), {_support(config)}"),
        ("parameters", f"{_num_parameters(model):,}"),
        ("vocabulary", f"{sizes.vocabulary:,} tokens"),
        ("context", f"{sizes.context:,} tokens"),
        ("attention", _attention_line(sizes.heads, sizes.kv_heads, sizes.head_size)),
        ("cache", f"{kv:,} bytes a token in fp32, {kv * sizes.context / 2**20:,.0f} MiB for a full context"),
        ("layers", f"{sizes.layers}; in the table * stands for a layer's number"),
    ]
    return "\n\n".join([_facts(facts), "The weights, layer by layer:", _layers(model)])


def describe_bundle(path: Path) -> str:
    """A report on a bundle: what it is, where it came from, how good it is, what its graph does.

    Raises:
        BundleError: It is damaged.
    """
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    model, figures = manifest.model, manifest.evaluation
    kv = kv_bytes_per_token(model, manifest.kv.dtype)
    size = sum(file.size for file in manifest.files.values())
    facts = [
        ("version", bundle.version),
        ("source", manifest.source.name),
        ("provenance", manifest.source.provenance),
        ("checkpoint", f"sha256:{manifest.source.checkpoint_sha256}"),
        ("trained by", manifest.training.run if manifest.training else "nobody here: it is as it came"),
        ("architecture", model.architecture),
        ("parameters", f"{model.parameters:,}"),
        ("layers", str(model.layers)),
        ("vocabulary", f"{model.vocabulary:,} tokens"),
        ("context", f"{model.context:,} tokens"),
        ("attention", _attention_line(model.heads, model.kv_heads, model.head_size)),
        ("precision", f"{manifest.precision}: {manifest.scheme}; {size / 2**20:,.0f} MiB on disk"),
        (
            "cache",
            f"{kv:,} bytes a token, {kv * model.context / 2**20:,.0f} MiB for a full context; {manifest.kv.dtype}",
        ),
        (
            "answers end",
            f"at token {', '.join(map(str, manifest.tokens.stop_ids))}" + _stops(manifest.tokens.stop_strings),
        ),
        (
            "perplexity",
            f"{figures.perplexity:.3f} (fp32: {figures.perplexity_fp32:.3f}, {figures.num_tokens:,} tokens)",
        ),
        ("agreement", f"{figures.greedy_agreement:.1%} of best tokens are those of fp32"),
        ("parity", f"before weights were quantised, logits within {figures.max_logit_difference:.2g} of PyTorch's"),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.exported_with.items())),
    ]
    graph = onnx.load(bundle.file(GRAPH_NAME), load_external_data=False).graph
    return "\n\n".join([_facts(facts), _operators(graph), _interface(graph)])


def _skeleton(checkpoint: Checkpoint) -> tuple[Any, nn.Module]:
    """The model's modules with shapes but without weights."""
    try:
        config = AutoConfig.from_pretrained(checkpoint.path)
        with torch.device("meta"):
            return config, AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{checkpoint.source} cannot be read: {error}") from error


def _support(config: Any) -> str:
    try:
        architectures.require_supported(config)
    except UnsupportedModelError as error:
        return f"which does not export: {error}"
    return "which exports"


def _num_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _attention_line(heads: int, kv_heads: int, head_size: int) -> str:
    sharing = (
        "each with its own keys and values" if heads == kv_heads else f"sharing {kv_heads} sets of keys and values"
    )
    return f"{heads} heads of {head_size} channels, {sharing}"


def _layers(model: nn.Module) -> str:
    """Every kind of weight once, with how many layers have one like it."""
    stacks = Counter(_stack_of(name) for name, _ in model.named_parameters())
    first = {_stack_of(name): parameter for name, parameter in reversed(list(model.named_parameters()))}
    rows = [
        (
            stack,
            "x".join(map(str, first[stack].shape)),
            (f"{count} x " if count > 1 else "") + f"{first[stack].numel():,}",
            _role(stack),
        )
        for stack, count in stacks.items()
    ]
    if "lm_head.weight" not in stacks:
        rows.append(("lm_head.weight", "", "tied", f"{_role('lm_head')}; the embedding serves as both"))
    return _table(("weights", "shape", "count", "what it does"), rows)


def _stack_of(name: str) -> str:
    """A parameter's name with its layer number left open."""
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def _role(name: str) -> str:
    return next((text for words, text in ROLES if any(word in name for word in words)), "")


def _operators(graph: onnx.GraphProto) -> str:
    counts = Counter(node.op_type for node in graph.node)
    rows = [(name, str(count), OPERATORS.get(name, "")) for name, count in counts.most_common()]
    return f"{len(graph.node)} operators run for each step:\n" + _table(("operator", "count", "what it does"), rows)


def _interface(graph: onnx.GraphProto) -> str:
    """Inputs and outputs; of the caches only the first layer's."""
    rows = [
        (kind, value.name, _shape(value))
        for kind, values in (("in", graph.input), ("out", graph.output))
        for value in values
        if not value.name.startswith(("past_key_values", "present")) or ".0." in value.name
    ]
    return "Inputs and outputs (caches: the first layer's):\n" + _table(("", "name", "shape"), rows)


def _shape(value: onnx.ValueInfoProto) -> str:
    dims = [d.dim_param or str(d.dim_value) for d in value.type.tensor_type.shape.dim]
    return f"[{', '.join(dims)}]"


def _stops(strings: Sequence[str]) -> str:
    return f" or text {', '.join(map(repr, strings))}" if strings else ""


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name:<13} {value}" for name, value in facts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
