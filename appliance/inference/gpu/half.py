"""A float32 model's arithmetic in float16: for who takes the precision from the file, as TensorRT does.

`onnxruntime.transformers.float16` does this, too. It is not used, for it casts what an operator in float32 makes, even
where the next one is in float32 as well: a square that was to be finite is infinite between the two. And what it writes
is out of order. (ONNX Runtime takes such casts out before it runs a model, so a trial on a CPU does not show it.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.inference.detector import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from appliance.messages import Floats

INSTALL = "pip install 'onnx>=1.18'"
KEPT = frozenset({"Pow", "ReduceMean"})
"""Operators that stay in float32: a LayerNormalization that was exported in pieces squares what it is given, and from
256 on a square is infinite in float16. Measured on DEIMv2-Femto, a fifth of the finds was left. (A whole one, as in
RF-DETR since October 2025, is float32 inside by definition: its attribute stash_type.)"""
BEHIND = {"Add": KEPT, "Sqrt": KEPT | {"Add"}}
"""These do right behind one of those: the rest of the same pieces, up to the root."""
_SCALES_OPSET = 19
"""From this one on the scales of QuantizeLinear and DequantizeLinear may be float16. And no further: from 20 on
TensorRT reads each GridSample as one of the nearest pixel, without a word (its issue 4646)."""
_IR_VERSION = 9
"""The file format that brought it."""
_FLOAT, _HALF = 1, 10  # onnx.TensorProto.FLOAT, FLOAT16
_LARGEST, _SMALLEST = np.float32(65504), np.float16(2**-24)


def half(model: Path, to: Path) -> None:
    """Write `model` with its arithmetic in float16; inputs and outputs stay float32, and all that it says of itself.

    The first dimension of its input and outputs, where it is symbolic ('batch', 'N'), becomes 1. In the file each
    operator's types are what ONNX asks for, so nothing is left for a reader to cast. A model in 8 bits, with
    QuantizeLinear and DequantizeLinear, has float16 between these, and no cast between them and the products.

    BackendError: `onnx` is not installed, or this model cannot be converted.
    """
    try:
        import onnx  # noqa: PLC0415 -- only who builds an engine needs it
        from onnx import version_converter  # noqa: PLC0415
    except ImportError as error:
        raise BackendError(f"float16 takes the package onnx, which is not installed ({error}): {INSTALL}") from None
    try:
        written = onnx.load(model, format="protobuf")
        onnx.checker.check_model(written)
        _one_picture(written.graph)
        quantized = any(node.op_type == "DequantizeLinear" for node in written.graph.node)
        if quantized and _opset(written) < _SCALES_OPSET:
            written = version_converter.convert_version(written, _SCALES_OPSET)
            written.ir_version = max(written.ir_version, _IR_VERSION)
        _Conversion(onnx, written).convert()
        onnx.checker.check_model(written, full_check=True)
        onnx.shape_inference.infer_shapes(written, check_type=True, strict_mode=True, data_prop=True)
        onnx.save(written, to, format="protobuf")
    except Exception as error:  # onnx, protobuf and the disk have nothing in common
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BackendError(f"{model.name} cannot be converted to float16: {first[:300]}") from error


def _one_picture(graph: Any) -> None:
    for tensor in (*graph.input, *graph.output):
        sides = tensor.type.tensor_type.shape.dim
        if len(sides) and not sides[0].HasField("dim_value"):
            sides[0].dim_value = 1
    del graph.value_info[
        :
    ]  # notes on what lies between, of other sizes now; in int8 forms some are of other types, too


def _opset(model: Any) -> int:
    return int(next(one.version for one in model.opset_import if one.domain in {"", "ai.onnx"}))


class _Conversion:
    """One walk through the graph. A float tensor lies there in the type that its maker gives, and is cast once, right
    before the first node that asks for the other.
    """

    def __init__(self, onnx: Any, model: Any) -> None:
        """ONNX's InferenceError: the model contradicts itself."""
        self._onnx, self._graph, self._opset = onnx, model.graph, _opset(model)
        known = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
        described = (*known.value_info, *known.input, *known.output)
        self._floats = {one.name for one in described if one.type.tensor_type.elem_type == _FLOAT}
        self._ends = {one.name for one in (*known.input, *known.output)}
        self._weights: dict[str, Floats] = {}
        self._names = {(one.name, _FLOAT): one.name for one in known.input}
        self._kept: dict[str, str] = {}

    def convert(self) -> None:
        """Change the model's graph. ValueError and others: it has what this does not know."""
        nodes = [one for node in self._without_weights() for one in self._converted(node)]
        del self._graph.node[:], self._graph.value_info[:]  # whose types were others
        self._graph.node.extend(nodes)

    def _without_weights(self) -> list[Any]:
        """Take the float constants out of the graph, to be put back in the type asked for; return its other nodes."""
        to_array, value = self._onnx.numpy_helper.to_array, self._onnx.helper.get_attribute_value
        others = []
        for tensor in self._graph.initializer:
            if tensor.data_type == _FLOAT:
                self._weights[tensor.name] = to_array(tensor)
            else:
                others.append(self._onnx.TensorProto.FromString(tensor.SerializeToString()))
        del self._graph.initializer[:]
        self._graph.initializer.extend(others)
        nodes = []
        for node in self._graph.node:
            if node.op_type == "Constant" and node.output[0] in self._floats:
                (said,) = node.attribute
                self._weights[node.output[0]] = (
                    to_array(said.t) if said.name == "value" else np.asarray(value(said), np.float32)
                )
            else:
                nodes.append(self._onnx.NodeProto.FromString(node.SerializeToString()))
        self._floats.update(self._weights)
        return nodes

    def _converted(self, node: Any) -> Iterator[Any]:
        """Return the node, behind the casts that it asks for; if it makes an output, a cast of that follows."""
        schema = self._onnx.defs.get_schema(node.op_type, self._opset, node.domain)
        stays = self._stays(node)
        for index, name in enumerate(node.input):
            if name in self._floats:
                asked = _FLOAT if stays else _type(schema.inputs, index)
                yield from self._provided(name, asked)
                node.input[index] = self._names[name, asked]
        made = [name for name in node.output if name in self._floats]
        for index, name in enumerate(node.output):
            if name in self._floats:
                kind = _FLOAT if stays else _type(schema.outputs, index)
                node.output[index] = self._names[name, kind] = self._name(name, kind)
        self._retype(node, any((name, _HALF) in self._names for name in made))
        yield node
        for name in self._ends.intersection(made):
            yield from self._provided(name, _FLOAT)

    def _stays(self, node: Any) -> bool:
        """Return whether it stays in float32, and remember what it makes."""
        behind = BEHIND.get(node.op_type, ())
        stays = node.op_type in KEPT or any(self._kept.get(name) in behind for name in node.input)
        if stays:
            self._kept[node.output[0]] = node.op_type
        return stays

    def _provided(self, name: str, asked: int) -> Iterator[Any]:
        """Have the tensor in this type: a constant is put into the graph, for anything else a Cast is returned."""
        if (name, asked) in self._names:
            return
        new = self._names[name, asked] = self._name(name, asked)
        if name in self._weights:
            array = self._weights[name] if asked == _FLOAT else _rounded(self._weights[name])
            self._graph.initializer.append(self._onnx.numpy_helper.from_array(array, new))
        else:
            there = self._names[name, _FLOAT + _HALF - asked]
            yield self._onnx.helper.make_node("Cast", [there], [new], f"{new}_cast", to=asked)

    def _name(self, name: str, kind: int) -> str:
        """Return what the tensor is called in this type. Inputs and outputs keep their names, and they are float32."""
        if kind == _FLOAT:
            return name if name in self._ends else f"{name}_float32"
        return f"{name}_float16" if name in self._ends else name

    def _retype(self, node: Any, is_half: bool) -> None:
        """Change the type that a node names by itself."""
        graphs = {self._onnx.AttributeProto.GRAPH, self._onnx.AttributeProto.GRAPHS}
        if any(attribute.type in graphs for attribute in node.attribute):
            raise ValueError(f"it has a graph in its graph ({node.op_type})")
        if is_half and node.op_type == "Cast":
            node.attribute[0].i = _HALF
        if is_half and node.op_type == "ConstantOfShape":
            said = [self._onnx.numpy_helper.to_array(attribute.t) for attribute in node.attribute]
            del node.attribute[:]
            value = self._onnx.numpy_helper.from_array(_rounded(said[0] if said else np.zeros(1, np.float32)))
            node.attribute.append(self._onnx.helper.make_attribute("value", value))


def _type(formal: Sequence[Any], index: int) -> int:
    """Return which type this input or output is to have: float16, where ONNX allows it. The scales of Resize are
    float32, and those of QuantizeLinear are before opset 19.
    """
    return _HALF if "tensor(float16)" in formal[min(index, len(formal) - 1)].types else _FLOAT


def _rounded(array: Floats) -> Any:
    """Return it in float16. What is finite stays so; what is not zero, as a divisor's 1e-12, does not vanish."""
    near = np.where(np.isfinite(array), np.clip(array, -_LARGEST, _LARGEST), array).astype(np.float16)
    return np.where((near == 0) & (array != 0), np.copysign(_SMALLEST, near), near)
