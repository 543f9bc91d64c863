"""A double of OpenVINO: ONNX Runtime behind the few calls that Porchlight makes, and a fault where it is asked for.

Put this folder's parent before the real one (PYTHONPATH). The variable OPENVINO_DOUBLE says what happens and where:
`abort@compile_model`, `hang@infer:20` (at the 20th), `raise@read_model`, `wrong@infer`; empty: it works.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import onnxruntime

__version__ = "0.double"
NAMES = ("dets", "labels")


def _fault(place: str, count: int = 1) -> bool:
    what, _, where = os.environ.get("OPENVINO_DOUBLE", "").partition("@")
    where, _, number = where.partition(":")
    if where != place or count < int(number or 1):
        return False
    if what == "abort":
        os.abort()
    if what == "hang":
        time.sleep(3600)
    if what == "raise":
        raise RuntimeError(f"Exception from src/core.cpp:1:\nthe double was told to fail at {place}\n")
    return what == "wrong"


class Tensor:
    def __init__(self, array: Any, *, shared_memory: bool = False) -> None:
        assert shared_memory
        self.data = array


class Core:
    def __init__(self) -> None:
        _fault("Core")

    def get_property(self, device: str, name: str) -> list[str]:
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return ["FP32", "BF16"]

    def read_model(self, path: Any) -> Any:
        _fault("read_model")
        return path

    def compile_model(self, model: Any, device: str, settings: dict[str, Any]) -> _Compiled:
        assert device == "CPU"
        assert set(settings) == {
            "INFERENCE_PRECISION_HINT",
            "INFERENCE_NUM_THREADS",
            "PERFORMANCE_HINT",
            "NUM_STREAMS",
        }
        _fault("compile_model")
        return _Compiled(model)


class _Compiled:
    def __init__(self, model: Any) -> None:
        self._session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])

    def create_infer_request(self) -> _Request:
        _fault("create_infer_request")
        return _Request(self._session)


class _Request:
    def __init__(self, session: Any) -> None:
        self._session = session
        self._count = 0
        self._outputs: dict[str, Tensor] = {}

    def set_tensor(self, name: str, tensor: Tensor) -> None:
        assert name == "input"
        self._input = tensor.data

    def infer(self) -> None:
        self._count += 1
        wrong = _fault("infer", self._count)
        for name, array in zip(NAMES, self._session.run(NAMES, {"input": self._input}), strict=True):
            kept = self._outputs.setdefault(name, Tensor(np.empty_like(array), shared_memory=True))
            kept.data[...] = np.flip(array) if wrong else array

    def get_tensor(self, name: str) -> Tensor:
        return self._outputs[name]
