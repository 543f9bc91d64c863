"""Builds TensorRT's engine of an ONNX file. TensorRT 11 computes as the file says, and 10 does so where it is asked to.

So precision is the file's matter: float16 by `half`, int8 by the nodes that `porchlight model quantize` has put in.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from appliance.inference.detector import BackendError, first_line
from appliance.inference.gpu.cupy_device import open_device
from appliance.inference.gpu.half import half
from appliance.inference.gpu.tensorrt_api import complaints_of, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appliance.inference.gpu.tensorrt_api import Api

WORKSPACE_BYTES = 1 << 30
"""For the kernels' own needs. TensorRT would take all of the card, and a Jetson's is this machine's own memory."""
TYPED = "typed.onnx"
_TOLD_STEP = 0.05


def built(source: Path, folder: Path, tell: Callable[[float], None]) -> bytes:
    """Return the engine of `source`, a model in float32 or its int8 form; `folder` is for what is needed meanwhile.

    AbsentError: there is no card, or no TensorRT. BackendError: it cannot build this, in its words.
    """
    open_device()  # it says best what is missing; and TensorRT uses the card that was chosen there
    api = load()
    typed = folder / TYPED
    try:
        half(source, typed)
        return _built(api, typed, tell)
    except BackendError:
        raise
    except Exception as error:  # the bindings raise TypeError where TensorRT returned nothing
        raise BackendError(f"TensorRT cannot build an engine of {source.name}: {first_line(error)}") from error
    finally:
        typed.unlink(missing_ok=True)


def _built(api: Api, typed: Path, tell: Callable[[float], None]) -> bytes:
    complaints = complaints_of(api)
    builder = api.Builder(complaints.logger)
    network = builder.create_network(1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = api.OnnxParser(network, complaints.logger)
    if not parser.parse_from_file(str(typed)):
        why = parser.get_error(0).desc() if parser.num_errors else complaints.first()
        raise BackendError(f"TensorRT {api.__version__} cannot read the model: {why[:300]}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.progress_monitor = _monitor(api, Progress(tell))
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise BackendError(f"TensorRT {api.__version__} cannot build the engine: {complaints.first()}")
    return bytes(engine)  # type: ignore[call-overload,no-any-return]  # IHostMemory has the buffer protocol


class Progress:
    """How much is done, of phases within phases: a phase's step is as far as the phase that was begun in it.

    `tell` hears of each twentieth. TensorRT calls this from several threads.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._told = 0.0
        self._phases: dict[str, _Phase] = {}
        self._lock = threading.Lock()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        with self._lock:
            self._end(name)
            self._phases[name] = _Phase(parent if parent in self._phases else None, max(1, steps))

    def step(self, name: str, step: int) -> None:
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
            self._report()

    def finish(self, name: str) -> None:
        with self._lock:
            self._end(name)

    def _end(self, name: str) -> None:
        """Forget it, and what was begun in it: so no phase lies within itself, whatever is reported."""
        if self._phases.pop(name, None) is not None:
            for one in [one for one, other in self._phases.items() if other.parent == name]:
                self._end(one)

    def _report(self) -> None:
        """Tell how far the outermost phase is."""
        outermost = next(iter(self._phases), "")
        done = self._share(outermost)
        if done >= self._told + _TOLD_STEP:
            self._told = done
            self._tell(done)

    def _share(self, name: str) -> float:
        if name not in self._phases:
            return 0.0
        phase = self._phases[name]
        within = max((self._share(one) for one, other in self._phases.items() if other.parent == name), default=0.0)
        return min(1.0, (phase.done + within) / phase.steps)


class _Phase:
    def __init__(self, parent: str | None, steps: int) -> None:
        self.parent, self.steps, self.done = parent, steps, 0


def _monitor(api: Api, progress: Progress) -> Any:
    class Monitor(api.IProgressMonitor):  # type: ignore[misc,name-defined]  # known when TensorRT is loaded
        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress.step(phase_name, step)
            return True

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    return Monitor()
