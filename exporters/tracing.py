"""A loaded transformers model in, an ONNX graph made for serving out.

The graph runs one step over a cache that lives outside of it: `input_ids` [B, S], `seqlens_k` [B],
`total_sequence_length` (scalar), `logits_index` [n] and `past_key_values.i.{key,value}` [B, K, M, D] in;
`logits` [B, n, V] and `present.i.{key,value}` out. Bound to the memory of their pasts, the presents are
written in place. optimum does the export and checks it against torch; here stand the inputs that it shall
use and the patch that gives the model one fused attention operator. See docs/decisions/0002.
"""

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from optimum.exporters.error_utils import AtolError
from optimum.exporters.onnx import export, validate_model_outputs
from optimum.exporters.onnx.model_patcher import ModelPatcher
from optimum.exporters.tasks import TasksManager
from optimum.utils.input_generators import DummyInputGenerator
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.pytorch_utils import Conv1D

from exporters import architectures
from exporters.attention import GroupQueryAttention, query_positions
from exporters.errors import ToleranceError

TASK = "text-generation-with-past"
OPSET = 18
DUMMY_CACHE_LENGTH = 16
TRACE_SHAPE = {"batch_size": 2, "sequence_length": 3}  # a prefill of two rows
# A decode step of rows with unequal lengths, and a chunk of a prompt that is partly in the cache.
CHECKED_SHAPES = ({"batch_size": 3, "sequence_length": 1}, {"batch_size": 1, "sequence_length": 4})
FLOAT_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ATTENTION_NAME = "mynah_group_query_attention"


def count_layer_runs(layers: int) -> int:
    """How many layers run while a model of so many is traced and checked; what `trace` reports on."""
    return layers * (1 + len(CHECKED_SHAPES))


def trace(model: Any, out: Path, *, context: int, tolerance: float, advance: Callable[[int], object]) -> None:
    """Write the serving graph of `model` to `out` and check it against torch.

    Args:
        model: A transformers causal LM in evaluation mode; unchanged on return.
        context: Longest sequence that the rotary tables shall cover, in tokens.
        tolerance: Largest absolute difference to torch that optimum's validation accepts.
        advance: Called with 1 for each layer that has run.

    Raises:
        ToleranceError: The graph does not compute what the model computes.
    """
    config = _serving_config(model, context, advance)
    with _quiet_tracer():
        _, outputs = export(
            model,
            config,
            out,
            opset=OPSET,
            input_shapes=dict(TRACE_SHAPE),
            disable_dynamic_axes_fix=True,
        )
        for shapes in CHECKED_SHAPES:
            try:
                validate_model_outputs(
                    config, model, out, outputs, atol=tolerance, input_shapes=dict(shapes), use_subprocess=False
                )
            except AtolError as error:
                found = [float(value) for value in re.findall(r"max diff = (\S+)", str(error))]
                raise ToleranceError("difference of the traced graph to torch", max(found), tolerance) from error


