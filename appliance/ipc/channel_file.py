"""The file under a channel: a header with a random generation, then slots that each hold one finished FlatBuffer.

Header, little-endian, at offset 0: 8 bytes magic, u32 version, u32 number of slots, u64 generation, u64 offset of the
first slot, u64 distance between slots, u64 bytes of one FlatBuffer. A new publisher always makes a new file and
renames it over the old one; readers of the old keep it until they let go.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.ipc.errors import CorruptError, SharedMemoryFullError, in_words

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"PORCHIPC"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQQQ")
_PAGE = 4096
MAX_SLOTS = 16
MAX_SLOT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Header:
    slots: int
    generation: int
    first: int
    stride: int
    size: int

    @property
    def total(self) -> int:
        return self.first + self.slots * self.stride

    def pack(self) -> bytes:
        return _HEADER.pack(_MAGIC, _VERSION, self.slots, self.generation, self.first, self.stride, self.size)

    @classmethod
    def unpack(cls, data: bytes, source: str, file_bytes: int) -> Header:
        """Read and bound a header: whatever it claims lies within the file. CorruptError names the file."""
        if len(data) < _HEADER.size:
            raise CorruptError(f"{source}: {len(data)} bytes are no channel file")
        magic, version, slots, generation, first, stride, size = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise CorruptError(f"{source}: starts with {magic!r}, a channel file with {_MAGIC!r}")
        if version != _VERSION:
            raise CorruptError(f"{source}: is of version {version}, this one reads {_VERSION}")
        header = cls(slots, generation, first, stride, size)
        if (
            not 1 <= slots <= MAX_SLOTS
            or first < _HEADER.size
            or not 1 <= size <= stride <= MAX_SLOT_BYTES
            or header.total > file_bytes
        ):
            raise CorruptError(f"{source}: {slots} slots of {size} bytes do not fit its {file_bytes} bytes")
        return header


def required_bytes(slots: int, template_bytes: int) -> int:
    """Return what a channel takes of shared memory, in bytes."""
    return _PAGE + slots * _pages(template_bytes)


def create(path: Path, slots: int, template: bytes) -> ChannelFile:
    """Make a new file beside `path`, each slot holding `template`; `ChannelFile.rename` puts it in its place.

    For who holds the channel's lock: what a publisher that was killed in here has left is removed.
    SharedMemoryFullError: no room; never a SIGBUS later, because every page is reserved here.
    """
    header = Header(slots, secrets.randbits(64), _PAGE, _pages(len(template)), len(template))
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{header.generation:016x}")
    with in_words(path):
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, header.total)
            memory = mmap.mmap(fd, header.total)
        except OSError as error:
            temporary.unlink()
            if error.errno != errno.ENOSPC:
                raise
            stats = os.statvfs(path.parent)
            free = stats.f_bavail * stats.f_frsize
            raise SharedMemoryFullError(
                f"{path} needs {header.total:,} bytes of shared memory, {free:,} are free in "
                f"{path.parent}; give the container more (--shm-size), or lower the resolution or max_jpeg_bytes"
            ) from None
        finally:
            os.close(fd)
    file = ChannelFile(temporary, header, memory)
    for slot in range(slots):
        file.slot(slot)[:] = template
    memory[: _HEADER.size] = header.pack()
    return file


def open_for_reading(path: Path) -> ChannelFile:
    """Map `path` read-only. FileNotFoundError where there is none yet, CorruptError where it is something else."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        header = Header.unpack(os.pread(fd, _HEADER.size, 0), str(path), size)
        return ChannelFile(path, header, mmap.mmap(fd, header.total, prot=mmap.PROT_READ))
    finally:
        os.close(fd)


class ChannelFile:
    """A mapped channel file."""

    def __init__(self, path: Path, header: Header, memory: mmap.mmap) -> None:
        self.path = path
        self.header = header
        self._memory = memory
        self._view = memoryview(memory)
        self._slots = [
            self._view[start : start + header.size]
            for start in range(header.first, header.first + header.slots * header.stride, header.stride)
        ]

    def slot(self, number: int) -> memoryview:
        return self._slots[number]

    def source(self, number: int) -> str:
        """Return how errors name a slot."""
        return f"{self.path} slot {number}"

    def rename(self, path: Path) -> None:
        """Take the place of the file that was there; its readers keep it until they let go."""
        self.path.rename(path)
        self.path = path

    def close(self) -> None:
        """Unmap. BufferError: somebody still looks into a slot."""
        for view in (*self._slots, self._view):
            view.release()
        self._memory.close()


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
