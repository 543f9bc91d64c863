"""synthetic:// as a camera: one that gives JPEGs. A picture is made only where somebody retrieves it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import simplejpeg

from appliance.capture.source import Grabbed, SourceError
from appliance.capture.synthetic.options import SceneOptions
from appliance.capture.synthetic.scene import Scene
from appliance.messages import Clock, PixelFormat

if TYPE_CHECKING:
    from appliance.config.source import SyntheticSettings

_LATE_NS = 500_000_000
"""A scene that fell this far behind (a suspended machine, say) goes on from where it is, as a camera would."""
_QUALITIES = (85, 60, 30, 10)
_HEADERS = 4096


class SyntheticSource:
    """The synthetic camera, in real time or in lockstep. It never ends."""

    def __init__(self, settings: SyntheticSettings) -> None:
        self.clock = Clock.SCENE if settings.rate == "lockstep" else Clock.MONOTONIC
        self._settings = settings
        self._scene = Scene(
            SceneOptions(
                seed=settings.seed,
                width=settings.width,
                height=settings.height,
                hour=settings.hour,
                people_per_minute=settings.people_per_minute,
                rain=settings.rain,
                timestamps=settings.timestamps,
            )
        )
        self._largest = settings.width * settings.height // 2 + _HEADERS
        self._frame = -1
        self._start_ns = time.monotonic_ns()
        self._start_wall_ns = time.time_ns()

    def grab(self) -> Grabbed | None:
        self._frame += 1
        scene_ns = self._scene_ns
        if self.clock is Clock.MONOTONIC:
            behind = time.monotonic_ns() - (self._start_ns + scene_ns)
            if behind > _LATE_NS:
                self._start_ns += behind
                self._start_wall_ns += behind
        return Grabbed(
            self._start_ns + scene_ns,
            self._start_wall_ns + scene_ns,
            self._settings.width,
            self._settings.height,
            PixelFormat.JPEG,
            self._largest,
        )

    def retrieve(self, into: memoryview) -> int:
        moment = self._scene_ns / 1e9
        picture = self._scene.render(moment)
        self._scene.forget(moment)
        for quality in _QUALITIES:
            jpeg = simplejpeg.encode_jpeg(picture, quality, "RGB", "420")
            if len(jpeg) <= self._largest:
                into[: len(jpeg)] = jpeg
                return len(jpeg)
        raise SourceError(f"a picture does not fit into {self._largest:,} bytes")

    def fileno(self) -> None:
        """There is always a frame."""

    def pace(self, fps: float | None) -> None:
        """Nothing to save."""

    def counts(self) -> dict[str, int]:
        return {}

    def close(self) -> None: ...

    @property
    def _scene_ns(self) -> int:
        return round(max(0, self._frame) * 1e9 / self._settings.fps)
