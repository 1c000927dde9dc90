"""Fewer and larger nodes compute what the many have computed."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from exporters.packing import pack

HIDDEN = 8


def model_of(nodes: Sequence[NodeProto], constants: dict[str, NDArray[Any]], outputs: Sequence[str]) -> ModelProto:
    """A graph of an `x` [batch, HIDDEN]."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", HIDDEN])
    graph = helper.make_graph(
        nodes, "graph", [given], value, [numpy_helper.from_array(each, name) for name, each in constants.items()]
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def run(model: ModelProto) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(3, HIDDEN)).astype(np.float32)
    found: list[NDArray[Any]] = session.run(None, {"x": x})
    return found


def kinds(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def random(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def packed(model: ModelProto) -> ModelProto:
    """The model packed, once it is seen that it says the same."""
    expected = run(model)
    found = run(pack(model))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(expected, found, strict=True))
    return model


@pytest.mark.parametrize("has_bias", [False, True])
def test_products_of_one_input_become_one(has_bias: bool) -> None:
    nodes, constants = [], {}
    for name, size in (("a", 4), ("b", 6)):
        constants[f"w_{name}"] = random(HIDDEN, size)
        nodes.append(helper.make_node("MatMul", ["x", f"w_{name}"], [f"m_{name}" if has_bias else name]))
        if has_bias:
            constants[f"c_{name}"] = random(size)
            nodes.append(helper.make_node("Add", [f"m_{name}", f"c_{name}"], [name]))
    model = packed(model_of(nodes, constants, ["a", "b"]))
    assert kinds(model) == {"MatMul": 1, "Split": 1} | ({"Add": 1} if has_bias else {})


def test_products_stay_apart_where_one_of_them_has_something_added() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "c"], ["a"]),
        helper.make_node("MatMul", ["x", "v"], ["b"]),
    ]
    constants = {"w": random(HIDDEN, 4), "c": random(4), "v": random(HIDDEN, 4)}
    assert kinds(packed(model_of(nodes, constants, ["a", "b"]))) == {"MatMul": 2, "Add": 1}


def test_a_product_that_is_read_before_something_is_added_stays_readable() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "c"], ["a"]),
        helper.make_node("Neg", ["m"], ["n"]),
        helper.make_node("MatMul", ["x", "v"], ["b"]),
    ]
    constants = {"w": random(HIDDEN, 4), "c": random(4), "v": random(HIDDEN, 4)}
    packed(model_of(nodes, constants, ["a", "n", "b"]))


def test_a_sum_goes_with_the_norm_that_reads_it_and_others_still_read_the_sum() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["y"]),
        helper.make_node("Add", ["x", "y"], ["sum"]),
        helper.make_node("SimplifiedLayerNormalization", ["sum", "gain"], ["normed"], axis=-1, epsilon=1e-5),
        helper.make_node("Add", ["sum", "normed"], ["out"]),
    ]
    model = packed(model_of(nodes, {"gain": random(HIDDEN)}, ["out"]))
    assert kinds(model) == {"Mul": 1, "SkipSimplifiedLayerNormalization": 1, "Add": 1}


def test_a_norm_of_what_is_no_sum_of_streams_stays() -> None:
    nodes = [
        helper.make_node("Add", ["x", "c"], ["moved"]),
        helper.make_node("SimplifiedLayerNormalization", ["moved", "gain"], ["out"], axis=-1, epsilon=1e-5),
    ]
    model = packed(model_of(nodes, {"gain": random(HIDDEN), "c": random(HIDDEN)}, ["out"]))
    assert kinds(model) == {"Add": 1, "SimplifiedLayerNormalization": 1}


@pytest.mark.parametrize(
    ("name", "inputs"),
    [("llama", 1), ("qwen2", 1), ("gpt2", 3), ("qwen3", 3)],  # GPT-2 packs by itself; Qwen 3 has norms in between
)
def test_attention_takes_query_key_and_value_as_one_where_nothing_is_in_between(
    bundles: Callable[..., Path], name: str, inputs: int
) -> None:
    graph = onnx.load(bundles(name) / "model.onnx", load_external_data=False).graph
    attention = [node for node in graph.node if node.op_type == "GroupQueryAttention"]
    assert attention
    assert {len([name for name in node.input[:3] if name]) for node in attention} == {inputs}
