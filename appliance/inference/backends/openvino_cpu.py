"""OpenVINO on the CPU: in float32 or, where the processor has it, in bfloat16."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from appliance.inference.contract import OUTPUTS
from appliance.inference.cpu_input import CpuInput
from appliance.inference.detector import AbsentError, BackendError

# Importing openvino reports to Google Analytics (and writes a client id into the home folder) where this package can be
# found, which openvino depends on; where it cannot, openvino has a stub that says nothing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import ModelInfo
    from appliance.messages import Floats, Frame

VERSION: str = openvino.__version__


class OpenVinoCpu:
    """One compiled model, one request; input and outputs lie in buffers that are made once.

    BackendError: OpenVINO cannot take this model, or this processor has no bfloat16.
    """

    def __init__(self, path: Path, info: ModelInfo, threads: int, backend: str = "openvino") -> None:
        """`info` is what ONNX Runtime read of the model: OpenVINO does not keep ONNX's metadata.

        `backend` is openvino or openvino_bf16; a form has its own module.
        """
        self.backend = backend
        self.info = info
        bf16 = backend == "openvino_bf16"
        try:
            core = openvino.Core()
            if bf16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
                raise AbsentError(f"{self.backend}: this processor has no bfloat16")
            compiled = core.compile_model(
                core.read_model(path),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
                    "INFERENCE_NUM_THREADS": threads,
                    "PERFORMANCE_HINT": "LATENCY",
                    "NUM_STREAMS": 1,
                },
            )
            self._request = compiled.create_infer_request()
            self._input = CpuInput(info.side)
            self.tensor = self._input.tensor
            self._request.set_tensor("input", openvino.Tensor(self.tensor, shared_memory=True))
            self.tensor.fill(0)
            self._request.infer()  # the first run allocates
            dets, labels = (self._request.get_tensor(name).data for name in OUTPUTS)
        except RuntimeError as error:  # OpenVINO's exceptions are this one
            raise BackendError(f"{self.backend} cannot run {info.name}: {_last_line(error)}") from error
        self._outputs: tuple[Floats, Floats] = (dets[0], labels[0])

    def take(self, frame: Frame) -> None:
        self._input.take(frame)

    def detect(self) -> tuple[Floats, Floats]:
        try:
            self._request.infer()
        except RuntimeError as error:
            raise BackendError(f"{self.backend} has failed: {_last_line(error)}") from error
        return self._outputs

    def close(self) -> None:
        """Nothing to let go of: the request dies with this object."""


def _last_line(error: Exception) -> str:
    """Return what it is about: OpenVINO begins with where in its own sources it was."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
