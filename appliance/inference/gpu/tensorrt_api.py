"""TensorRT's Python bindings, as far as they are used here.

Each name is as NVIDIA's "TensorRT Python API Reference" has it in 11.4.1; it was held against the signatures that the
bindings 10.3.0, 10.16.1 and 11.4.0 tell of themselves. Nothing else of TensorRT is called.
"""

from __future__ import annotations

import importlib
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from appliance.inference.detector import AbsentError, BackendError, first_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

INSTALL = "pip install 'tensorrt-cu13>=10.3,<12'"
OLDEST = (10, 3)
"""JetPack 6's. All that is used is there, and strongly typed networks are no preview any more."""
_MOST_COMPLAINTS = 32


class HostMemory(Protocol):
    """IHostMemory: has the buffer protocol (`bytes(memory)`)."""

    @property
    def nbytes(self) -> int: ...


class ParserError(Protocol):
    def desc(self) -> str: ...


class Parser(Protocol):
    """OnnxParser."""

    @property
    def num_errors(self) -> int: ...
    def get_error(self, index: int) -> ParserError: ...
    def parse_from_file(self, model: str) -> bool: ...


class BuilderConfig(Protocol):
    """IBuilderConfig."""

    progress_monitor: Any

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None: ...


class Builder(Protocol):
    def create_network(self, flags: int = 0) -> Any: ...
    def create_builder_config(self) -> BuilderConfig: ...
    def build_serialized_network(self, network: Any, config: BuilderConfig) -> HostMemory | None: ...


class Context(Protocol):
    """IExecutionContext."""

    def set_tensor_address(self, name: str, memory: int) -> bool: ...
    def execute_async_v3(self, stream_handle: int) -> bool: ...


class Engine(Protocol):
    """ICudaEngine."""

    @property
    def num_io_tensors(self) -> int: ...
    def get_tensor_name(self, index: int) -> str: ...
    def get_tensor_mode(self, name: str) -> Any: ...
    def get_tensor_dtype(self, name: str) -> Any: ...
    def get_tensor_shape(self, name: str) -> Sequence[int]: ...
    def create_execution_context(self) -> Context | None: ...


class Runtime(Protocol):
    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None: ...


class Api(Protocol):
    """The module."""

    __version__: str
    ILogger: Any
    """A class to inherit from, whose `log(severity, msg)` is called; ILogger.Severity has ERROR and INTERNAL_ERROR."""
    IProgressMonitor: Any
    """A class to inherit from: phase_start(phase_name, parent_phase, num_steps), step_complete(phase_name, step), which
    says whether to go on, and phase_finish(phase_name)."""
    MemoryPoolType: Any
    """Has WORKSPACE."""
    NetworkDefinitionCreationFlag: Any
    """Has STRONGLY_TYPED, the number of a bit."""
    TensorIOMode: Any
    """Has INPUT and OUTPUT."""
    DataType: Any
    """Has FLOAT."""

    def Builder(self, logger: Any) -> Builder: ...  # noqa: N802 -- TensorRT's name
    def OnnxParser(self, network: Any, logger: Any) -> Parser: ...  # noqa: N802 -- likewise
    def Runtime(self, logger: Any) -> Runtime: ...  # noqa: N802 -- likewise


def load() -> Api:
    """Return the module. AbsentError: it is not installed. BackendError: it is, and cannot be used."""
    try:
        api = cast("Api", importlib.import_module("tensorrt"))
    except ModuleNotFoundError as error:
        if error.name == "tensorrt":
            raise AbsentError(f"TensorRT is not installed: {INSTALL}") from None
        raise BackendError(f"TensorRT cannot be loaded ({first_line(error)}): {INSTALL}") from None
    except (ImportError, OSError) as error:  # the bindings are there, and what they bind is not
        raise BackendError(
            f"libnvinfer not found: install TensorRT's libraries, of its bindings' version ({first_line(error)})"
        ) from None
    if _number(api.__version__) < OLDEST:
        raise BackendError(f"TensorRT {api.__version__} is too old: it takes {'.'.join(map(str, OLDEST))} or newer")
    return api


class Complaints:
    """What TensorRT says of errors. It writes on our standard output by itself, and a trial's is its result."""

    def __init__(self, api: Api) -> None:
        errors = (api.ILogger.Severity.INTERNAL_ERROR, api.ILogger.Severity.ERROR)
        lines = self._lines = deque[str](maxlen=_MOST_COMPLAINTS)  # it may complain of what it gets over, for months

        class Logger(api.ILogger):  # type: ignore[misc,name-defined]  # the class is known when TensorRT is loaded
            def log(self, severity: Any, msg: str) -> None:
                if severity in errors:
                    lines.append(msg)

        self.logger = Logger()

    def first(self) -> str:
        """Return the first since the last time somebody asked: later ones follow from it."""
        said = self._lines[0].strip() if self._lines else "it does not say why"
        self._lines.clear()
        return said.splitlines()[0][:300] if said else "it does not say why"


def complaints_of(api: Api) -> Complaints:
    """Return the process's one: TensorRT keeps the logger that it was given first, and may use it for ever."""
    return _complaints_of(cast("Hashable", api))


@cache
def _complaints_of(api: Any) -> Complaints:
    return Complaints(api)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
