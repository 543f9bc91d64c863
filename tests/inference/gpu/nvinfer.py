"""A TensorRT for machines without: ONNX Runtime runs the model, on what lies in the double's card.

Its calls go through the card's: whichever of them is to fail does so as TensorRT does, which returns None or False and
tells the logger why. An engine is the model's file behind a line that says which TensorRT has built it.
"""

from __future__ import annotations

import enum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from tests.inference.gpu.card import STREAM, CUDADriverError, CUDARuntimeError, Work

if TYPE_CHECKING:
    from tests.inference.gpu.card import Card

OUTPUTS = ("dets", "labels")
STEPS = 4


class Severity(enum.Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class ILogger:
    Severity = Severity


class IProgressMonitor:
    pass


class Flag(enum.IntEnum):
    EXPLICIT_BATCH, STRONGLY_TYPED = range(2)


def complaint(name: str, error: Exception) -> str:
    """Return what its logger hears of a failure."""
    return f"[{name}] Error Code 1: Cuda Runtime ({error})\nand where"


class TensorRt:
    """Stands for the module. `version` is also what its engines are of."""

    ILogger = ILogger
    IProgressMonitor = IProgressMonitor
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    NetworkDefinitionCreationFlag = Flag
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")
    DataType = SimpleNamespace(FLOAT="float", HALF="half")

    def __init__(self, card: Card, version: str = "11.4.0.106") -> None:
        self.card = card
        self.__version__ = version
        self.built = 0
        self.workspace = 0

    def Builder(self, logger: Any) -> _Builder:  # noqa: N802 -- as TensorRT's
        if not self.asked("Builder", logger):  # what pybind11 makes of a null pointer
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return _Builder(self, logger)

    def OnnxParser(self, network: _Network, logger: Any) -> _Parser:  # noqa: N802 -- likewise
        return _Parser(self, network, logger)

    def Runtime(self, logger: Any) -> _Runtime:  # noqa: N802 -- likewise
        if not self.asked("Runtime", logger):
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return _Runtime(self, logger)

    def asked(self, name: str, logger: Any) -> bool:
        """Note the call. Return False where it is to fail, which the logger hears of."""
        try:
            self.card.call(name)
        except (CUDARuntimeError, CUDADriverError) as error:
            logger.log(Severity.WARNING, "what does not matter")
            logger.log(Severity.ERROR, complaint(name, error))
            return False
        return True

    @property
    def stamp(self) -> bytes:
        return f"engine of {self.__version__}\n".encode()


class _Network:
    model = b""


class _Config:
    def __init__(self, module: TensorRt) -> None:
        self._module = module
        self.progress_monitor: Any = None

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        assert pool == TensorRt.MemoryPoolType.WORKSPACE
        self._module.workspace = pool_size


class _Builder:
    def __init__(self, module: TensorRt, logger: Any) -> None:
        self._module, self._logger = module, logger

    def create_network(self, flags: int = 0) -> _Network:
        assert flags == 1 << Flag.STRONGLY_TYPED
        return _Network()

    def create_builder_config(self) -> _Config:
        return _Config(self._module)

    def build_serialized_network(self, network: _Network, config: _Config) -> bytes | None:
        monitor = config.progress_monitor
        monitor.phase_start("Building", None, STEPS)
        for step in range(STEPS):
            monitor.phase_start("Tactics", "Building", 2)
            monitor.step_complete("Tactics", 0)
            if not self._module.asked("build_serialized_network", self._logger):
                return None
            monitor.phase_finish("Tactics")
            assert monitor.step_complete("Building", step)
        monitor.phase_finish("Building")
        self._module.built += 1
        return self._module.stamp + network.model


class _Parser:
    def __init__(self, module: TensorRt, network: _Network, logger: Any) -> None:
        self._module, self._network, self._logger = module, network, logger
        self._errors: list[str] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: self._errors[index])

    def parse_from_file(self, model: str) -> bool:
        if not self._module.asked("parse_from_file", self._logger):
            self._errors.append("In node 7 with name: and operator: Odd (importOdd): UNSUPPORTED_NODE")
            return False
        self._network.model = Path(model).read_bytes()
        return True


class _Runtime:
    def __init__(self, module: TensorRt, logger: Any) -> None:
        self._module, self._logger = module, logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> _Engine | None:
        if not self._module.asked("deserialize_cuda_engine", self._logger):
            return None
        if not serialized_engine.startswith(self._module.stamp):
            self._logger.log(Severity.ERROR, "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (version)")
            return None
        return _Engine(self._module, self._logger, serialized_engine.removeprefix(self._module.stamp))


class _Engine:
    def __init__(self, module: TensorRt, logger: Any, model: bytes) -> None:
        self._module, self._logger = module, logger
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        tensors = (*self.session.get_inputs(), *self.session.get_outputs())
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in tensors}

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "input" else "out"

    def get_tensor_dtype(self, name: str) -> str:
        return "float" if self._tensors[name].type == "tensor(float)" else "half"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self._tensors[name].shape)

    def create_execution_context(self) -> _Context | None:
        return _Context(self) if self.asked("create_execution_context") else None

    def asked(self, name: str) -> bool:
        return self._module.asked(name, self._logger)

    @property
    def card(self) -> Card:
        return self._module.card


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._places: dict[str, int] = {}

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert self._engine.card.device[memory].size >= 4 * np.prod(self._engine.get_tensor_shape(name))
        self._places[name] = memory
        return self._engine.asked("set_tensor_address")

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle == STREAM
        assert len(self._places) == self._engine.num_io_tensors, "TensorRT reads and writes them all"
        if not self._engine.asked("execute_async_v3"):
            return False
        self._engine.card.keep(Work(self._run, tuple(self._places.values())))
        return True

    def _run(self) -> None:
        card, shape = self._engine.card, self._engine.get_tensor_shape("input")
        tensor = card.device[self._places["input"]].view(np.float32).reshape(shape)
        for name, array in zip(OUTPUTS, self._engine.session.run(list(OUTPUTS), {"input": tensor}), strict=True):
            card.device[self._places[name]][:] = array.reshape(-1).view(np.uint8)
