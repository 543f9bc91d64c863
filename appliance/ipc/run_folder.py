"""The run folder: one instance's channel files, seats, locks and heartbeats in shared memory; gone after a stop."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import posix_ipc

from appliance.ipc.errors import SharedMemoryFullError, TakenError, in_words

if TYPE_CHECKING:
    from appliance.ipc.channels import Channel

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- POSIX shared memory's mount, tmpfs by definition
_SEAT = ".seat"
_LOCK = ".lock"
_RELEASES = "releases"
_INSTANCE_LOCK = "supervisor.lock"
_LOOKED_AT_S = 0.1
"""`porchlight doctor` takes a lock for a moment, to see whether anybody holds it."""


class RunFolder:
    """Names everything that an instance has at run time. Queue names derive from file names, so that leftovers can be
    unlinked without a mounted /dev/mqueue.
    """

    def __init__(self, instance: str, shared_memory: Path = SHARED_MEMORY) -> None:
        self.path = shared_memory / f"porchlight-{instance}"
        self._instance_lock: int | None = None

    def create(self) -> None:
        """Make the folder, 0700, if it is not there. TakenError: somebody else's lies in its place."""
        self._make()
        for folder in ("frames", "detections", "state", "heartbeats"):
            with in_words(self.path / folder):
                (self.path / folder).mkdir(mode=0o700, exist_ok=True)

    def claim(self) -> None:
        """Become the instance's one supervisor and sweep what a killed one left. TakenError: another one runs."""
        deadline = time.monotonic() + 2  # a supervisor that is just going away removes the folder under our feet
        while True:
            self._make()
            lock = self.path / _INSTANCE_LOCK
            try:
                self._instance_lock = hold(lock, _LOOKED_AT_S)
                if lock.exists() and os.fstat(self._instance_lock).st_ino == lock.stat().st_ino:
                    break
                os.close(self._instance_lock)
            except FileNotFoundError:
                pass
            if time.monotonic() > deadline:
                raise TakenError(f"{self.path} comes and goes: another porchlight is starting or stopping")
        self._sweep(keep=lock)
        self.create()

    def demand_room(self, needed: int) -> None:
        """SharedMemoryFullError, with both sizes, where the folder's file system has less than `needed` bytes free."""
        stats = os.statvfs(self.path)
        free = stats.f_bavail * stats.f_frsize
        if free < needed and stats.f_blocks:  # a file system without a limit of its own says that it has no blocks
            raise SharedMemoryFullError(
                f"{self.path.parent} has {free:,} bytes free, the cameras may need {needed:,}: give it more (a "
                "container: --shm-size), or lower max_jpeg_bytes"
            )

    def remove(self) -> None:
        """Leave nothing behind: queues, files, folder. Whoever claims the instance in the same moment keeps what he has
        made: the lock goes last, and the folder only if it is empty.
        """
        lock = self.path / _INSTANCE_LOCK
        self._sweep(keep=lock)
        lock.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()
        if self._instance_lock is not None:
            os.close(self._instance_lock)
            self._instance_lock = None

    def channel_file(self, channel: Channel) -> Path:
        return self.path / channel.kind / channel.camera

    def publisher_lock(self, channel: Channel) -> Path:
        return self.path / channel.kind / f"{channel.camera}{_LOCK}"

    def seat(self, channel: Channel, subscriber: str) -> Path:
        return self.path / channel.kind / f"{channel.camera}.{subscriber}{_SEAT}"

    def descriptor_queue(self, channel: Channel, subscriber: str) -> str:
        return self._queue(channel.kind, f"{channel.camera}.{subscriber}")

    def release_queue(self, channel: Channel) -> str:
        return self._queue(channel.kind, f"{channel.camera}.{_RELEASES}")

    def queues(self) -> list[str]:
        """Return the queues that the folder's seats and locks stand for, whether they are there or not."""
        names = set()
        for file in self.path.glob("*/*"):
            kind = file.parent.name
            if file.suffix == _SEAT:
                camera = file.stem.partition(".")[0]
                names |= {self._queue(kind, file.stem), self._queue(kind, f"{camera}.{_RELEASES}")}
            elif file.suffix == _LOCK:
                names.add(self._queue(kind, f"{file.stem}.{_RELEASES}"))
        return sorted(names)

    def locks(self) -> list[Path]:
        """Return the files that the instance's live processes have locked, the supervisor's last, there or not."""
        return [*self.path.glob(f"*/*{_SEAT}"), *self.path.glob(f"*/*{_LOCK}"), self.path / _INSTANCE_LOCK]

    @property
    def heartbeats(self) -> Path:
        return self.path / "heartbeats"

    def _make(self) -> None:
        """Shared memory is everybody's: a folder or link that another user has put here is not ours to trust."""
        with in_words(self.path), contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise TakenError(f"{self.path} is not a folder of this user's: remove it, or set another instance")

    def _queue(self, kind: str, name: str) -> str:
        return f"/{self.path.name}.{kind}.{name}"

    def _sweep(self, keep: Path) -> None:
        if not self.path.exists():
            return
        for queue in self.queues():
            _unlink_queue(queue)
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry != keep:
                entry.unlink(missing_ok=True)


def hold(path: Path, patience_s: float = 0) -> int:
    """Lock `path` for this process's life (flock: the kernel lets go when the process dies) and return its descriptor.

    A holder that is dying may take a moment: waits up to `patience_s` seconds, then raises TakenError.
    """
    deadline = time.monotonic() + patience_s
    with in_words(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise TakenError(f"{path} is held by another live process") from None
            time.sleep(0.02)
        else:
            return fd


def _unlink_queue(name: str) -> None:
    # Not there, another user's, or of a name that no queue can have: not ours to remove.
    with contextlib.suppress(posix_ipc.ExistentialError, posix_ipc.PermissionsError, ValueError):
        posix_ipc.unlink_message_queue(name)
