"""TensorRT on an NVIDIA card, in float16. The frame's way into the tensor is ours, on the same stream as the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.inference.detector import BackendError, first_line
from appliance.inference.gpu.cuda_input import CudaInput
from appliance.inference.gpu.cupy_device import open_device
from appliance.inference.gpu.tensorrt_engine import LoadedEngine

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import ModelInfo
    from appliance.messages import Floats, Frame


class TensorRtHalf:
    """One engine on the first card. Its input never leaves the card; its outputs come to this memory.

    AbsentError: no card, or no TensorRT. EngineError: the engine is not for this machine. BackendError: all else.
    """

    backend = "tensorrt"

    def __init__(self, path: Path, info: ModelInfo) -> None:
        """`path` is the engine; `info` is what the reference has read of the model."""
        self.info = info
        self._failure = ""
        self._device = open_device()
        self._input = CudaInput(self._device, info.side)
        self._engine = LoadedEngine(path, info, self._device, self._input.pointer)

    def take(self, frame: Frame) -> None:
        """As Detector has it. That the card has failed is for `detect` to tell."""
        try:
            self._input.take(frame)
        except BackendError as error:
            self._failure = str(error)  # and not the error, whose traceback would hold on to the frame

    def detect(self) -> tuple[Floats, Floats]:
        if self._failure:
            raise BackendError(f"{self.backend} has failed: {self._failure}")
        try:
            return self._engine.run()
        except Exception as error:
            raise BackendError(f"{self.backend} has failed: {first_line(error)}") from error

    def close(self) -> None:
        """Give the card's memory back, first what works on it."""
        self._engine.close()
        self._input.close()
