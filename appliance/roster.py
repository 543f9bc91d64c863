"""One of something for each camera, following the settings: cameras come, change and go while the others run."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from appliance.ipc.errors import IpcError
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appliance.config import Camera

log = logging.getLogger(__name__)

RETRY_S = 5.0

T = TypeVar("T")


class Roster(Generic[T]):
    """Whatever a stage has of each camera, in the settings' order."""

    def __init__(self, opened: Callable[[Camera], T], closed: Callable[[T], None]) -> None:
        """`opened` makes one; what it refuses with an IpcError is reported, and tried again by `retry`."""
        self._opened = opened
        self._closed = closed
        self._wanted: Sequence[Camera] = ()
        self._retry_at_s = float("inf")
        self._entries: dict[str, tuple[Camera, T]] = {}
        self._faults: dict[str, RepeatedFault] = {}

    def follow(self, cameras: Sequence[Camera]) -> bool:
        """Close what is no longer wanted or has changed, open what is missing. True where anything was done."""
        self._wanted = cameras
        before = {identity: thing for identity, (_, thing) in self._entries.items()}
        wanted = {camera.id: camera for camera in cameras}
        for identity, (camera, _) in list(self._entries.items()):
            if wanted.get(identity) != camera:
                self._closed(self._entries.pop(identity)[1])
        for identity, camera in wanted.items():
            if identity not in self._entries:
                self._open(camera)
        self._entries = {identity: self._entries[identity] for identity in wanted if identity in self._entries}
        is_whole = len(self._entries) == len(wanted)
        self._retry_at_s = float("inf") if is_whole else time.monotonic() + RETRY_S
        return before != {identity: thing for identity, (_, thing) in self._entries.items()}

    def retry(self) -> bool:
        """Open what could not be opened before, now and then. True where anything was."""
        return time.monotonic() >= self._retry_at_s and self.follow(self._wanted)

    def close(self) -> None:
        self.follow(())

    def __iter__(self) -> Iterator[T]:
        return iter([thing for _, thing in self._entries.values()])

    def _open(self, camera: Camera) -> None:
        fault = self._faults.setdefault(
            camera.id, RepeatedFault(log, f"camera {camera.id}: cannot be served", camera=camera.id)
        )
        try:
            self._entries[camera.id] = (camera, self._opened(camera))
        except IpcError as error:
            fault.report(error)
        else:
            fault.heal()
