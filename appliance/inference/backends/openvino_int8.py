"""OpenVINO on the CPU with a model's int8 form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.inference.backends.openvino_cpu import OpenVinoCpu

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import ModelInfo
    from appliance.messages import Floats


class OpenVinoInt8(OpenVinoCpu):
    """One compiled form. `info` is the model's own. BackendError: OpenVINO cannot take the form."""

    def __init__(self, path: Path, info: ModelInfo, threads: int) -> None:
        """`path` is the form's file, in OpenVINO's own format."""
        super().__init__(path, info, threads, "openvino_int8")

    def detect(self) -> tuple[Floats, Floats]:
        return super().detect()  # a frame of this file: by it a form that hangs is known from the model
