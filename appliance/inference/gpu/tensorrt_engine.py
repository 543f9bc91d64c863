"""An engine that is loaded: what it reads lies on the card already, what it answers comes to this memory."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import numpy as np

from appliance.inference.contract import OUTPUTS
from appliance.inference.detector import BackendError, EngineError, first_line
from appliance.inference.gpu.tensorrt_api import complaints_of, load

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.detector import ModelInfo
    from appliance.inference.gpu.device import Device, Memory
    from appliance.inference.gpu.tensorrt_api import Api, Engine
    from appliance.messages import Floats

_WIDEST = 8
"""Bytes of an element of TensorRT's largest types."""


_CARDS_FAULT = re.compile(r"cudaError|CUDA_ERROR|Cuda (?:Runtime|Driver)|out ?of ?memory", re.IGNORECASE)


class LoadedEngine:
    """The engine, and the card's memory for its outputs. BackendError from any call: it has failed, and why."""

    def __init__(self, path: Path, info: ModelInfo, device: Device, tensor: int) -> None:
        """`tensor` is where the input lies on the card: float32 [1, 3, side, side].

        AbsentError: there is no TensorRT. EngineError: this TensorRT or this card cannot take the engine.
        """
        api = load()
        self._device = device
        self._complaints = complaints_of(api)
        try:
            plan = path.read_bytes()
        except OSError as error:
            raise EngineError(f"{path}: {error.strerror}") from None
        try:
            self._prepare(api, path, plan, info, tensor)
        except BackendError:
            raise
        except Exception as error:  # the bindings raise TypeError where TensorRT returned nothing
            raise BackendError(f"TensorRT cannot be used ({first_line(error)}): {self._complaints.first()}") from error

    def run(self) -> tuple[Floats, Floats]:
        """Run it on what lies in the input; return dets and labels, which the next call overwrites."""
        if not self._context.execute_async_v3(self._device.stream):
            raise BackendError(self._complaints.first())
        for name in OUTPUTS:
            self._device.download(self._here[name], self._there[name])
        self._device.synchronise()
        dets, labels = (self._here[name].view(np.float32).reshape(self._shapes[name])[0] for name in OUTPUTS)
        return dets, labels

    def close(self) -> None:
        """Let go of it, what needs the others first: when the card has done its work, or cannot do it any more."""
        with contextlib.suppress(BackendError):
            self._device.synchronise()
        del self._context, self._engine, self._runtime
        del self._there, self._here

    def _prepare(self, api: Api, path: Path, plan: bytes, info: ModelInfo, tensor: int) -> None:
        self._runtime = api.Runtime(self._complaints.logger)
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            why = self._complaints.first()
            # A card that is full or lost says nothing of the engine, which took minutes to build.
            kind = BackendError if _CARDS_FAULT.search(why) else EngineError
            raise kind(f"TensorRT {api.__version__} cannot load {path}: {why}")
        _demand_contract(api, engine, info)
        self._engine = engine
        self._shapes = {name: shape for name, shape in _shapes(engine).items() if name != "input"}
        context = engine.create_execution_context()
        if context is None:
            raise BackendError(f"TensorRT cannot prepare the engine: {self._complaints.first()}")
        self._context = context
        sizes = {
            name: int(np.prod(shape)) * (4 if name in OUTPUTS else _WIDEST) for name, shape in self._shapes.items()
        }
        # TensorRT writes every output, also one that nobody asks for.
        self._there: dict[str, Memory] = {name: self._device.allocate(size) for name, size in sizes.items()}
        self._here = {name: self._device.pin(sizes[name]) for name in OUTPUTS}
        for name, pointer in (("input", tensor), *((name, memory.pointer) for name, memory in self._there.items())):
            if not context.set_tensor_address(name, pointer):
                raise BackendError(f"TensorRT does not take the memory for '{name}': {self._complaints.first()}")


def _shapes(engine: Engine) -> dict[str, tuple[int, ...]]:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return {name: tuple(engine.get_tensor_shape(name)) for name in names}


def _demand_contract(api: Api, engine: Engine, info: ModelInfo) -> None:
    """Hold the engine against the model it was built of. EngineError: it is another's."""
    shapes = _shapes(engine)
    inputs = [name for name in shapes if engine.get_tensor_mode(name) == api.TensorIOMode.INPUT]
    ours = [name for name in shapes if name in {"input", *OUTPUTS}]
    in_float = all(engine.get_tensor_dtype(name) == api.DataType.FLOAT for name in ours)
    _, queries, columns = (*shapes.get("labels", ()), 0, 0, 0)[:3]
    wanted = {"input": (1, 3, info.side, info.side), "dets": (1, queries, 4), "labels": (1, queries, columns)}
    if (
        inputs != ["input"]
        or not in_float
        or any(shapes.get(name) != shape for name, shape in wanted.items())
        or any(size < 1 for shape in shapes.values() for size in shape)
        or queries != (info.queries or queries)
        or columns != (info.columns or columns)
    ):
        asked = f"{info.side} pixels, {info.queries} queries and {info.columns} columns"
        raise EngineError(f"the engine is not this model's: it has {shapes}, and the model {asked}")
