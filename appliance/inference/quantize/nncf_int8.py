"""NNCF: a model in 8 bits after calibration. The one place that knows it; a tool, loaded by `quantize` alone."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        quantized = _quantize(graph, calibration, ignored=_products_with_vectors(graph.graph))
        onnx.save(quantized, folder / "model.onnx")
        return "model.onnx"

    return _told("onnxruntime_int8", make)


MAKERS: dict[str, Callable[[Path, Calibration, Path], str]] = {
    "openvino_int8": for_openvino,
    "onnxruntime_int8": for_onnxruntime,
}
"""By the backend that is to run what they make."""


def _quantize(model: Any, calibration: Calibration, ignored: Sequence[str] = ()) -> Any:
    import nncf  # noqa: PLC0415
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet  # noqa: PLC0415

    # Measured on the stand-in model: by least and greatest, which is NNCF's own way, each more picture may bring one
    # more outlier, and OpenVINO's finds in common fall from 97 % (28 pictures) to 86 % (82), ONNX Runtime's from 94 to
    # 65 %. By quantiles they stay at 98 to 100 % and 96 to 98 %.
    ranges = RangeEstimatorParametersSet.MEAN_QUANTILE
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(calibration.pictures, lambda picture: {"input": calibration.tensor(picture)}),
            subset_size=len(calibration.pictures),
            # Measured on the stand-in models: without smoothing, which the model type brings, or with symmetric
            # activations, a third of the finds is left.
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=nncf.IgnoredScope(names=list(ignored)) if ignored else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=ranges),
        )


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
    with contextlib.ExitStack() as stack:
        to = sys.stderr if sys.stderr.isatty() else stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
        stack.enter_context(contextlib.redirect_stdout(to))
        yield
