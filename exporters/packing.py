"""A graph in, the same function with fewer and larger nodes out.

What ONNX Runtime does not fuse by itself: products of the same input become one, and a residual sum goes together with
the norm behind it. Each node that is left out saves its launch and, where it was a product, the quantising of its
input. Knows nothing of precision.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
ATTENTION, NORM, NORM_OF_SUM = "GroupQueryAttention", "SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"


def pack(model: ModelProto) -> ModelProto:
    """Put together what can be; the model is changed and returned."""
    nodes = _Nodes(model)
    for node in nodes.of_kind(ATTENTION):
        _pack_attention(nodes, node)
    for products in nodes.products_by_input():
        _pack_siblings(nodes, products)
    for node in nodes.of_kind(NORM):
        _join_sum(nodes, node)
    nodes.write_back()
    return model


def _pack_attention(nodes: "_Nodes", attention: NodeProto) -> None:
    """Have query, key and value be one product, which the operator takes apart itself."""
    products = [nodes.product_of(name) for name in attention.input[:3]]
    known = [each for each in products if each is not None and nodes.readers(each.output) == [attention]]
    if len(known) == 3 and len({(each.input, each.bias is None) for each in known}) == 1:
        attention.input[0] = _packed(nodes, known)
        attention.input[1] = attention.input[2] = ""


def _pack_siblings(nodes: "_Nodes", products: Sequence["_Product"]) -> None:
    """Have products of one input be one, which is split afterwards."""
    if len(products) < 2:
        return
    sizes = [nodes.constants[each.weight].dims[1] for each in products]
    packed = _packed(nodes, products)
    lengths = nodes.add_constant(f"{packed}_sizes", np.array(sizes, np.int64))
    nodes.add(helper.make_node("Split", [packed, lengths], [each.output for each in products], axis=-1))


def _packed(nodes: "_Nodes", products: Sequence["_Product"]) -> str:
    """One product in place of some; returns the name of what comes out, one after the other along the last axis."""
    first = products[0]
    name = f"{first.matmul.output[0]}_packed"
    weight = np.concatenate([nodes.array(each.weight) for each in products], axis=1)
    nodes.drop(*(node for each in products for node in each.nodes))
    nodes.add(helper.make_node("MatMul", [first.input, nodes.add_constant(f"{first.weight}_packed", weight)], [name]))
    biases = [nodes.array(each.bias) for each in products if each.bias is not None]
    if not biases:
        return name
    bias = nodes.add_constant(f"{first.bias}_packed", np.concatenate(biases))
    nodes.add(helper.make_node("Add", [name, bias], [f"{name}_biased"]))
    return f"{name}_biased"


def _join_sum(nodes: "_Nodes", norm: NodeProto) -> None:
    """Have a sum of two streams be made by the norm that reads it."""
    added = nodes.producer(norm.input[0])
    if added is None or added.op_type != "Add" or nodes.constants.keys() & set(added.input):
        return
    kept = {each.name: helper.get_attribute_value(each) for each in norm.attribute}
    nodes.drop(added, norm)
    outputs = [norm.output[0], "", "", added.output[0]]
    gain = norm.input[1]
    nodes.add(helper.make_node(NORM_OF_SUM, [*added.input, gain], outputs, domain=MICROSOFT, epsilon=kept["epsilon"]))


@dataclass(frozen=True)
class _Product:
    """A product with a constant matrix, and the sum with a constant vector, if there is one.

    Attributes:
        weight: Name of the matrix, [K, N].
        bias: Name of the vector, [N].
    """

    matmul: NodeProto
    weight: str
    add: NodeProto | None = None
    bias: str | None = None

    @property
    def nodes(self) -> tuple[NodeProto, ...]:
        return (self.matmul,) if self.add is None else (self.matmul, self.add)

    @property
    def input(self) -> str:
        return str(self.matmul.input[0])

    @property
    def output(self) -> str:
        return str(self.nodes[-1].output[0])


class _Nodes:
    """The nodes of a graph, by what they make and read; those that are added find their place at the end."""

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        self._nodes = {id(node): node for node in model.graph.node}
        self.constants: dict[str, TensorProto] = {each.name: each for each in model.graph.initializer}

    def of_kind(self, kind: str) -> list[NodeProto]:
        return [node for node in self._nodes.values() if node.op_type == kind]

    def add(self, node: NodeProto) -> None:
        self._nodes[id(node)] = node

    def drop(self, *nodes: NodeProto) -> None:
        for node in nodes:
            del self._nodes[id(node)]

    def add_constant(self, name: str, array: NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def array(self, name: str) -> NDArray[np.generic]:
        array: NDArray[np.generic] = numpy_helper.to_array(self.constants[name])
        return array

    def producer(self, name: str) -> NodeProto | None:
        return next((node for node in self._nodes.values() if name and name in node.output), None)

    def readers(self, name: str) -> list[NodeProto]:
        return [node for node in self._nodes.values() if name in node.input]

    def product(self, matmul: NodeProto) -> _Product | None:
        """What a node multiplies by, if it does so and that is constant."""
        if matmul.op_type != "MatMul" or len(self._dims(matmul.input[1])) != 2:
            return None
        readers = self.readers(matmul.output[0])
        if len(readers) == 1 and readers[0].op_type == "Add":
            for name in readers[0].input:
                if len(self._dims(name)) == 1:
                    return _Product(matmul, matmul.input[1], readers[0], name)
        return _Product(matmul, matmul.input[1])

    def product_of(self, output: str) -> _Product | None:
        """The product that a value is, its sum included."""
        found = (self.product(node) for node in self.of_kind("MatMul"))
        return next((each for each in found if each is not None and each.output == output), None)

    def products_by_input(self) -> Iterator[list[_Product]]:
        """All products, together those of one input that are alike in having a sum behind them."""
        found = defaultdict(list)
        for node in self.of_kind("MatMul"):
            if (product := self.product(node)) is not None:
                found[product.input, product.bias is None].append(product)
        yield from found.values()

    def write_back(self) -> None:
        """Put the nodes into the graph, each after those whose outputs it reads, and the constants that are read."""
        made = {name for node in self._nodes.values() for name in node.output}
        known, ordered, waiting = {""}, [], list(self._nodes.values())
        while waiting:
            ready = [node for node in waiting if all(name in known or name not in made for name in node.input)]
            known.update(name for node in ready for name in node.output)
            ordered += ready
            waiting = [node for node in waiting if not known.issuperset(node.output)]
        read = {name for node in ordered for name in node.input}
        kept = [each for name, each in self.constants.items() if name in read]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(ordered)
        self._graph.initializer.extend(kept)

    def _dims(self, name: str) -> Sequence[int]:
        return self.constants[name].dims if name in self.constants else ()
