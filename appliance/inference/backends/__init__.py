"""What runs the model: one module for each backend, loaded only when it is asked for."""

from __future__ import annotations

import contextlib
import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.inference.detector import AbsentError

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import Detector, ModelInfo

REFERENCE = "onnxruntime"
"""Always there (a dependency, not an extra); the others must answer as it does."""


@dataclass(frozen=True, slots=True)
class Backend:
    """`distributions` are the names of the package whose version counts, `module` is the file of ours that loads it."""

    distributions: tuple[str, ...]
    module: str
    exact: bool = True
    """Computes in float32; else its answers may differ by what fewer bits make."""
    form_of: str = ""
    """Runs what `porchlight model quantize` has made of the model (appliance.inference.int8), where that is there. This
    backend runs the model itself, by the same library."""
    threaded: bool = True
    """Computes on the processor, so that it matters how many threads it has."""
    builds: bool = False
    """Loads an engine (appliance.inference.engines), which takes minutes to build."""

    @property
    def version(self) -> str | None:
        """The installed package's; None: it is not installed. Loads nothing."""
        for distribution in self.distributions:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(distribution)
        return None


_TENSORRT = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")

BACKENDS = {
    "onnxruntime": Backend(("onnxruntime",), "onnxruntime_cpu"),
    "openvino": Backend(("openvino",), "openvino_cpu"),
    "openvino_bf16": Backend(("openvino",), "openvino_cpu", exact=False),
    "onnxruntime_int8": Backend(("onnxruntime",), "onnxruntime_int8", exact=False, form_of="onnxruntime"),
    "openvino_int8": Backend(("openvino",), "openvino_int8", exact=False, form_of="openvino"),
    "onnxruntime_cuda": Backend(("onnxruntime-gpu",), "onnxruntime_cuda", threaded=False),
    "tensorrt": Backend(_TENSORRT, "tensorrt_half", exact=False, threaded=False, builds=True),
    "tensorrt_int8": Backend(_TENSORRT, "tensorrt_int8", exact=False, form_of="tensorrt", threaded=False, builds=True),
}
"""By the name that settings and Home Assistant know."""


def open_backend(name: str, path: Path, info: ModelInfo | None, threads: int) -> Detector:
    """Load the model, its int8 form or its engine. `info` may be None for the reference, which reads it from the file.

    ModelError: no backend can use this file; BackendError: this one cannot be had, or not with this file.
    """
    if name == REFERENCE:
        from appliance.inference.backends.onnxruntime_cpu import OnnxRuntimeCpu

        return OnnxRuntimeCpu(path, threads)
    if info is None:
        raise ValueError(f"{name} is told what the model is")
    if name == "onnxruntime_int8":
        from appliance.inference.backends.onnxruntime_int8 import OnnxRuntimeInt8

        return OnnxRuntimeInt8(path, threads, info)
    if name == "onnxruntime_cuda":
        from appliance.inference.backends.onnxruntime_cuda import OnnxRuntimeCuda

        return OnnxRuntimeCuda(path, info)
    if name == "tensorrt":
        from appliance.inference.backends.tensorrt_half import TensorRtHalf

        return TensorRtHalf(path, info)
    if name == "tensorrt_int8":
        from appliance.inference.backends.tensorrt_int8 import TensorRtInt8

        return TensorRtInt8(path, info)
    try:
        from appliance.inference.backends.openvino_cpu import OpenVinoCpu
    except ImportError as error:
        raise AbsentError(f"{name} is not installed ({error}): pip install 'openvino>=2026.1'") from None
    if name == "openvino_int8":
        from appliance.inference.backends.openvino_int8 import OpenVinoInt8

        return OpenVinoInt8(path, info, threads)
    return OpenVinoCpu(path, info, threads, name)