@contextlib.contextmanager
def _quiet_tracer() -> Iterator[None]:
    """Silence what torch and optimum say about tracing in general; parity is checked right after."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class StepInputs(DummyInputGenerator):  # type: ignore[misc]  # optimum is untyped
    """Example inputs of one step, consistent with each other as the operator demands."""

    SUPPORTED_INPUT_NAMES = (
        "input_ids",
        "seqlens_k",
        "total_sequence_length",
        "logits_index",
        "past_key_values",
    )

    def __init__(self, _task: str, normalized_config: Any, *, batch_size: int, sequence_length: int, **_: Any) -> None:
        """`normalized_config` wraps the model's own; sizes come from there."""
        self.sizes = architectures.dimensions(normalized_config.config)
        self.batch_size, self.sequence_length = batch_size, sequence_length

    def generate(self, input_name: str, *, float_dtype: str = "fp32", **_: Any) -> Any:
        """One named input; the cache in `float_dtype`, as optimum names types."""
        if input_name == "past_key_values":
            return self._past_key_values(FLOAT_TYPES[float_dtype])
        return getattr(self, f"_{input_name}")()

    def _lengths(self) -> list[int]:
        """Tokens in the cache before the step: unequal when decoding, none in a prefill of several rows."""
        if self.sequence_length == 1:
            return [2 + 3 * row for row in range(self.batch_size)]
        return [5] if self.batch_size == 1 else [0] * self.batch_size

    def _input_ids(self) -> Tensor:
        count = self.batch_size * self.sequence_length
        return (torch.arange(count) % self.sizes.vocabulary).reshape(self.batch_size, self.sequence_length)

    def _seqlens_k(self) -> Tensor:
        return torch.tensor(self._lengths(), dtype=torch.int32) + self.sequence_length - 1

    def _total_sequence_length(self) -> Tensor:
        return self._seqlens_k().max() + 1

    def _logits_index(self) -> Tensor:
        return torch.arange(self.sequence_length)

    def _past_key_values(self, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
        shape = (self.batch_size, self.sizes.kv_heads, DUMMY_CACHE_LENGTH, self.sizes.head_size)
        generator = torch.Generator().manual_seed(0)
        filled = torch.arange(DUMMY_CACHE_LENGTH) < torch.tensor(self._lengths())[:, None]
        filled = filled[:, None, :, None]  # the operator clears what lies behind a row's end

        def random() -> Tensor:
            return (torch.randn(shape, generator=generator) * filled).to(dtype)

        return [(random(), random()) for _ in range(self.sizes.layers)]


def _serving_config(model: Any, context: int, advance: Callable[[int], object]) -> Any:
    """The architecture's optimum config with our inputs, outputs and patcher in place of its own."""
    constructor = TasksManager.get_exporter_config_constructor(
        "onnx", model_type=model.config.model_type, task=TASK, library_name="transformers"
    )
    base = constructor.func

    class ServingOnnxConfig(base):  # type: ignore[misc,valid-type]  # one base per architecture
        DUMMY_INPUT_GENERATOR_CLASSES = (StepInputs,)

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            names: dict[str, dict[int, str]] = {
                "input_ids": {0: "batch_size", 1: "sequence_length"},
                "seqlens_k": {0: "batch_size"},
                "total_sequence_length": {},
                "logits_index": {0: "num_logits"},
            }
            return names | self._caches("past_key_values")

        @property
        def outputs(self) -> dict[str, dict[int, str]]:
            return {"logits": {0: "batch_size", 1: "num_logits"}} | self._caches("present")

        def _caches(self, name: str) -> dict[str, dict[int, str]]:
            axes = {0: "batch_size", 2: "cache_length"}
            layers = range(architectures.dimensions(model.config).layers)
            return {f"{name}.{i}.{part}": axes for i in layers for part in ("key", "value")}

        def patch_model_for_export(self, model: Any, model_kwargs: Any = None) -> "ServingPatcher":
            return ServingPatcher(self, model, model_kwargs, context=context, advance=advance)

    float_dtype = next(name for name, dtype in FLOAT_TYPES.items() if dtype == model.dtype)
    return ServingOnnxConfig(
        model.config, task="text-generation", use_past=True, use_past_in_inputs=True, float_dtype=float_dtype
    )


class _PassThroughCache:
    """Stands where transformers expects a cache: hands new keys and values through, unstored."""

    is_compileable = False

    def update(self, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return key, value

    def get_seq_length(self, *_: Any) -> int:
        return 0


class _Step:
    """The operator inputs of the step that is being run, and the caches that come out of it."""

    def __init__(self, past: Any, seqlens_k: Tensor, total_sequence_length: Tensor) -> None:
        self.past, self.seqlens_k, self.total = past, seqlens_k, total_sequence_length
        self.present: list[tuple[Tensor, Tensor]] = []


class ServingPatcher(ModelPatcher):  # type: ignore[misc]  # optimum is untyped
    """Makes a model take one step over an outside cache, for as long as the context lasts.

    The attention function becomes the fused operator, rotary embedding moves into it, and `forward` takes
    the graph's inputs. Everything is put back on exit.
    """

    def __init__(
        self, config: Any, model: Any, model_kwargs: Any = None, *, context: int, advance: Callable[[int], object]
    ) -> None:
        """`context` is the length of the rotary tables in tokens; `advance` is told of each layer that runs."""
        super().__init__(config, model, model_kwargs)
        self._context, self._advance = context, advance
        self._model_forward = self.orig_forward
        self._step: _Step | None = None
        self._undo = contextlib.ExitStack()

        def forward(
            input_ids: Tensor,
            seqlens_k: Tensor,
            total_sequence_length: Tensor,
            logits_index: Tensor,
            past_key_values: Any,
        ) -> dict[str, Any]:
            return self._forward(input_ids, seqlens_k, total_sequence_length, logits_index, past_key_values)

        self.patched_forward = forward

    def __enter__(self) -> "ServingPatcher":
        super().__enter__()
        model = self._model
        tables = architectures.rotary_tables(model, self._context)
        for name, (cos, sin) in tables.items():
            self._add_buffer(f"{name}_cos", cos.to(model.dtype))
            self._add_buffer(f"{name}_sin", sin.to(model.dtype))
        self._tables = tables
        module = architectures.modelling_module(model)
        if tables:
            self._replace(module, "apply_rotary_pos_emb", lambda q, k, *_, **__: (q, k))
        self._replace(Conv1D, "forward", lambda conv, x: x @ conv.weight + conv.bias)
        AttentionInterface.register(ATTENTION_NAME, self._attend)
        previous = model.config._attn_implementation
        model.config._attn_implementation = ATTENTION_NAME
        self._undo.callback(setattr, model.config, "_attn_implementation", previous)
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self._undo.close()
        super().__exit__(exc_type, exc_value, traceback)

    def _add_buffer(self, name: str, value: Tensor) -> None:
        self._model.register_buffer(name, value)
        self._undo.callback(delattr, self._model, name)

    def _replace(self, owner: Any, name: str, replacement: Any) -> None:
        self._undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, replacement)

    def _forward(
        self, input_ids: Tensor, seqlens_k: Tensor, total: Tensor, logits_index: Tensor, past: Any
    ) -> dict[str, Any]:
        self._step = _Step(past, seqlens_k, total)
        positions = query_positions(seqlens_k, input_ids.shape[1])
        output = self._model_forward(
            input_ids=input_ids,
            position_ids=positions,
            past_key_values=_PassThroughCache(),
            cache_position=torch.zeros(1, dtype=torch.int64),
            use_cache=True,
            return_dict=True,
            logits_to_keep=logits_index,
        )
        # In fp32 whatever the weights are: the sampler wants it, and numpy has no bf16.
        return {"logits": output.logits.float(), "past_key_values": self._step.present}

    def _attend(
        self, layer: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: Any, **call: Any
    ) -> tuple[Tensor, None]:
        """What transformers calls as its attention function; tensors are [B, heads, S, D]."""
        step = self._step
        assert step is not None, "attention runs inside forward only"
        past_key, past_value = step.past[layer.layer_idx]
        cos, sin = self._rotary(layer)
        spec = architectures.attention_spec(layer, call)
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        output, *present = GroupQueryAttention.apply(  # type: ignore[no-untyped-call]  # torch types it so
            query, key, value, past_key, past_value, step.seqlens_k, step.total, cos, sin, spec
        )
        step.present.append((present[0], present[1]))
        self._advance(1)
        return output, None

    def _rotary(self, layer: nn.Module) -> tuple[Any, Any]:
        if not self._tables:
            empty = torch.zeros(0)
            return empty, empty
        name = architectures.rotary_name(layer, self._tables)
        return getattr(self._model, f"{name}_cos"), getattr(self._model, f"{name}_sin")
