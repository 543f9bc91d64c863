"""A V4L2 device: open, asked what it is and what it offers, closed."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.capture.source import SourceError
from appliance.capture.v4l2 import abi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ctypes import Structure, c_int
    from pathlib import Path

    from appliance.capture.v4l2.kernel import Kernel

_ENTRIES = 256
"""No device lists more of anything; a driver that never says "no more" ends here."""
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOTTY)
_USABLE = (abi.V4L2_PIX_FMT_MJPEG, abi.V4L2_PIX_FMT_JPEG, abi.V4L2_PIX_FMT_NV12, abi.V4L2_PIX_FMT_YUYV)


@dataclass(frozen=True, slots=True)
class Capability:
    """What a device says it is: `card` is its name for people, `caps` are V4L2_CAP flags of this very node."""

    driver: str
    card: str
    caps: int


class Device:
    """An open device node."""

    def __init__(self, path: Path, kernel: Kernel) -> None:
        """Open `path`. Raises OSError: who asks for it knows what to say."""
        self.path = path
        self.kernel = kernel
        self.fd = kernel.open(path)

    def close(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            self.kernel.close(fd)

    def ioctl(self, request: int, argument: Structure | c_int, doing: str) -> None:
        """SourceError: it failed, in words; `doing` says at what, as in "cannot start"."""
        try:
            self.kernel.ioctl(self.fd, request, argument)
        except OSError as error:
            raise SourceError(in_words(error, self.path, doing)) from error

    def try_ioctl(self, request: int, argument: Structure) -> bool:
        """Return False where the driver does not know the call, or not with this argument. Else as `ioctl`."""
        try:
            self.kernel.ioctl(self.fd, request, argument)
        except OSError as error:
            if error.errno in _NOT_SUPPORTED:
                return False
            raise SourceError(in_words(error, self.path, "does not answer")) from error
        return True

    def capability(self) -> Capability | None:
        """Return what it is; None for what is no video device at all."""
        found = abi.Capability()
        if not self.try_ioctl(abi.VIDIOC_QUERYCAP, found):
            return None
        has_own = found.capabilities & abi.V4L2_CAP_DEVICE_CAPS
        caps = found.device_caps if has_own else found.capabilities
        return Capability(_printable(found.driver), _printable(found.card), caps)

    def formats(self) -> list[int]:
        """Return the pixel formats it offers, as fourccs; those that can be used here come first."""
        found = []
        for index in range(_ENTRIES):
            entry = abi.FmtDesc(index=index, type=abi.V4L2_BUF_TYPE_VIDEO_CAPTURE)
            if not self.try_ioctl(abi.VIDIOC_ENUM_FMT, entry):
                break
            found.append(int(entry.pixelformat))
        return sorted(found, key=lambda fourcc: fourcc not in _USABLE)

    def sizes(self, pixelformat: int) -> list[str]:
        """Return the sizes it offers in a format, as 1280x720, or a range of them; none where it does not say."""
        return list(self._sizes(pixelformat))

    def _sizes(self, pixelformat: int) -> Iterator[str]:
        for index in range(_ENTRIES):
            entry = abi.FrmSizeEnum(index=index, pixel_format=pixelformat)
            if not self.try_ioctl(abi.VIDIOC_ENUM_FRAMESIZES, entry):
                return
            if entry.type != abi.V4L2_FRMSIZE_TYPE_DISCRETE:
                low_width, high_width, _, low_height, high_height, _ = entry.numbers
                yield f"{low_width}x{low_height} to {high_width}x{high_height}"
                return
            yield f"{entry.numbers[0]}x{entry.numbers[1]}"


def fourcc_text(pixelformat: int) -> str:
    return _printable(pixelformat.to_bytes(4, "little")).rstrip()


def in_words(error: OSError, path: Path, doing: str) -> str:
    """Say what went wrong with a device, for its owner."""
    match error.errno:
        case errno.EBUSY:
            return f"{path} is in use by another program; end that one (fuser -v {path} names it)"
        case errno.EACCES | errno.EPERM:
            return f"{path} may not be opened by this user; it must be in the group video"
        case errno.ENODEV | errno.ENXIO:
            return f"{path} was unplugged"
        case errno.EIO:
            return f"{path} {doing}: input/output error, as when it was unplugged, or its cable or hub is bad"
        case _:
            return f"{path} {doing}: {error.strerror or error}"


def _printable(raw: bytes) -> str:
    """Return a driver's text; a USB device chooses its own, so what is not to be printed is left out."""
    return "".join(letter for letter in raw.decode("utf-8", "replace") if letter.isprintable())
