"""ONNX Runtime on the CPU with a model's int8 form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.inference.backends.onnxruntime_cpu import OnnxRuntimeCpu
from appliance.inference.detector import BackendError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import ModelInfo
    from appliance.messages import Floats


class OnnxRuntimeInt8(OnnxRuntimeCpu):
    """One inference session. `info` is the model's own.

    BackendError: the form is none, or another model's.
    """

    backend = "onnxruntime_int8"

    def __init__(self, path: Path, threads: int, info: ModelInfo) -> None:
        """`path` is the form's file."""
        try:
            super().__init__(path, threads)
        except ModelError as error:
            raise BackendError(f"{self.backend}: {error}") from None
        if self.info.side != info.side:
            raise BackendError(f"{self.backend}: {path} has {self.info.side} pixels, and the model {info.side}")
        self.info = info

    def detect(self) -> tuple[Floats, Floats]:
        return super().detect()  # a frame of this file: the last words of who hangs here must not blame the reference
