"""TensorRT's calibration caches: read, and made into a graph with QuantizeLinear, which is all that TensorRT 11 takes.

A cache is what the calibrators of TensorRT up to 10 wrote: a line `TRT-<version>-<calibrator>`, then for each tensor
its name and the bits of a float32 in hexadecimal digits. That number is the tensor's scale: what one step of its int8
stands for, so its range is 127 times as wide. (Caches of pictures normalised as RF-DETR's have 3caa54fc for the input:
127 times that is 2.64, and so is the brightest blue.)
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.inference.quantize.products import own_weights, products
from appliance.inference.store.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from appliance.inference.quantize.products import Product

LEAST_KNOWN = 0.5
"""Below this share of a model's tensors a cache is another model's. What it does not know stays in float."""
_MOST_BYTES = 8 << 20
_CALIBRATORS = frozenset({"EntropyCalibration", "EntropyCalibration2", "MinMaxCalibration"})
_FIRST_LINE = re.compile(r"TRT-\d+-(\w+)")
_LINE = re.compile(r"(.+): ([0-9A-Fa-f]{1,8})")
_OPSET = 13
"""From this version of ONNX's operators on, scales can be those of channels."""
_MOST = 127


def read(path: Path) -> dict[str, float]:
    """Return each tensor's scale, by its name. Those that were always 0 have none.

    RefusedError: there is no such file, or it is no calibration cache.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise RefusedError(f"{path}: there is no such file") from None
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise RefusedError(f"{path} has more than {_MOST_BYTES >> 20} MiB: it is no calibration cache of TensorRT's")
    try:
        first, *lines = content.decode().splitlines() or [""]
    except UnicodeDecodeError:
        first, lines = "", []
    known = _FIRST_LINE.fullmatch(first.strip())
    if known is None:
        raise RefusedError(f"{path} is no calibration cache of TensorRT's: those begin with a line like TRT-8601-…")
    if known[1] not in _CALIBRATORS:
        raise RefusedError(f"{path} is of TensorRT's {known[1]}; known are {', '.join(sorted(_CALIBRATORS))}")
    entries = (_entry(path, number, line.strip()) for number, line in enumerate(lines, 2) if line.strip())
    return {name: scale for name, scale in entries if scale}


def apply(model: Path, scales: Mapping[str, float], folder: Path) -> str:
    """Write the model with int8 in `folder`; return the file's name.

    Each product with weights has its activation in int8 by the cache's scale, and its weights by the greatest of each
    channel; a product whose activation the cache does not know, and all else, stays as it is.
    RefusedError: the cache is another model's, or the model is none that this can be done to.
    """
    try:
        import onnx  # noqa: PLC0415
    except ImportError as error:
        raise RefusedError(f"this takes a package more ({error}): pip install 'onnx>=1.18'") from None
    try:
        document = onnx.load(model)
    except Exception as error:  # protobuf's, and the operating system's
        raise RefusedError(f"{model}: it cannot be read as an ONNX model ({type(error).__name__})") from error
    version = next((one.version for one in document.opset_import if not one.domain), 0)
    if version < _OPSET:
        raise RefusedError(f"{model} is of ONNX's opset {version}, and int8 takes {_OPSET}: export it anew")
    own_weights(document.graph)
    found = products(document.graph)
    wanted = {product.activation for product in found}
    known = wanted & scales.keys()
    if not wanted or len(known) < LEAST_KNOWN * len(wanted):
        raise RefusedError(
            f"the calibration cache knows {len(known)} of the {len(wanted)} tensors of {model.name} that would be in 8 "
            "bits: it is another model's, or of another export of it"
        )
    _Quantizer(document.graph, scales).quantize([product for product in found if product.activation in known])
    onnx.save(document, folder / "model.onnx")
    return "model.onnx"


def _entry(path: Path, number: int, line: str) -> tuple[str, float]:
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise RefusedError(f"{path}, line {number}: not a tensor's name and up to eight hexadecimal digits")
    # TensorRT leaves zeros in front away: it writes 0 for a tensor that was always 0.
    scale = struct.unpack(">f", bytes.fromhex(parts[2].zfill(8)))[0]
    if not math.isfinite(scale) or scale < 0:
        raise RefusedError(f"{path}, line {number}: {parts[2]} is {scale}, and no scale")
    return parts[1], scale


class _Quantizer:
    """Puts QuantizeLinear and DequantizeLinear before the products of a graph, each tensor's once."""

    def __init__(self, graph: Any, scales: Mapping[str, float]) -> None:
        self._graph = graph
        self._scales = scales
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._done: dict[tuple[str, int | None], str] = {}
        self._nodes: list[Any] = []

    def quantize(self, wanted: list[Product]) -> None:
        before = {product.node.output[0]: product for product in wanted}
        for node in self._graph.node:
            if (product := before.get(node.output[0])) is not None:
                node.input[0] = self._activation(product.activation)
                node.input[1] = self._weight(product.weight, product.channels)
            self._nodes.append(node)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        left = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(left)

    def _activation(self, name: str) -> str:
        if (name, None) not in self._done:
            scale = self._constant(f"{name}/scale", np.array(self._scales[name], np.float32))
            zero = self._constant(f"{name}/zero", np.array(0, np.int8))
            self._node("QuantizeLinear", [name, scale, zero], f"{name}/int8")
            self._done[name, None] = self._node("DequantizeLinear", [f"{name}/int8", scale, zero], f"{name}/float")
        return self._done[name, None]

    def _weight(self, name: str, channels: int) -> str:
        from onnx import numpy_helper  # noqa: PLC0415

        if (name, channels) not in self._done:
            weight = numpy_helper.to_array(self._weights[name])
            others = tuple(dimension for dimension in range(weight.ndim) if dimension != channels)
            most = np.abs(weight).max(others, keepdims=True)
            # TensorRT refuses a scale of 0, which a channel without weights would have.
            scales = np.maximum(most, np.float32(_MOST * np.finfo(np.float32).tiny)) / np.float32(_MOST)
            rounded = np.clip(np.rint(weight / scales), -_MOST, _MOST).astype(np.int8)
            base = f"{name}/{channels}"
            inputs = [
                self._constant(f"{base}/int8", rounded),
                self._constant(f"{base}/scale", scales.reshape(-1)),
                self._constant(f"{base}/zero", np.zeros(scales.size, np.int8)),
            ]
            self._done[name, channels] = self._node("DequantizeLinear", inputs, f"{base}/float", axis=channels)
        return self._done[name, channels]

    def _constant(self, name: str, array: Any) -> str:
        from onnx import numpy_helper  # noqa: PLC0415

        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: int) -> str:
        from onnx import helper  # noqa: PLC0415

        self._nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output
