"""ONNX Runtime on an NVIDIA card. The frame's way into the tensor is ours, on the same stream as the model."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from appliance.inference.contract import OUTPUTS
from appliance.inference.detector import AbsentError, BackendError, first_line
from appliance.inference.gpu.cuda_input import CudaInput
from appliance.inference.gpu.cupy_device import open_device

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import ModelInfo
    from appliance.messages import Floats, Frame

PROVIDER = "CUDAExecutionProvider"
REINSTALL = "pip install --force-reinstall --no-deps onnxruntime-gpu"
"""`onnxruntime` and `onnxruntime-gpu` are two distributions of one module: the one installed last is there (ONNX
Runtime's issues 7748 and 26996; tried with 1.32.0 and 1.31.1), and uninstalling one takes the other's files."""
LIBRARIES = "pip install 'onnxruntime-gpu[cuda,cudnn]'"


class OnnxRuntimeCuda:
    """One inference session on the first card. Its input never leaves the card; its outputs come to this memory.

    AbsentError: no card, or no ONNX Runtime for one. BackendError: there are, and the card cannot run this model.
    """

    backend = "onnxruntime_cuda"

    def __init__(self, path: Path, info: ModelInfo) -> None:
        """`info` is what the reference has read of the model."""
        self.info = info
        missing = _loaded()
        self._device = open_device()
        self._input = CudaInput(self._device, info.side)
        self._failure = ""
        stream = self._device.stream
        try:
            self._session = _session(path, stream)
            if self._session.get_providers()[0] == PROVIDER:
                self._binding, self._outputs = self._bound()
        except Exception as error:  # onnxruntime has a class for each way, with nothing in common
            raise BackendError(f"{self.backend} cannot run {info.name}: {first_line(error)}") from error
        if self._session.get_providers()[0] != PROVIDER:  # it would use the CPU, without a word
            raise BackendError(f"{self.backend}: ONNX Runtime cannot use CUDA ({missing or 'it does not say why'})")
        # A stream of ONNX Runtime's own would not wait for ours.
        self._one_stream = self._session.get_provider_options()[PROVIDER].get("user_compute_stream") == str(stream)

    def take(self, frame: Frame) -> None:
        """As Detector has it. That the card has failed is for `detect` to tell."""
        try:
            self._input.take(frame)
        except BackendError as error:
            self._failure = str(error)  # and not the error, whose traceback would hold on to the frame

    def detect(self) -> tuple[Floats, Floats]:
        if self._failure:
            raise BackendError(f"{self.backend} has failed: {self._failure}")
        if not self._one_stream:
            self._device.synchronise()
        try:
            self._session.run_with_iobinding(self._binding)  # returns when the outputs are there
        except Exception as error:
            raise BackendError(f"{self.backend} has failed: {first_line(error)}") from error
        return self._outputs

    def close(self) -> None:
        """Give the card's memory back, first what lies on the others."""
        del self._binding, self._session
        self._input.close()

    def _bound(self) -> tuple[Any, tuple[Floats, Floats]]:
        """Run once on grey, which allocates and tells the outputs' sizes; then bind the card's memory and ours."""
        shape = (1, 3, self.info.side, self.info.side)
        dets, labels = self._session.run(OUTPUTS, {"input": np.zeros(shape, np.float32)})
        binding = self._session.io_binding()
        binding.bind_input("input", "cuda", 0, np.float32, shape, self._input.pointer)
        for name, array in zip(OUTPUTS, (dets, labels), strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding, (dets[0], labels[0])


def _loaded() -> str:
    """Load CUDA's libraries for ONNX Runtime. Return which is missing and what would bring it; empty where none is.

    AbsentError: this ONNX Runtime was built without CUDA. BackendError: and one with CUDA lies beneath it.
    """
    version = onnxruntime.__version__
    if PROVIDER not in onnxruntime.get_available_providers():
        kind = BackendError if list(importlib.metadata.distributions(name="onnxruntime-gpu")) else AbsentError
        raise kind(
            f"{OnnxRuntimeCuda.backend}: the ONNX Runtime that is installed ({version}) was built without CUDA: "
            f"{REINSTALL} (it and onnxruntime are one module; the one installed last is there)"
        )
    # onnxruntime.preload_dlls, since 1.21: out of NVIDIA's packages (its extras `cuda` and `cudnn`), or the system's.
    # It prints, and a trial's standard output is its result.
    with contextlib.redirect_stdout(io.StringIO()) as said:
        onnxruntime.preload_dlls()
    missing = [line.partition(": ")[2] for line in said.getvalue().splitlines() if line.startswith("Failed to load ")]
    cuda = getattr(onnxruntime, "cuda_version", "")
    return f"{missing[0]}; {version} needs CUDA {cuda} and cuDNN 9: {LIBRARIES}" if missing else ""


def _session(path: Path, stream: int) -> Any:
    providers = [(PROVIDER, _provider_options(stream)), "CPUExecutionProvider"]
    # By itself it would fall back to the CPU after an error, and say so on our standard output.
    return onnxruntime.InferenceSession(str(path), _options(), providers=providers, enable_fallback=0)


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # what is left to the CPU are sums with shapes
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _provider_options(stream: int) -> dict[str, str]:
    """As ONNX Runtime's page "CUDA Execution Provider" has them; its libraries 1.31.1 know these names."""
    return {
        "device_id": "0",
        "user_compute_stream": str(stream),
        "do_copy_in_default_stream": "1",  # the outputs' way back is on the same stream, too
        "use_tf32": "0",  # 10 bits of fraction: this backend is one of the exact
        "arena_extend_strategy": "kSameAsRequested",  # the card may be somebody's screen: no memory to spare
    }
