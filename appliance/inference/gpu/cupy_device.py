"""A card through CuPy. Each of its calls is as CuPy 14.2's documentation has it, and its wheel for CUDA 12.

The first card is used; CUDA_VISIBLE_DEVICES says which that is.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.inference.detector import AbsentError, BackendError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appliance.inference.gpu.device import Device, Memory
    from appliance.inference.rfdetr import Bytes

INSTALL = "pip install 'cupy-cuda13x[ctk]>=14.2'"
_NO_DEVICE = 100
"""cudaErrorNoDevice; CUDA Toolkit 13.0, Runtime API, "Data types"."""
_INSUFFICIENT_DRIVER = 35
"""cudaErrorInsufficientDriver, likewise. CUDA says so too where there is no driver at all."""


class CupyDevice:
    """The first card, and a stream of its own."""

    def __init__(self) -> None:
        """AbsentError: there is no CuPy, no driver or no card here. BackendError: the card cannot be used."""
        self._cupy = _imported()
        runtime = self._cupy.cuda.runtime
        with _in_words("looking for a card"):
            # cupy.cuda.runtime.getDeviceCount, v14.2: raises CUDARuntimeError, whose `status` is CUDA's number
            try:
                count = runtime.getDeviceCount()
            except runtime.CUDARuntimeError as error:
                raise _no_card(error, runtime) from None
        if not count:
            raise AbsentError("no CUDA device: the driver has none")
        with _in_words("opening the card"):
            self._cupy.cuda.Device(0).use()  # cupy.cuda.Device.use, v14.2: for this thread
            # cupy.cuda.Stream, v14.2; non_blocking: it does not wait for the default stream, nor that for it
            self._stream = self._cupy.cuda.Stream(non_blocking=True)

    @property
    def stream(self) -> int:
        return int(self._stream.ptr)  # cupy.cuda.Stream.ptr, v14.2: "Raw stream handle"

    def compile(self, source: str, name: str) -> Any:
        with _in_words("compiling its kernel"):
            function = self._cupy.RawKernel(source, name)  # cupy.RawKernel, v14.2; by NVRTC
            function.compile()  # cupy.RawKernel.compile, v14.2: now, and not at the first frame
        return function

    def allocate(self, size: int) -> Memory:
        with _in_words(f"asking for {size} bytes of its memory"):
            # cupy.cuda.Memory, v14.2: cudaMalloc, and cudaFree with its last reference. CuPy's pool would keep it.
            return _Block(self._cupy.cuda.Memory(size))

    def pin(self, size: int) -> Bytes:
        with _in_words(f"asking for {size} bytes of pinned memory"):
            # cupy.cuda.PinnedMemory and PinnedMemoryPointer (which has the buffer protocol), v14.2
            return np.frombuffer(
                self._cupy.cuda.PinnedMemoryPointer(self._cupy.cuda.PinnedMemory(size), 0), np.uint8, size
            )

    def upload(self, target: Memory, source: Bytes) -> None:
        runtime = self._cupy.cuda.runtime
        with _in_words("copying a frame to it"):
            # cupy.cuda.runtime.memcpyAsync(dst, src, size, kind, stream), v14.2
            runtime.memcpyAsync(
                target.pointer, source.ctypes.data, source.nbytes, runtime.memcpyHostToDevice, self._stream.ptr
            )

    def download(self, target: Bytes, source: Memory) -> None:
        runtime = self._cupy.cuda.runtime
        with _in_words("copying an answer from it"):
            runtime.memcpyAsync(
                target.ctypes.data, source.pointer, target.nbytes, runtime.memcpyDeviceToHost, self._stream.ptr
            )

    def launch(
        self, function: Any, grid: tuple[int, int], block: tuple[int, int], arguments: Sequence[np.generic]
    ) -> None:
        with _in_words("starting its kernel"), self._stream:  # cupy.RawKernel takes the current stream, v14.2
            function(grid, block, tuple(arguments))  # cupy.RawKernel.__call__, v14.2; NumPy scalars keep their size

    def synchronise(self) -> None:
        with _in_words("waiting for it"):
            self._stream.synchronize()  # cupy.cuda.Stream.synchronize, v14.2


class _Block:
    """A piece of the card's memory."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    @property
    def pointer(self) -> int:
        return int(self._memory.ptr)  # cupy.cuda.Memory.ptr, v14.2


def open_device() -> Device:
    """Return the card. AbsentError and BackendError as CupyDevice has them."""
    return CupyDevice()


def _imported() -> Any:
    # The compiled kernel would be kept in the home folder, and an appliance may have none that can be written.
    # (CuPy v14.2, "Environment variables")
    os.environ.setdefault("CUPY_CACHE_IN_MEMORY", "1")
    try:
        return importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            raise AbsentError(f"CuPy is not installed: {INSTALL}") from None
        raise AbsentError(f"CuPy cannot be loaded ({first_line(error)}): {INSTALL}") from None
    except ImportError as error:  # of a wheel for another CUDA or another Python
        raise AbsentError(f"CuPy cannot be loaded ({first_line(error)})") from None


def _no_card(error: Any, runtime: Any) -> BackendError:
    """Return why there is no card, in words."""
    if error.status == _NO_DEVICE:
        return AbsentError(f"no CUDA device: {first_line(error)}")
    if error.status != _INSUFFICIENT_DRIVER:
        return BackendError(f"the graphics card cannot be used: {first_line(error)}")
    # cupy.cuda.runtime.driverGetVersion and runtimeGetVersion, v14.2: 1000 * major + 10 * minor; 0 without a driver
    there, wanted = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if not there:
        return AbsentError("no CUDA device: NVIDIA's driver is not installed, or was not passed into this container")
    return BackendError(
        f"NVIDIA's driver is too old: it has CUDA {_version(there)}, and CuPy was built for {_version(wanted)}"
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


@contextlib.contextmanager
def _in_words(doing: str) -> Iterator[None]:
    """Make a BackendError of whatever CuPy raises: it has several classes, and they have nothing in common."""
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"the graphics card has failed while {doing}: {first_line(error)}") from error
