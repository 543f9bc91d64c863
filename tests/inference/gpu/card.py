"""A card in this machine's memory, and a `cupy` that drives it: what our code asks of CuPy, done as CUDA would.

It is lazy, as a card is: what lies in the stream is done when somebody waits for it. So bytes that were overwritten too
early arrive overwritten; that, and memory that is given back while the stream still needs it, is noted in `wrongs`.
"""

from __future__ import annotations

import ctypes
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from appliance.inference.cpu_input import CpuInput
from appliance.inference.gpu.cuda_input import BLOCK
from appliance.messages import Frame, FrameInfo, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STREAM = 0x5EED
HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2
POISON = 0xCD


class CUDARuntimeError(RuntimeError):
    """As CuPy's: `status` is CUDA's number."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class CUDADriverError(RuntimeError):
    """As CuPy's, which has no common ancestor with the other."""


# Made anew each time: an error that lives on would keep with its traceback what was alive where it was raised.
NO_MEMORY = partial(CUDARuntimeError, 2, "cudaErrorMemoryAllocation: out of memory")
LOST = partial(CUDARuntimeError, 719, "cudaErrorLaunchFailure: unspecified launch failure")
NOT_STARTED = partial(CUDADriverError, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: too many resources requested for launch")


class Work(NamedTuple):
    """Something that lies in the stream, and the memory it needs."""

    do: Callable[[], None]
    needs: tuple[int, ...]


class Card:
    """One card. `calls` are those that reached it, in their order; the one numbered `fails_at` raises a `fault`."""

    def __init__(self, kernel: Callable[..., None]) -> None:
        self.calls: list[str] = []
        self.wrongs: list[str] = []
        self.fails_at: int | None = None
        self.fault: Callable[[], Exception] = LOST
        self.for_good = True
        """After the fault every call fails, as after most of CUDA's errors."""
        self.count, self.driver, self.runtime = 1, 13000, 12090
        self.device: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.current = 0
        self.kernel = kernel
        self._queue: list[Work] = []
        self.cupy = self._module()

    def call(self, name: str) -> None:
        number = len(self.calls)
        self.calls.append(name)
        if self.fails_at is None or number < self.fails_at or (number > self.fails_at and not self.for_good):
            return
        if self.for_good:
            self._queue.clear()  # what a lost card was asked for is never done
        raise self.fault()

    def floats(self, pointer: int, side: int) -> Any:
        """Return what is in a tensor of the card's memory, float32 [1, 3, side, side], as it is at this moment."""
        return self.device[pointer].view(np.float32).reshape(1, 3, side, side).copy()

    def work_off(self) -> None:
        """Do what lies in the stream."""
        while self._queue:
            self._queue.pop(0).do()

    @property
    def idle(self) -> bool:
        return not self._queue

    def keep(self, work: Work) -> None:
        self._queue.append(work)

    def give_back(self, kind: dict[int, Any], pointer: int) -> None:
        if any(pointer in work.needs for work in self._queue):
            self.wrongs.append("memory was given back while the stream needed it")
        kind.pop(pointer, None)

    def _module(self) -> Any:
        card = self

        def asked(name: str, answer: Callable[[], int]) -> Callable[[], int]:
            def ask() -> int:
                card.call(name)
                return answer()

            return ask

        runtime = SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=asked("getDeviceCount", lambda: card.count),
            driverGetVersion=lambda: card.driver,
            runtimeGetVersion=lambda: card.runtime,
            memcpyAsync=self._copy,
            memcpyHostToDevice=HOST_TO_DEVICE,
            memcpyDeviceToHost=DEVICE_TO_HOST,
        )
        cuda = SimpleNamespace(
            runtime=runtime,
            Device=lambda number: SimpleNamespace(use=lambda: card.call(f"use {number}")),
            Stream=lambda *, non_blocking: _Stream(card, non_blocking),
            Memory=lambda size: _Memory(card, "Memory", card.device, size),
            PinnedMemory=lambda size: _Memory(card, "PinnedMemory", card.pinned, size),
            PinnedMemoryPointer=_buffer,
        )
        return SimpleNamespace(cuda=cuda, RawKernel=lambda source, name: _Kernel(card, source, name))

    def _copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self.call("memcpyAsync")
        assert stream == STREAM
        if kind == DEVICE_TO_HOST:
            self._copy_back(target, source, size)
            return
        assert kind == HOST_TO_DEVICE
        assert size <= self.device[target].size
        pinned = self.pinned[source][:size]
        then = pinned.copy()

        def copy() -> None:
            if not np.array_equal(pinned, then):
                self.wrongs.append("pinned memory was written while it was being uploaded")
            self.device[target][:size] = pinned

        self.keep(Work(copy, (target, source)))

    def _copy_back(self, target: int, source: int, size: int) -> None:
        def copy() -> None:
            self.pinned[target][:size] = self.device[source][:size]

        self.keep(Work(copy, (target, source)))


class _Memory:
    def __init__(self, card: Card, name: str, kind: dict[int, Any], size: int) -> None:
        self.ptr, self.size, self._card, self._kind = 0, size, card, kind
        card.call(name)
        array = np.full(size, POISON, np.uint8)
        self.ptr = array.ctypes.data
        kind[self.ptr] = array

    def __del__(self) -> None:
        if self.ptr:
            self._card.give_back(self._kind, self.ptr)


def _buffer(memory: _Memory, offset: int) -> Any:
    """Return something that has the buffer protocol and keeps the memory alive, as PinnedMemoryPointer."""
    view: Any = (ctypes.c_uint8 * (memory.size - offset)).from_address(memory.ptr + offset)
    view.mem = memory
    return view


class _Stream:
    ptr = STREAM

    def __init__(self, card: Card, non_blocking: bool) -> None:
        card.call("Stream")
        assert non_blocking
        self._card = card

    def __enter__(self) -> None:
        self._card.current = self.ptr

    def __exit__(self, *_: object) -> None:
        self._card.current = 0

    def synchronize(self) -> None:
        self._card.call("synchronize")
        self._card.work_off()


class _Kernel:
    def __init__(self, card: Card, source: str, name: str) -> None:
        card.call("RawKernel")
        assert f" {name}(" in source
        self._card = card

    def compile(self) -> None:
        self._card.call("compile")

    def __call__(self, grid: tuple[int, int], block: tuple[int, int], arguments: tuple[np.generic, ...]) -> None:
        self._card.call("launch")
        assert self._card.current == STREAM
        frame, tensor = int(arguments[0]), int(arguments[4])
        assert frame in self._card.device
        assert tensor in self._card.device
        self._card.keep(Work(lambda: self._card.kernel(grid, block, arguments), (frame, tensor)))


def by_opencv(grid: tuple[int, int], block: tuple[int, int], arguments: Sequence[np.generic]) -> None:
    """Fill the tensor as the CPU path does: a kernel for machines without a compiler."""
    source, kind, width, height, tensor, side = (int(argument) for argument in arguments[:6])
    assert block == BLOCK
    assert all(blocks * threads >= side for blocks, threads in zip(grid, block, strict=True))
    form = PixelFormat(kind)
    data = (ctypes.c_uint8 * form.raw_size(width, height)).from_address(source)
    floats = (ctypes.c_float * (3 * side * side)).from_address(tensor)
    one = CpuInput(side)
    one.take(Frame(FrameInfo(1, 0, 0, width, height, form), memoryview(data).cast("B")))
    np.ctypeslib.as_array(floats)[:] = one.tensor.reshape(-1)
