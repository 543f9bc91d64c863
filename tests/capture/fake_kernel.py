"""A kernel of the test's own with V4L2 cameras in it, which do what they are told: also what no good driver does."""

from __future__ import annotations

import errno
import mmap
import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.capture.v4l2 import abi
from appliance.capture.v4l2.kernel import Kernel

if TYPE_CHECKING:
    import ctypes

VIDEO0 = Path("/dev/video0")
CAMERA = abi.V4L2_CAP_VIDEO_CAPTURE | abi.V4L2_CAP_STREAMING
MJPG, JPEG, YUYV, NV12 = (
    abi.V4L2_PIX_FMT_MJPEG,
    abi.V4L2_PIX_FMT_JPEG,
    abi.V4L2_PIX_FMT_YUYV,
    abi.V4L2_PIX_FMT_NV12,
)
H264 = abi.v4l2_fourcc("H264")
MONOTONIC = abi.V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC
MS = 1_000_000


@dataclass
class FakeCamera:
    """One device, as a USB camera is unless told otherwise."""

    formats: dict[int, list[tuple[int, int]]]
    size: tuple[int, int] = (64, 48)
    """As it is set, unless asked otherwise."""
    driver: bytes = b"uvcvideo"
    card: bytes = b"Porch Cam"
    capabilities: int = CAMERA | abi.V4L2_CAP_DEVICE_CAPS
    device_caps: int = CAMERA
    padding: int = 0
    """Bytes behind each row."""
    lines: int = abi.V4L2_FIELD_NONE
    knows_try: bool = True
    answers: dict[str, int] = field(default_factory=dict)
    """What S_FMT says instead of the truth."""
    rates: tuple[float, ...] | None = (15, 30)
    buffers: int = 4
    buffer_bytes: int = 0
    """0: as the format needs."""
    controls: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """By id: minimum, maximum, value."""
    fails: dict[int, list[int]] = field(default_factory=dict)
    """By request: what its next calls fail with; 0 is a call that does not fail."""
    maps_allowed: int = -1
    unplugged: bool = False
    streaming: bool = False
    pixelformat: int = MJPG
    queued: deque[int] = field(default_factory=deque)
    filled: deque[dict[str, int]] = field(default_factory=deque)
    maps: list[mmap.mmap] = field(default_factory=list)
    rate: float = 0
    """As it was set."""

    def feed(self, picture: bytes, flags: int = MONOTONIC, at_ns: int = 0, used: int | None = None) -> bool:
        """Take a picture, as the camera. False: there was no buffer for it, and it is lost."""
        if not self.queued:
            return False
        index = self.queued.popleft()
        self.maps[index][: len(picture)] = picture
        self.filled.append(
            {"index": index, "bytesused": len(picture) if used is None else used, "flags": flags, "at": at_ns}
        )
        return True


