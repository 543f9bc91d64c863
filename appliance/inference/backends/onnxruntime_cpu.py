"""ONNX Runtime on the CPU: the backend that is always there, and what the others are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from appliance.inference.contract import CONTRACT, OUTPUTS, read
from appliance.inference.cpu_input import CpuInput
from appliance.inference.detector import BackendError, ModelError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.messages import Floats, Frame

VERSION: str = onnxruntime.__version__


class OnnxRuntimeCpu:
    """One inference session, whose input and outputs lie in buffers that are made once.

    ModelError: the file is no model, or answers another contract.
    """

    backend = "onnxruntime"

    def __init__(self, path: Path, threads: int) -> None:
        """`threads` inside one operator."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take the cores that the other stages need between frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each way, with nothing in common
            raise ModelError(f"{path} is not an ONNX model: {first_line(error)}; expected {CONTRACT}") from error
        self.info = read(path, self._session)
        self._input = CpuInput(self.info.side)
        self.tensor = self._input.tensor
        self._binding, self._outputs = self._bound()

    def take(self, frame: Frame) -> None:
        self._input.take(frame)

    def detect(self) -> tuple[Floats, Floats]:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:
            raise BackendError(f"onnxruntime has failed: {first_line(error)}") from error
        return self._outputs

    def close(self) -> None:
        """Nothing to let go of: the session dies with this object."""

    def _bound(self) -> tuple[Any, tuple[Floats, Floats]]:
        """Run once on grey, which allocates and tells the outputs' sizes; then give the session buffers to keep to."""
        self.tensor.fill(0)
        try:
            dets, labels = self._session.run(OUTPUTS, {"input": self.tensor})
        except Exception as error:
            raise ModelError(f"{self.info.name} does not run: {first_line(error)}") from error
        binding = self._session.io_binding()
        binding.bind_input("input", "cpu", 0, np.float32, self.tensor.shape, self.tensor.ctypes.data)
        for name, array in zip(OUTPUTS, (dets, labels), strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding, (dets[0], labels[0])
