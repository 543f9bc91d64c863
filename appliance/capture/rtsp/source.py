"""rtsp(s):// -- an IP camera: a thread reads and decodes its stream, and the newest picture is handed over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import av
import simplejpeg

from appliance.capture.i420 import copy_i420, i420_layout
from appliance.capture.newest import Newest
from appliance.capture.rtsp import words
from appliance.capture.rtsp.connection import Connection
from appliance.capture.rtsp.skipping import Backlog, discard
from appliance.capture.source import MOST_PIXELS, Grabbed, SourceError
from appliance.messages import Clock, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

    from appliance.config import RtspSettings


class _Shot(NamedTuple):
    grabbed: Grabbed
    picture: VideoFrame | bytes


class RtspSource:
    """A live camera. H.264, H.265 and what else FFmpeg knows is decoded, in one thread; MJPEG passes through.

    `captured_ns` is when a picture began to arrive, by our clock; the camera's own timestamps have no relation to it,
    and no picture's lies before that of the one shown earlier. What had arrived before the stream was open counts from
    then. The delay of camera and network is unknown, and not in it.
    """

    clock = Clock.MONOTONIC

    def __init__(self, settings: RtspSettings) -> None:
        """Begin to connect; what becomes of it, `grab` says."""
        self.broken = 0
        """Packets that could not be decoded and were passed over, and pictures whose damage the decoder could patch."""
        self.stale = 0
        """Packets dropped because this machine could not keep up with the camera."""
        self._connection = Connection(settings)
        self._fps: float | None = None
        self._shown_ns = 0
        self._grabbed: _Shot | None = None
        self._newest = Newest(self._read, "rtsp")
        self._newest.start()

    def fileno(self) -> int:
        return self._newest.fileno()

    def grab(self) -> Grabbed | None:
        self._grabbed = self._newest.take()
        return None if self._grabbed is None else self._grabbed.grabbed

    def retrieve(self, into: memoryview) -> int:
        if self._grabbed is None:
            raise SourceError("no frame was grabbed")
        picture = self._grabbed.picture
        if isinstance(picture, bytes):
            into[: len(picture)] = picture
            return len(picture)
        return copy_i420(picture, into)

    def pace(self, fps: float | None) -> None:
        """Decode no picture that neither is wanted nor helps to decode another. Back to all: from the next one on."""
        self._fps = fps

    def counts(self) -> dict[str, int]:
        return {"broken": self.broken, "stale": self.stale}

    def close(self) -> None:
        self._newest.close()
        self._grabbed = None

    def _read(self) -> Iterator[_Shot]:
        try:
            stream = self._connection.open()
            codec = stream.codec_context
            yield from self._jpegs() if codec.name == "mjpeg" else self._decoded(codec)
        finally:
            self._connection.close()

    def _jpegs(self) -> Iterator[_Shot]:
        for packet in self._connection.packets():
            picture = bytes(packet)
            try:
                height, width, _, _ = simplejpeg.decode_jpeg_header(picture)
            except ValueError:
                self.broken += 1
                continue
            yield self._shot(picture, time.monotonic_ns(), (width, height, len(picture)), PixelFormat.JPEG)

    def _decoded(self, codec: VideoCodecContext) -> Iterator[_Shot]:
        if not _opens(codec):
            raise self._connection.error(words.CANNOT_BE_DECODED)
        asked_ns = began_ns = given_ns = time.monotonic_ns()
        backlog = Backlog(asked_ns)
        for packet in self._connection.packets():
            got_ns = time.monotonic_ns()
            # A packet is complete when the next one begins: so this one began when the one before was complete.
            packet.opaque, began_ns = began_ns, got_ns
            if backlog.skips(asked_ns, got_ns, is_key=packet.is_keyframe):
                self.stale += 1
            else:
                codec.skip_frame = discard(codec.name, self._fps, got_ns - given_ns)
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    self.broken += 1
                    frames = []
                given_ns = got_ns if frames else given_ns
                for frame in frames:
                    self.broken += frame.is_corrupt
                    at_ns = frame.opaque if isinstance(frame.opaque, int) else got_ns
                    yield self._shot(frame, at_ns, i420_layout(frame), PixelFormat.I420)
            asked_ns = time.monotonic_ns()

    def _shot(self, picture: VideoFrame | bytes, at_ns: int, layout: tuple[int, int, int], form: PixelFormat) -> _Shot:
        self._shown_ns = max(self._shown_ns + 1, at_ns)  # pictures that refer to later ones arrive out of order
        wall_ns = self._shown_ns + time.time_ns() - time.monotonic_ns()
        width, height, size = layout
        return _Shot(Grabbed(self._shown_ns, wall_ns, width, height, form, size), picture)


def _opens(codec: VideoCodecContext) -> bool:
    """Ready a decoder; False: it does not take the stream."""
    codec.thread_count = 1  # a thread for each frame would delay them, and there are other cameras
    codec.copy_opaque = True
    codec.options = {"max_pixels": str(MOST_PIXELS)}
    try:
        codec.open()
    except (av.FFmpegError, ValueError):
        return False
    return True
