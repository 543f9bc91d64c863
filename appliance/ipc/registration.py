"""A seat: the one process that reads a channel under a consumer's name.

The file is never deleted while the appliance runs. Who sits there holds its lock and writes a fresh random epoch
before it opens its queue; the publisher compares epochs and so learns of a death without process ids, which mean
nothing across containers.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
from typing import TYPE_CHECKING

from appliance.ipc.errors import in_words
from appliance.ipc.protocol import NOBODY
from appliance.ipc.run_folder import hold

if TYPE_CHECKING:
    from pathlib import Path

_EPOCH = struct.Struct("<Q")


class Registration:
    """The subscriber's side: sit down. A second process on the same seat is refused with TakenError."""

    def __init__(self, seat: Path, patience_s: float) -> None:
        self._fd = hold(seat, patience_s)
        self.epoch = NOBODY
        while self.epoch == NOBODY:
            self.epoch = secrets.randbits(64)
        try:
            with in_words(seat):
                os.pwrite(self._fd, _EPOCH.pack(self.epoch), 0)
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        os.close(self._fd)


class SeatView:
    """The publisher's side: whose seat is it now? A mapped read of eight aligned bytes, no system call."""

    def __init__(self, seat: Path) -> None:
        with in_words(seat):
            fd = os.open(seat, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(fd).st_size < _EPOCH.size:
                    os.posix_fallocate(fd, 0, _EPOCH.size)
                self._map = mmap.mmap(fd, _EPOCH.size, prot=mmap.PROT_READ)
            finally:
                os.close(fd)

    def epoch(self) -> int:
        value: int = _EPOCH.unpack_from(self._map)[0]
        return value

    def close(self) -> None:
        self._map.close()
