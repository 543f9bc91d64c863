"""TensorRT on an NVIDIA card with a model's int8 form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.inference.backends.tensorrt_half import TensorRtHalf

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import ModelInfo
    from appliance.messages import Floats, Frame


class TensorRtInt8(TensorRtHalf):
    """One engine of the form. The errors are TensorRtHalf's."""

    backend = "tensorrt_int8"

    def __init__(self, path: Path, info: ModelInfo) -> None:
        super().__init__(path, info)  # this, take and detect: frames of this file, by which a form that hangs is known

    def take(self, frame: Frame) -> None:
        super().take(frame)

    def detect(self) -> tuple[Floats, Floats]:
        return super().detect()
