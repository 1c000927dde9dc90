"""Runs an exported graph with ONNX Runtime over a cache of slots.

Knows tokens, lengths and slots; nothing of text, requests or scheduling. All calls but the constructor belong
on one thread. Buffers are bound once per batch size and reused, because making the bindings of every
step anew costs a small model as much as its arithmetic.

Shapes: B rows, S tokens, n wanted positions, K KV heads, M cache length, D head size, V vocabulary.
"""

import math
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.bundle import KvDtype, ModelInfo
from engine.errors import BundleError, ProviderError
from engine.sampling import FloatArray
from engine.settings import Provider
from engine.slots import Copy, Move, Swap

ProviderName = Literal["CPUExecutionProvider", "CUDAExecutionProvider"]

# numpy has no bfloat16: two bytes that are only ever moved, and the name that ONNX has for them.
_ONNX_BFLOAT16 = 16
_NUMPY_KV: dict[KvDtype, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.uint16,
}


def choose_provider(wanted: Provider) -> ProviderName:
    """The execution provider for a setting.

    Raises:
        ProviderError: CUDA was asked for and this onnxruntime has none. There is no silent fall-back.
    """
    if wanted != "cuda":
        return "CPUExecutionProvider"
    available = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in available:
        raise ProviderError(
            f"CUDA was asked for, but this onnxruntime has only {', '.join(available)}; "
            "in the checkout, run: pip uninstall onnxruntime, then: pip install '.[gpu]'"
        )
    return "CUDAExecutionProvider"


class Session:
    """A loaded graph and its cache: `decode` runs one token of many rows, `prefill` many tokens of one."""

    def __init__(
        self,
        graph: Path,
        model: ModelInfo,
        kv_dtype: KvDtype,
        *,
        num_slots: int,
        max_batch: int,
        length: int,
        threads: int,
        provider: Provider,
    ) -> None:
        """Load the graph and reserve the cache, whose memory is taken only as it is written to.

        Args:
            length: M, positions per slot.
            threads: Of one run; 0 lets ONNX Runtime take one per physical core.

        Raises:
            ProviderError: The provider does not work here.
            BundleError: ONNX Runtime refuses the graph.
        """
        self.num_slots, self.length, self.vocabulary = num_slots, length, model.vocabulary
        self._session = _open(graph, threads, choose_provider(provider))
        self._kv = _Cache(model, kv_dtype, num_slots, length)
        self._bindings: dict[int, onnxruntime.IOBinding] = {}
        # One buffer each for the small inputs and the logits; a batch uses the front of it.
        self._tokens = np.zeros((max_batch, 1), np.int64)
        self._seqlens = np.zeros(max_batch, np.int32)
        self._total = np.zeros((), np.int32)
        self._first = np.zeros(1, np.int64)
        self._logits = np.zeros((max_batch, 1, self.vocabulary), np.float32)

    def decode(self, tokens: Sequence[int], lengths: Sequence[int]) -> FloatArray:
        """Run the newest token of slots 0..B-1.

        Args:
            tokens: [B] one per slot, in slot order.
            lengths: [B] tokens that each slot holds already.

        Returns:
            [B, V] logits, valid until the next call.
        """
        rows = len(tokens)
        self._tokens[:rows, 0] = tokens
        self._seqlens[:rows] = lengths
        self._total[...] = max(lengths) + 1
        self._session.run_with_iobinding(self._decode_binding(rows))
        return self._logits[:rows, 0]

    def prefill(self, slot: int, tokens: Sequence[int], past: int, wanted: Sequence[int]) -> FloatArray:
        """Run a piece of a prompt behind the `past` tokens that the slot holds already.

        Args:
            tokens: [S].
            wanted: [n] places among the S whose logits are needed, possibly none.

        Returns:
            [n, V] logits.
        """
        ids = np.asarray(tokens, np.int64).reshape(1, -1)
        seqlens = np.array([past + len(tokens) - 1], np.int32)
        total = np.array(past + len(tokens), np.int32)
        # Without a wanted position one is computed all the same: an empty matrix product is not worth a case.
        index = np.asarray(wanted if len(wanted) else [0], np.int64)
        logits = np.empty((1, index.size, self.vocabulary), np.float32)
        binding = self._session.io_binding()
        for name, array in (("input_ids", ids), ("seqlens_k", seqlens), ("logits_index", index)):
            _bind_input(binding, name, array)
        _bind_input(binding, "total_sequence_length", total)
        _bind_output(binding, "logits", logits)
        self._kv.bind(binding, slot, 1)
        self._session.run_with_iobinding(binding)
        return logits[0, : len(wanted)]

    def move(self, moves: Sequence[Move]) -> None:
        """Perform copies and swaps between slots, in order."""
        for move in moves:
            if isinstance(move, Copy):
                self._kv.copy(move)
            else:
                self._kv.swap(move)

    def _decode_binding(self, rows: int) -> onnxruntime.IOBinding:
        if rows not in self._bindings:
            binding = self._session.io_binding()
            _bind_input(binding, "input_ids", self._tokens[:rows])
            _bind_input(binding, "seqlens_k", self._seqlens[:rows])
            _bind_input(binding, "total_sequence_length", self._total)
            _bind_input(binding, "logits_index", self._first)
            _bind_output(binding, "logits", self._logits[:rows])
            self._kv.bind(binding, 0, rows)
            self._bindings[rows] = binding
        return self._bindings[rows]