class FakeKernel(Kernel):
    def __init__(self, camera: FakeCamera | None = None) -> None:
        self.nodes: dict[Path, FakeCamera | int] = {}
        """What stands behind each path: a camera, or what opening it fails with."""
        if camera is not None:
            self.nodes[VIDEO0] = camera
        self.open_fds: dict[int, FakeCamera] = {}
        self.asked: list[str] = []
        """The calls of ioctl by name, in their order."""
        self.fails_at = -1
        """Which of them fails, from 0."""
        self.mapped: list[mmap.mmap] = []
        self.monotonic_ns = 100_000 * MS
        self._last_fd = 1000

    @property
    def leaks(self) -> int:
        return len(self.open_fds) + sum(not one.closed for one in self.mapped)

    def open(self, path: Path) -> int:
        behind = self.nodes.get(path, errno.ENOENT)
        if isinstance(behind, int):
            raise _os_error(behind)
        self._last_fd += 1
        self.open_fds[self._last_fd] = behind
        return self._last_fd

    def close(self, fd: int) -> None:
        self.open_fds.pop(fd)

    def mmap(self, fd: int, length: int, offset: int) -> mmap.mmap:
        camera = self.open_fds[fd]
        if len(camera.maps) == camera.maps_allowed:
            raise _os_error(errno.ENOMEM)
        mapped = mmap.mmap(-1, length)
        camera.maps.append(mapped)
        self.mapped.append(mapped)
        assert offset == len(camera.maps) * 4096
        return mapped

    def video_nodes(self) -> list[Path]:
        return sorted(self.nodes)

    def now(self) -> tuple[int, int]:
        return self.monotonic_ns, self.monotonic_ns + 1_000_000_000_000 * MS

    def ioctl(self, fd: int, request: int, argument: ctypes.Structure | ctypes.c_int) -> None:
        camera = self.open_fds[fd]
        name = NAMES[request]
        self.asked.append(name)
        if len(self.asked) - 1 == self.fails_at:
            raise _os_error(errno.ENOMEM)
        if camera.unplugged:
            raise _os_error(errno.ENODEV)
        failures = camera.fails.get(request, [])
        if failures and (number := failures.pop(0)):
            raise _os_error(number)
        getattr(self, f"_{name}")(camera, argument)

    def _querycap(self, camera: FakeCamera, found: Any) -> None:
        if not camera.formats and not camera.card:
            raise _os_error(errno.ENOTTY)
        found.driver, found.card = camera.driver, camera.card
        found.capabilities, found.device_caps = camera.capabilities, camera.device_caps

    def _enum_fmt(self, camera: FakeCamera, entry: Any) -> None:
        entry.pixelformat = _nth(list(camera.formats), entry.index)

    def _enum_framesizes(self, camera: FakeCamera, entry: Any) -> None:
        size = _nth(camera.formats[entry.pixel_format], entry.index)
        entry.type = abi.V4L2_FRMSIZE_TYPE_DISCRETE
        entry.numbers[0], entry.numbers[1] = size

    def _g_fmt(self, camera: FakeCamera, fmt: Any) -> None:
        self._set(camera, fmt, camera.pixelformat, camera.size)

    def _try_fmt(self, camera: FakeCamera, fmt: Any) -> None:
        if not camera.knows_try:
            raise _os_error(errno.ENOTTY)
        pixelformat = fmt.pix.pixelformat if fmt.pix.pixelformat in camera.formats else next(iter(camera.formats))
        asked = (fmt.pix.width, fmt.pix.height)
        offered = camera.formats[pixelformat]
        self._set(camera, fmt, pixelformat, asked if asked in offered else offered[0])

    def _s_fmt(self, camera: FakeCamera, fmt: Any) -> None:
        knows, camera.knows_try = camera.knows_try, True
        self._try_fmt(camera, fmt)
        camera.knows_try = knows
        camera.pixelformat, camera.size = fmt.pix.pixelformat, (fmt.pix.width, fmt.pix.height)
        for name, value in camera.answers.items():
            setattr(fmt.pix, name, value)

    def _set(self, camera: FakeCamera, fmt: Any, pixelformat: int, size: tuple[int, int]) -> None:
        fmt.pix.pixelformat, (fmt.pix.width, fmt.pix.height) = pixelformat, size
        row = {YUYV: size[0] * 2, NV12: size[0]}.get(pixelformat, 0)
        fmt.pix.bytesperline = row + camera.padding if row else 0
        fmt.pix.sizeimage = (fmt.pix.bytesperline or size[0] * 2) * size[1] * 2
        fmt.pix.field = camera.lines

    def _g_parm(self, camera: FakeCamera, parm: Any) -> None:
        if camera.rates is None:
            raise _os_error(errno.ENOTTY)
        parm.capture.capability = abi.V4L2_CAP_TIMEPERFRAME if camera.rates else 0

    def _s_parm(self, camera: FakeCamera, parm: Any) -> None:
        time = parm.capture.timeperframe
        asked = time.denominator / time.numerator
        near = min(camera.rates or (), key=lambda rate: abs(rate - asked))
        time.numerator, time.denominator = 1000, round(near * 1000)
        camera.rate = near

    def _queryctrl(self, camera: FakeCamera, found: Any) -> None:
        if found.id not in camera.controls:
            raise _os_error(errno.EINVAL)
        found.minimum, found.maximum, found.default_value = camera.controls[found.id]

    def _s_ctrl(self, camera: FakeCamera, control: Any) -> None:
        low, high, _ = camera.controls[control.id]
        camera.controls[control.id] = (low, high, control.value)

    def _reqbufs(self, camera: FakeCamera, request: Any) -> None:
        request.count = camera.buffers
        camera.maps.clear()

    def _querybuf(self, camera: FakeCamera, buffer: Any) -> None:
        width, height = camera.size
        buffer.length = camera.buffer_bytes or (width * 2 + camera.padding) * height * 2
        buffer.offset = (buffer.index + 1) * 4096

    def _qbuf(self, camera: FakeCamera, buffer: Any) -> None:
        assert buffer.index not in camera.queued, "queued twice"
        assert all(buffer.index != one["index"] for one in camera.filled), "queued while it was the driver's"
        camera.queued.append(buffer.index)

    def _dqbuf(self, camera: FakeCamera, buffer: Any) -> None:
        if not camera.filled:
            raise _os_error(errno.EAGAIN)
        one = camera.filled.popleft()
        buffer.index, buffer.bytesused, buffer.flags = one["index"], one["bytesused"], one["flags"]
        buffer.timestamp.tv_sec, buffer.timestamp.tv_usec = divmod(one["at"] // 1000, 1_000_000)

    def _streamon(self, camera: FakeCamera, _argument: Any) -> None:
        camera.streaming = True

    def _streamoff(self, camera: FakeCamera, _argument: Any) -> None:
        camera.streaming = False
        camera.queued.clear()
        camera.filled.clear()


NAMES = {
    number: name.removeprefix("VIDIOC_").lower() for name, number in vars(abi).items() if name.startswith("VIDIOC_")
}


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _nth(values: list[Any], index: int) -> Any:
    if index >= len(values):
        raise _os_error(errno.EINVAL)
    return values[index]
