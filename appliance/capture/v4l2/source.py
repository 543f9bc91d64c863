"""v4l2:// as a camera: its newest whole picture, JPEG or raw as the camera gives it."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from appliance.capture.source import Grabbed, SourceError
from appliance.capture.v4l2.cameras import open_camera
from appliance.capture.v4l2.exposure import limit_exposure
from appliance.capture.v4l2.kernel import Kernel
from appliance.capture.v4l2.negotiation import agree_on_format, agree_on_fps
from appliance.capture.v4l2.picture import BrokenPictureError, Extent
from appliance.capture.v4l2.stream import BUFFERS, Stream
from appliance.messages import Clock

if TYPE_CHECKING:
    from appliance.capture.v4l2.stream import Filled
    from appliance.config import V4l2Settings

log = logging.getLogger(__name__)

STALE_NS = 100_000_000
"""Of a driver that had no buffer left to fill, a picture that waited for longer is not the newest that there was.
(With one buffer alone this cannot be told from a slow camera.)
"""
_MOST_TAKEN = 4 * BUFFERS
"""A driver that is faster than we are is not followed for ever."""


class V4l2Source:
    """A camera on this machine. The picture that was grabbed stays in its buffer until the next grab."""

    clock = Clock.MONOTONIC

    def __init__(self, settings: V4l2Settings, kernel: Kernel | None = None) -> None:
        """Open the camera and start it. SourceError: why that cannot be; nothing stays open then."""
        self.last_broken = ""
        """What the last picture was that was skipped as damaged, in words."""
        self._broken = 0
        self._stale = 0
        self._kernel = kernel or Kernel()
        self._held: Filled | None = None
        self._extent = Extent(0, 0, 0)
        self._emptied_ns = self._kernel.now()[0]
        with contextlib.ExitStack() as undo:
            device, card = open_camera(settings.device, self._kernel)
            undo.callback(device.close)
            self._device = device
            self._picture = agree_on_format(device, settings)
            if settings.fps is not None:
                agree_on_fps(device, settings.fps)
            if settings.exposure_ms is not None:
                limit_exposure(device, settings.exposure_ms)
            self._stream = Stream(device)
            undo.callback(self._stream.close)
            self._stream.start()
            self._ends = undo.pop_all()
        log.info("%s is %s", settings.device, card)

    def fileno(self) -> int:
        return self._device.fd

    def grab(self) -> Grabbed | None:
        waiting = self._stream.queued
        self._let_go()
        taken = 0
        while taken < _MOST_TAKEN and (filled := self._stream.dequeue()):
            taken += 1
            if extent := self._check(filled):
                self._let_go()
                self._held, self._extent = filled, extent
            else:
                self._stream.queue(filled.index)
        emptied_ns, self._emptied_ns = self._emptied_ns, self._kernel.now()[0]
        held = self._held
        if held is None:
            return None
        waiting_since = held.captured_ns if held.is_dated else emptied_ns
        if taken == waiting > 1 and self._emptied_ns - waiting_since > STALE_NS:
            self._stale += 1
            self._let_go()
            return None
        width, height, size = self._extent
        return Grabbed(held.captured_ns, held.wall_ns, width, height, self._picture.format, size)

    def retrieve(self, into: memoryview) -> int:
        if self._held is None:
            raise SourceError(f"{self._device.path}: no frame was grabbed")
        with self._stream.view(self._held) as picture:
            return self._picture.copy(picture, self._extent.size, into)

    def pace(self, fps: float | None) -> None:
        """Nothing to save: a picture that nobody retrieves costs a turn of its buffer."""

    def counts(self) -> dict[str, int]:
        """Return the pictures that were skipped: damaged ones, and those that had waited while nobody asked."""
        return {"broken": self._broken, "stale": self._stale}

    def close(self) -> None:
        self._held = None
        self._ends.close()

    def _check(self, filled: Filled) -> Extent | None:
        """Return what a buffer holds; None for a broken picture, which is counted."""
        reason = "a damaged or empty picture"
        if filled.is_whole:
            try:
                with self._stream.view(filled) as picture:
                    return self._picture.check(picture)
            except BrokenPictureError as error:
                reason = str(error)
        log.log(logging.DEBUG if self._broken else logging.WARNING, "%s gave %s", self._device.path, reason)
        self._broken += 1
        self.last_broken = reason
        return None

    def _let_go(self) -> None:
        """Give the held buffer back to the driver."""
        held, self._held = self._held, None
        if held is not None:
            self._stream.queue(held.index)
