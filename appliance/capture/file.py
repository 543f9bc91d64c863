"""file:// -- a clip as a camera, through FFmpeg's libraries (PyAV). MJPEG clips pass their JPEGs untouched."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import av
import simplejpeg

from appliance.capture.i420 import copy_i420, i420_layout
from appliance.capture.source import Grabbed, SourceError
from appliance.messages import Clock, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.config import FileSource as FileSettings

_LATE_NS = 500_000_000
"""A clip that fell this far behind (a suspended machine, say) goes on from where it is, as a camera would."""


class FileSource:
    """A clip, once or looped, in real time or in lockstep."""

    def __init__(self, settings: FileSettings) -> None:
        self.clock = Clock.SCENE if settings.rate == "lockstep" else Clock.MONOTONIC
        self._settings = settings
        try:
            self._container = av.open(f"file:{settings.path}")  # else 12:30.mp4 is a protocol called 12
        except (OSError, av.FFmpegError) as error:
            raise SourceError(f"cannot open {settings.path}: {_words(error)}") from error
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"{settings.path} has no video")
        self._stream = self._container.streams.video[0]
        self._passes_jpeg = self._stream.codec_context.name == "mjpeg"
        rate = self._stream.average_rate
        self._frame_ns = round(1e9 / rate) if rate else 40_000_000
        self._start_ns = time.monotonic_ns()
        self._start_wall_ns = time.time_ns()
        self._frames = self._play()
        self._picture: Any = None

    def grab(self) -> Grabbed | None:
        try:
            found = next(self._frames, None)
        except (OSError, av.FFmpegError) as error:
            raise SourceError(f"cannot read {self._settings.path}: {_words(error)}") from error
        if found is None:
            return None
        scene_ns, self._picture = found
        if self.clock is Clock.MONOTONIC:
            behind = time.monotonic_ns() - (self._start_ns + scene_ns)
            if behind > _LATE_NS:
                self._start_ns += behind
                self._start_wall_ns += behind
        width, height, fmt, size = self._describe()
        return Grabbed(self._start_ns + scene_ns, self._start_wall_ns + scene_ns, width, height, fmt, size)

    def retrieve(self, into: memoryview) -> int:
        if self._passes_jpeg:
            into[: len(self._picture)] = self._picture
            return len(self._picture)
        return copy_i420(self._picture, into)

    def fileno(self) -> None:
        """There is always a frame."""

    def pace(self, fps: float | None) -> None:
        """Nothing to save."""

    def counts(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        self._picture = None
        self._container.close()

    def _describe(self) -> tuple[int, int, PixelFormat, int]:
        if self._passes_jpeg:
            try:
                height, width, _, _ = simplejpeg.decode_jpeg_header(self._picture)
            except ValueError as error:
                raise SourceError(f"{self._settings.path} holds a broken JPEG: {error}") from error
            return width, height, PixelFormat.JPEG, len(self._picture)
        width, height, size = i420_layout(self._picture)
        return width, height, PixelFormat.I420, size

    def _play(self) -> Iterator[tuple[int, Any]]:
        """Yield (scene time in ns, picture), round after round; scene time grows on where a loop begins again."""
        offset = latest = -self._frame_ns
        while True:
            offset = latest + self._frame_ns
            for at_ns, picture in self._play_once():
                latest = max(latest + 1, offset + at_ns)
                yield latest, picture
            if latest < offset:
                raise SourceError(f"{self._settings.path} holds no picture")
            if not self._settings.loop:
                return
            self._container.seek(0)

    def _play_once(self) -> Iterator[tuple[int, Any]]:
        first: int | None = None
        pictures = self._jpegs() if self._passes_jpeg else self._container.decode(self._stream)
        for number, picture in enumerate(pictures):
            if picture.pts is None or picture.time_base is None:
                at = number * self._frame_ns
            else:
                at = round(picture.pts * picture.time_base * 1_000_000_000)
            first = at if first is None else first
            yield at - first, bytes(picture) if self._passes_jpeg else picture

    def _jpegs(self) -> Iterator[Any]:
        for packet in self._container.demux(self._stream):
            if packet.size:
                yield packet


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
