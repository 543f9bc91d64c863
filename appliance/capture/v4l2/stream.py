"""Mapped buffers that go round between the driver, which fills them, and us."""

from __future__ import annotations

import contextlib
from ctypes import c_int
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.capture.source import SourceError
from appliance.capture.v4l2 import abi
from appliance.capture.v4l2.device import in_words

if TYPE_CHECKING:
    import mmap

    from appliance.capture.v4l2.device import Device

BUFFERS = 4
LEAST_BUFFERS = 2
_US = 1000
_NS = 1_000_000_000
_CLOCK_PATIENCE_NS = 10 * _NS
"""A driver's time that is older than this, or lies ahead, is not this machine's clock."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A buffer that the driver has filled: ours until it is queued again."""

    index: int
    bytesused: int
    captured_ns: int
    wall_ns: int
    is_dated: bool
    """Whether the driver says when the picture was taken; else it was now, as far as is known."""
    is_whole: bool
    """False: the driver says that the picture is damaged, or there is none."""


class Stream:
    """The buffers of one device. Whatever raises SourceError here ends it: close, and open anew."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._maps: list[mmap.mmap] = []
        self._views: list[memoryview] = []
        self.queued = 0
        """Buffers that the driver has, to fill or filled."""

    def start(self) -> None:
        self._map_all(self._request())
        for index in range(len(self._maps)):
            self.queue(index)
        self._device.ioctl(abi.VIDIOC_STREAMON, _capture(), "cannot start")

    def dequeue(self) -> Filled | None:
        """Return the oldest filled buffer; None where the driver has none for now."""
        buffer = _buffer()
        try:
            self._device.kernel.ioctl(self._device.fd, abi.VIDIOC_DQBUF, buffer)
        except BlockingIOError:
            return None
        except OSError as error:
            raise SourceError(in_words(error, self._device.path, "stopped")) from error
        if buffer.index >= len(self._maps):
            raise SourceError(f"{self._device.path} returned buffer {buffer.index}, which it was never given")
        self.queued -= 1
        now, wall = self._device.kernel.now()
        captured = _captured(buffer, now)
        age = 0 if captured is None else now - captured
        bytesused = min(buffer.bytesused, len(self._views[buffer.index]))
        whole = bytesused > 0 and not buffer.flags & abi.V4L2_BUF_FLAG_ERROR
        return Filled(buffer.index, bytesused, now - age, wall - age, captured is not None, whole)

    def queue(self, index: int) -> None:
        """Give a buffer to the driver, to be filled."""
        self._device.ioctl(abi.VIDIOC_QBUF, _buffer(index), "takes no buffer")
        self.queued += 1

    def view(self, filled: Filled) -> memoryview:
        """Return the picture in a buffer; to be released before the stream is closed."""
        return self._views[filled.index][: filled.bytesused]

    def close(self) -> None:
        """Stop, and unmap all. The device itself stays open."""
        if self._maps:
            with contextlib.suppress(OSError):  # it may be gone
                self._device.kernel.ioctl(self._device.fd, abi.VIDIOC_STREAMOFF, _capture())
        while self._views:
            self._views.pop().release()
        while self._maps:
            self._maps.pop().close()

    def _request(self) -> int:
        """Have the driver make buffers; return how many it made."""
        request = abi.RequestBuffers(count=BUFFERS, type=abi.V4L2_BUF_TYPE_VIDEO_CAPTURE, memory=abi.V4L2_MEMORY_MMAP)
        self._device.ioctl(abi.VIDIOC_REQBUFS, request, "makes no buffers")
        if request.count < LEAST_BUFFERS:
            raise SourceError(f"{self._device.path} makes only {request.count} buffers; {LEAST_BUFFERS} are needed")
        return int(request.count)

    def _map_all(self, count: int) -> None:
        for index in range(count):
            buffer = _buffer(index)
            self._device.ioctl(abi.VIDIOC_QUERYBUF, buffer, "does not show its buffers")
            try:
                mapped = self._device.kernel.mmap(self._device.fd, buffer.length, buffer.offset)
            except (OSError, ValueError) as error:
                raise SourceError(f"{self._device.path}: its buffers cannot be mapped: {error}") from error
            self._maps.append(mapped)
            self._views.append(memoryview(mapped))


def _captured(buffer: abi.Buffer, now: int) -> int | None:
    """Return when the driver says that a picture was taken, CLOCK_MONOTONIC in ns; None where it does not say."""
    if buffer.flags & abi.V4L2_BUF_FLAG_TIMESTAMP_MASK != abi.V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC:
        return None
    captured = int(buffer.timestamp.tv_sec) * _NS + int(buffer.timestamp.tv_usec) * _US
    return captured if 0 <= now - captured <= _CLOCK_PATIENCE_NS else None


def _buffer(index: int = 0) -> abi.Buffer:
    return abi.Buffer(index=index, type=abi.V4L2_BUF_TYPE_VIDEO_CAPTURE, memory=abi.V4L2_MEMORY_MMAP)


def _capture() -> c_int:
    return c_int(abi.V4L2_BUF_TYPE_VIDEO_CAPTURE)
