"""An ONNX Runtime with CUDA, for machines without: their own runs the model, on what lies in the double's card."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from tests.inference.gpu.card import Card

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class CudaRuntime:
    """Stands for the module. `calls` are a session's, in their order, with what they were given."""

    __version__ = "1.31.1"
    cuda_version = "13.0"
    SessionOptions = onnxruntime.SessionOptions

    def __init__(self, card: Card) -> None:
        self.card = card
        self.calls: list[str] = []
        self.available = ["TensorrtExecutionProvider", CUDA, CPU]
        self.usable = True
        """Whether a session gets its CUDA; where not it has the CPU, without a word."""
        self.missing: list[str] = []
        self.takes_streams = True
        self.fault: Exception | None = None
        self.fails_at = ""
        self.options: dict[str, str] = {}

    def call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails_at and self.fault is not None:
            raise self.fault

    def get_available_providers(self) -> list[str]:
        return self.available

    def preload_dlls(self) -> None:
        self.call("preload_dlls")
        for library in self.missing:
            print(f"Failed to load {library}: {library}: cannot open shared object file: No such file or directory")
        if self.missing:
            print("Please follow https://onnxruntime.ai/docs/install/#cuda-and-cudnn to install CUDA.")

    def InferenceSession(  # noqa: N802 -- as ONNX Runtime's
        self, path: str, options: Any, *, providers: list[Any], enable_fallback: int
    ) -> _Session:
        self.call("InferenceSession")
        assert not enable_fallback
        (name, self.options), last = providers
        assert (name, last) == (CUDA, CPU)
        assert all(isinstance(value, str) for value in self.options.values())
        return _Session(self, onnxruntime.InferenceSession(path, options, providers=[CPU]))


class _Session:
    def __init__(self, runtime: CudaRuntime, real: Any) -> None:
        self._runtime, self._real = runtime, real

    def get_providers(self) -> list[str]:
        return [CUDA, CPU] if self._runtime.usable else [CPU]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        taken = dict(self._runtime.options)
        if not self._runtime.takes_streams:
            taken["user_compute_stream"] = "0"
        return {CUDA: taken, CPU: {}} if self._runtime.usable else {CPU: {}}

    def run(self, outputs: Any, feed: dict[str, Any]) -> Any:
        self._runtime.call("run")
        return self._real.run(outputs, feed)

    def io_binding(self) -> _Binding:
        self._runtime.call("io_binding")
        return _Binding(self._runtime)

    def run_with_iobinding(self, binding: _Binding) -> None:
        self._runtime.call("run_with_iobinding")
        if self._runtime.takes_streams:
            self._runtime.card.work_off()  # what lies in the stream before it goes first
        tensor = self._runtime.card.device[binding.pointer].view(np.float32).reshape(binding.shape)
        for place, found in zip(binding.outputs, self._real.run(list(binding.names), {"input": tensor}), strict=True):
            place[:] = found.reshape(-1)


class _Binding:
    def __init__(self, runtime: CudaRuntime) -> None:
        self._runtime = runtime
        self.names: list[str] = []
        self.outputs: list[Any] = []
        self.pointer = 0
        self.shape: tuple[int, ...] = ()

    def bind_input(self, name: str, place: str, number: int, kind: type, shape: tuple[int, ...], pointer: int) -> None:
        self._runtime.call("bind_input")
        assert (name, place, number, kind) == ("input", "cuda", 0, np.float32)
        assert self._runtime.card.device[pointer].size == 4 * np.prod(shape)
        self.pointer, self.shape = pointer, shape

    def bind_output(self, name: str, place: str, number: int, kind: type, shape: tuple[int, ...], pointer: int) -> None:
        self._runtime.call("bind_output")
        assert (place, number, kind) == ("cpu", 0, np.float32)
        self.names.append(name)
        self.outputs.append(np.ctypeslib.as_array((ctypes.c_float * int(np.prod(shape))).from_address(pointer)))
