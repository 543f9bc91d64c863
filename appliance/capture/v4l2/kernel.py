"""The system calls on a V4L2 device, in one place: so a test can stand another kernel here."""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes


class Kernel:
    """Linux. Each method raises OSError as the system gives it."""

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self, fd: int) -> None:
        os.close(fd)

    def ioctl(self, fd: int, request: int, argument: ctypes.Structure | ctypes.c_int) -> None:
        """Call ioctl; the answer lies in `argument`. A signal's handler may run in between."""
        while True:
            try:
                fcntl.ioctl(fd, request, argument)
            except InterruptedError:  # Python repeats other calls itself, this one not
                continue
            return

    def mmap(self, fd: int, length: int, offset: int) -> mmap.mmap:
        return mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)

    def video_nodes(self) -> list[Path]:
        """Return /dev/video0, /dev/video1, ... as far as they are there."""
        nodes = [path for path in Path("/dev").glob("video*") if path.name.removeprefix("video").isdecimal()]
        return sorted(nodes, key=lambda path: int(path.name.removeprefix("video")))

    def now(self) -> tuple[int, int]:
        """Return CLOCK_MONOTONIC and UTC, both in ns, of one moment."""
        return time.monotonic_ns(), time.time_ns()