class _Cache:
    """Keys and values of all slots: per layer two arrays [slots, K, M, D]."""

    def __init__(self, model: ModelInfo, dtype: KvDtype, num_slots: int, length: int) -> None:
        shape = (num_slots, model.kv_heads, length, model.head_size)
        self._onnx_type = _ONNX_BFLOAT16 if dtype == "bfloat16" else _NUMPY_KV[dtype]
        self._arrays = {
            f"{layer}.{part}": _reserve(shape, np.dtype(_NUMPY_KV[dtype]))
            for layer in range(model.layers)
            for part in ("key", "value")
        }

    def bind(self, binding: onnxruntime.IOBinding, first: int, rows: int) -> None:
        """Bind rows as past and, in the same memory, as present: the operator writes in place."""
        for name, array in self._arrays.items():
            view = array[first : first + rows]
            place = ("cpu", 0, self._onnx_type, view.shape, view.ctypes.data)
            binding.bind_input(f"past_key_values.{name}", *place)
            binding.bind_output(f"present.{name}", *place)

    def copy(self, move: Copy) -> None:
        for array in self._arrays.values():
            array[move.target, :, : move.length] = array[move.source, :, : move.length]

    def swap(self, move: Swap) -> None:
        for array in self._arrays.values():
            a, b = array[move.a], array[move.b]
            held = a[:, : move.length_a].copy()
            a[:, : move.length_b] = b[:, : move.length_b]
            b[:, : move.length_a] = held


def _reserve(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Zeros that take memory page by page, as they are written to.

    numpy's own allocation asks for huge pages, with which the first token of a slot took 2 MB in each of the
    default model's 60 arrays: 120 MB where 45 KB were needed.
    """
    pages = mmap.mmap(-1, math.prod(shape) * dtype.itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # Linux
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, dtype).reshape(shape)


def _bind_input(binding: onnxruntime.IOBinding, name: str, array: NDArray[np.generic]) -> None:
    binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _bind_output(binding: onnxruntime.IOBinding, name: str, array: NDArray[np.generic]) -> None:
    binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _open(graph: Path, threads: int, provider: ProviderName) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if provider == "CUDAExecutionProvider":
        onnxruntime.preload_dlls()  # finds the CUDA libraries that pip has put into site-packages
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[provider])
    except Exception as error:  # onnxruntime's exceptions share no base class
        reason = str(error).splitlines()[0]
        raise BundleError(f"ONNX Runtime cannot load {graph}: {reason}") from error
    if provider not in session.get_providers():
        raise ProviderError(
            f"{provider} could not start (a CUDA or cuDNN library is missing); "
            "in the checkout, run: pip install '.[gpu]'"
        )
    return session
