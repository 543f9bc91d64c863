"""NNCF: a model in 8 bits after calibration. The one place that knows it; a tool, loaded by `quantize` alone."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.inference.quantize.products import own_weights, products
from appliance.inference.store.errors import RefusedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from appliance.messages import Floats

INSTALL = "pip install 'nncf>=3.1' 'onnx>=1.18' 'openvino>=2026.1'"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Pictures, and how one becomes the model's input: float32 [1, 3, side, side], in memory of its own."""

    pictures: Sequence[bytes]
    tensor: Callable[[bytes], Floats]


def version() -> str:
    """Return NNCF's version. RefusedError: it, or what it needs, is not installed."""
    try:
        # First, for it forbids OpenVINO's telemetry, which NNCF would use too.
        from appliance.inference.backends import openvino_cpu  # noqa: F401, PLC0415

        with _quiet():
            import nncf  # noqa: PLC0415
            import onnx  # noqa: F401, PLC0415
    except ImportError as error:
        raise RefusedError(f"quantizing takes more packages than watching ({error}): {INSTALL}") from None
    return str(nncf.__version__)


def for_openvino(model: Path, calibration: Calibration, folder: Path) -> str:
    """Write OpenVINO's own format; return the name of the file that is loaded. StoreError: it could not be made."""
    import openvino  # noqa: PLC0415

    def make() -> str:
        quantized = _quantize(openvino.Core().read_model(model), calibration)
        openvino.save_model(quantized, folder / "model.xml", compress_to_fp16=False)
        return "model.xml"

    return _told("openvino_int8", make)


def for_onnxruntime(model: Path, calibration: Calibration, folder: Path) -> str:
    """Write an ONNX file with QuantizeLinear and DequantizeLinear; return its name. StoreError: as above."""
    import onnx  # noqa: PLC0415

    def make() -> str:
        graph = onnx.load(model)
        own_weights(graph.graph)
        quantized = _quantize(graph, calibration, ignored=_products_with_vectors(graph.graph))
        onnx.save(quantized, folder / "model.onnx")
        return "model.onnx"

    return _told("onnxruntime_int8", make)


def for_tensorrt(model: Path, calibration: Calibration, folder: Path) -> str:
    """Write an ONNX file as above, as TensorRT takes it: only int8 around 0. StoreError: as above."""
    import onnx  # noqa: PLC0415

    def make() -> str:
        graph = onnx.load(model)
        own_weights(graph.graph)
        wanted = {product.node.name for product in products(graph.graph)}
        others = [node.name for node in graph.graph.node if node.name not in wanted]
        quantized = _quantize(graph, calibration, ignored=others, symmetric=True)
        _make_signed(quantized.graph)
        onnx.save(quantized, folder / "model.onnx")
        return "model.onnx"

    return _told("tensorrt_int8", make)


MAKERS: dict[str, Callable[[Path, Calibration, Path], str]] = {
    "openvino_int8": for_openvino,
    "onnxruntime_int8": for_onnxruntime,
    "tensorrt_int8": for_tensorrt,
}
"""By the backend that is to run what they make."""


def _quantize(model: Any, calibration: Calibration, ignored: Sequence[str] = (), *, symmetric: bool = False) -> Any:
    """Quantize all but the nodes `ignored`. `symmetric`: activations too, one scale for each tensor."""
    import nncf  # noqa: PLC0415
    from nncf.quantization.advanced_parameters import QuantizationParameters  # noqa: PLC0415

    # Measured on the stand-in models: without smoothing, which the model type brings, a third of the finds is left.
    how = nncf.AdvancedQuantizationParameters(activations_range_estimator_params=_ranges(symmetric=symmetric))
    if symmetric:
        how.activations_quantization_params = QuantizationParameters(per_channel=False)
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(calibration.pictures, lambda picture: {"input": calibration.tensor(picture)}),
            subset_size=len(calibration.pictures),
            preset=nncf.QuantizationPreset.PERFORMANCE if symmetric else nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            # Not validated: what NNCF folds away is not found by its name.
            ignored_scope=nncf.IgnoredScope(names=list(ignored), validate=False) if ignored else None,
            advanced_parameters=how,
        )


def _ranges(*, symmetric: bool) -> Any:
    """Return how NNCF is to find a tensor's range: by the mean of the pictures' quantiles.

    Measured on the stand-in model: by least and greatest, which is NNCF's own way, each more picture may bring one more
    outlier, and OpenVINO's finds in common fall from 97 % (28 pictures) to 86 % (82), ONNX Runtime's from 94 to 65 %.
    By quantiles they stay at 98 to 100 % and 96 to 98 %.
    """
    from nncf.quantization.range_estimator import (  # noqa: PLC0415
        AggregatorType,
        RangeEstimatorParameters,
        RangeEstimatorParametersSet,
        StatisticsCollectorParameters,
        StatisticsType,
    )

    if not symmetric:
        return RangeEstimatorParametersSet.MEAN_QUANTILE
    # A symmetric range is as wide as the upper end alone, so that must be of absolute values. MEAN_QUANTILE has it of
    # the values as they are, cuts off what is mostly negative, and nearly all finds come to lie below the threshold.
    return RangeEstimatorParameters(
        min=StatisticsCollectorParameters(StatisticsType.QUANTILE, AggregatorType.MEAN),
        max=StatisticsCollectorParameters(StatisticsType.ABS_QUANTILE, AggregatorType.MEAN),
    )


def _make_signed(graph: Any) -> None:
    """Make int8 of the uint8 that NNCF has for what is never negative: TensorRT has no such type. The range stays."""
    from onnx import TensorProto, numpy_helper  # noqa: PLC0415

    constants = {tensor.name: tensor for tensor in graph.initializer}
    unsigned = {name for name, tensor in constants.items() if tensor.data_type == TensorProto.UINT8}
    quantizers = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[2] in unsigned]
    for node in quantizers:
        scale, zero = (constants[name] for name in node.input[1:])
        scales = numpy_helper.to_array(scale) * np.float32(255 / 127)
        scale.CopyFrom(numpy_helper.from_array(scales, scale.name))
        zero.CopyFrom(numpy_helper.from_array(np.zeros_like(scales, np.int8), zero.name))
    made = {node.output[0] for node in quantizers}
    for value in graph.value_info:
        if value.name in made:
            value.type.tensor_type.elem_type = TensorProto.INT8


def _products_with_vectors(graph: Any) -> list[str]:
    """Return the MatMul nodes that ONNX Runtime has no integer kernel for: one operand has a single dimension."""
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    return [
        node.name for node in graph.node if node.op_type == "MatMul" and any(ranks.get(x, 2) < 2 for x in node.input)
    ]


def _told(backend: str, make: Callable[[], str]) -> str:
    try:
        return make()
    except Exception as error:  # NNCF, ONNX and OpenVINO have nothing in common
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise StoreError(f"{backend}: NNCF cannot quantize this model: {first[:300]}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Its bars are for a person at a terminal; its notes on what it left out are for nobody here."""
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):
        yield
