"""Makes small ONNX models by hand, in protobuf's wire format: the `onnx` package is large, and nothing else needs it.

Field numbers are those of onnx.proto3 (IR version 8, opset 17).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

FLOAT, INT64, FLOAT16 = 1, 7, 10
_TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64, np.dtype(np.float16): FLOAT16}

Shape: TypeAlias = Sequence[int | str]
"""A word is a dimension of unknown size."""


def model(
    outputs: Mapping[str, Any],
    inputs: Mapping[str, tuple[int, Shape]] | None = None,
    *,
    brightness_to: str | None = None,
    side: int = 224,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return a model whose outputs are the arrays given, whatever it is shown.

    To the one named `brightness_to` it adds the mean of its (normalised) input. `inputs` are element type and shape;
    as RF-DETR's by default.
    """
    inputs = {"input": (FLOAT, (1, 3, side, side))} if inputs is None else inputs
    nodes, values = [], []
    if brightness_to is not None:
        nodes.append(_node("ReduceMean", ["input"], "brightness", _attribute("keepdims", 0)))
    for name, array in outputs.items():
        values.append(_tensor(f"{name}_value", array))
        if name == brightness_to:
            nodes.append(_node("Add", [f"{name}_value", "brightness"], name))
        else:
            nodes.append(_node("Identity", [f"{name}_value"], name))
    graph = b"".join(
        (
            *(_field(1, node) for node in nodes),
            _field(2, b"made_by_hand"),
            *(_field(5, value) for value in values),
            *(_field(11, _value(name, *described)) for name, described in inputs.items()),
            *(_field(12, _value(name, _TYPES[array.dtype], array.shape)) for name, array in outputs.items()),
        )
    )
    opset = _field(1, b"") + _number(2, 17)
    said = (_field(1, key.encode()) + _field(2, value.encode()) for key, value in (metadata or {}).items())
    return _number(1, 8) + _field(7, graph) + _field(8, opset) + b"".join(_field(14, entry) for entry in said)


def rows(
    boxes: Sequence[tuple[int, Sequence[float], int, float]], queries: int = 300, columns: int = 91
) -> dict[str, Any]:
    """Return RF-DETR's outputs: each box is (query, cx cy w h in 0..1, class, logit); all other logits are -12."""
    dets = np.zeros((1, queries, 4), np.float32)
    labels = np.full((1, queries, columns), -12, np.float32)
    for query, box, class_id, logit in boxes:
        dets[0, query] = box
        labels[0, query, class_id] = logit
    return {"dets": dets, "labels": labels}


def _node(kind: str, inputs: Sequence[str], output: str, attribute: bytes = b"") -> bytes:
    taken = b"".join(_field(1, name.encode()) for name in inputs)
    return taken + _field(2, output.encode()) + _field(4, kind.encode()) + attribute


def _attribute(name: str, value: int) -> bytes:
    return _field(5, _field(1, name.encode()) + _number(3, value) + _number(20, 2))


def _tensor(name: str, array: Any) -> bytes:
    sides = b"".join(_number(1, side) for side in array.shape)
    return sides + _number(2, _TYPES[array.dtype]) + _field(8, name.encode()) + _field(9, array.tobytes())


def _value(name: str, element: int, shape: Shape) -> bytes:
    sides = b"".join(
        _field(1, _number(1, side) if isinstance(side, int) else _field(2, side.encode())) for side in shape
    )
    tensor = _number(1, element) + _field(2, sides)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return struct.pack(f"{len(groups) + 1}B", *groups, value)
