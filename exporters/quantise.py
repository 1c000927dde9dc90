"""An optimised graph in, the same graph with smaller weights out.

Knows which schemes there are and what each does to the matrix products; whether the result is good
enough is for `exporters.verify` to say.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import GraphProto, NodeProto
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer


@dataclass(frozen=True)
class WeightOnlyScheme:
    """Weights of matrix products as blocks of integers with a scale and a zero point each.

    Attributes:
        bits: Bits per weight.
        block_size: Weights that share a scale.
        accuracy_level: How the operator computes; 4 multiplies in int8, with activations quantised per
            block as they come (`MatMulNBits` in ONNX Runtime's list of contrib operators).
    """

    bits: int
    block_size: int = 32
    accuracy_level: int = 4

    @property
    def description(self) -> str:
        """One line for bundle.json."""
        return f"MatMulNBits {self.bits} bit, block {self.block_size}, accuracy level {self.accuracy_level}"


SCHEMES = {"int8": WeightOnlyScheme(bits=8), "int4": WeightOnlyScheme(bits=4)}


def count_matrices(graph: Path) -> int:
    """How many matrix products `quantise` will look at."""
    return sum(node.op_type == "MatMul" for node in onnx.load(graph, load_external_data=False).graph.node)


def quantise(graph: Path, out: Path, scheme: WeightOnlyScheme, advance: Callable[[int], object]) -> Path:
    """Write `graph` to `out` with every constant matrix quantised, its weights beside it; returns `out`.

    Args:
        advance: Called with 1 for each of the `count_matrices` that is done.
    """
    logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(logging.WARNING)  # it tells of every node
    quantiser = MatMulNBitsQuantizer(
        onnx.load(graph),
        bits=scheme.bits,
        block_size=scheme.block_size,
        is_symmetric=False,
        accuracy_level=scheme.accuracy_level,
        op_types_to_quantize=("MatMul",),
    )
    quantise_node = quantiser.node_quantizer.quantize

    def quantise_and_report(node: NodeProto, graphs: list[GraphProto]) -> Any:
        quantised = quantise_node(node, graphs)
        advance(1)
        return quantised

    quantiser.node_quantizer.quantize = quantise_and_report
    quantiser.process()
    onnx.save(quantiser.model.model, out, save_as_external_data=True, location=out.name + ".data")
    return out
