"""A traced graph in, the same function with fewer nodes out.

Tracing leaves shape arithmetic around every attention operator: reshapes that cancel out and the nodes
that compute their targets. They cost more than they seem, for a decode step of a small model is mostly
the launching of nodes. What is left, ONNX Runtime fuses and writes back, and `exporters.packing` what it does not.
"""

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

from exporters.packing import pack

# The first turns a MatMul with bias into Gemm, which wants a Reshape on either side; the second folds a scalar
# into FusedMatMul. Neither result is what the weight quantiser looks for.
DISABLED_FUSIONS = ["MatMulAddFusion", "MatMulScaleFusion"]


def optimise(traced: Path, out: Path, *, providers: Sequence[str]) -> Path:
    """Write the optimised graph of `traced` to `out`, its weights beside it; returns `out`."""
    cleaned = traced.with_name("cleaned.onnx")
    model = drop_cancelling_reshapes(onnx.load(traced))
    onnx.save(model, cleaned, save_as_external_data=True, location=cleaned.name + ".data")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(out)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", out.name + ".data")
    onnxruntime.InferenceSession(cleaned, options, providers=list(providers), disabled_optimizers=DISABLED_FUSIONS)
    packed = pack(onnx.load(out))
    out.with_name(out.name + ".data").unlink()  # what is there would be added to
    onnx.save(packed, out, save_as_external_data=True, location=out.name + ".data")
    return out


def drop_cancelling_reshapes(model: ModelProto) -> ModelProto:
    """Bypass each chain of Reshape nodes that ends in the shape in which it began.

    Shapes are compared symbolically (`batch_size`, `sequence_length`), so the rule holds for every input.
    """
    model = SymbolicShapeInference.infer_shapes(model, auto_merge=True)
    graph = model.graph
    shapes = _known_shapes(graph)
    producer = {output: node for node in graph.node for output in node.output}
    replaced = {}
    for node in graph.node:
        if node.op_type == "Reshape":
            source = _same_shape_upstream(node, producer, shapes)
            if source is not None:
                replaced[node.output[0]] = source
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = replaced.get(name, name)
    _drop_unused_nodes(graph)
    return model


def _known_shapes(graph: GraphProto) -> dict[str, tuple[str | int, ...]]:
    shapes = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        dims = tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
        if all(dims):
            shapes[value.name] = dims
    return shapes


def _same_shape_upstream(
    node: NodeProto, producer: dict[str, NodeProto], shapes: dict[str, tuple[str | int, ...]]
) -> str | None:
    """The farthest tensor before a chain of reshapes that has the shape which the chain ends in."""
    target = shapes.get(node.output[0])
    found: str | None = None
    current: NodeProto | None = node
    while target is not None and current is not None and current.op_type == "Reshape":
        if shapes.get(current.input[0]) == target:
            found = current.input[0]
        current = producer.get(current.input[0])
    return found


def _drop_unused_nodes(graph: GraphProto) -> None:
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
