"""Which nodes of an ONNX graph are worth 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLOAT32 = 1
"""In ONNX's TensorProto."""


@dataclass(frozen=True, slots=True)
class Product:
    """A node of a graph that multiplies `activation` by the constant matrix or kernel `weight`.

    `channels` is the dimension of the weight that is the output's channels.
    """

    node: Any
    activation: str
    weight: str
    channels: int


def own_weights(graph: Any) -> None:
    """Put a copy of the constant in the place of each Identity of one: PyTorch's exporter writes so what is equal.

    RF-DETR's decoder has them. Neither NNCF nor `products` looks for a weight behind another name.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {output.name for output in graph.output}
    for node in list(graph.node):
        if node.op_type == "Identity" and node.input[0] in constants and node.output[0] not in outputs:
            copied = graph.initializer.add()
            copied.CopyFrom(constants[node.input[0]])
            copied.name = node.output[0]
            constants[copied.name] = copied
            graph.node.remove(node)


def products(graph: Any) -> list[Product]:
    """Return the nodes that are worth 8 bits: convolutions, and products with a constant matrix on the right.

    Not the products of two activations (attention's own), for TensorRT has a kernel for all of attention in 16 bits;
    nor those with a vector, which no library has in integers; nor what is not float32.
    """
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer if tensor.data_type == _FLOAT32}
    return [product for node in graph.node if (product := _product(node, ranks)) is not None]


def _product(node: Any, ranks: Mapping[str, int]) -> Product | None:
    if node.op_type not in {"Conv", "Gemm", "MatMul"}:
        return None
    activation, weight = node.input[:2]
    is_convolution = node.op_type == "Conv"
    if activation in ranks or weight not in ranks or (not is_convolution and ranks[weight] != 2):
        return None
    is_transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return Product(node, activation, weight, 0 if is_convolution or is_transposed else 1)
