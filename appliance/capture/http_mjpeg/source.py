"""http(s):// -- an MJPEG camera: a thread reads its stream, and the newest JPEG is handed over as it came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import simplejpeg

from appliance.capture.http_mjpeg import words
from appliance.capture.http_mjpeg.client import Client
from appliance.capture.http_mjpeg.splitter import Splitter
from appliance.capture.newest import Newest
from appliance.capture.source import MOST_PIXELS, Grabbed, SourceError
from appliance.messages import Clock, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.capture.http_mjpeg.splitter import Jpeg
    from appliance.config import HttpSettings

_BEGINNING = 512

PATIENCE = 4
"""So many times `max_jpeg_bytes` without a picture that could be taken, and the camera is given up."""


class _Shot(NamedTuple):
    grabbed: Grabbed
    data: bytearray


class HttpSource:
    """A live camera; holds three pictures at most: one that arrives, the newest, and the one that was grabbed."""

    clock = Clock.MONOTONIC

    def __init__(self, settings: HttpSettings, max_jpeg_bytes: int) -> None:
        """Begin to connect; what becomes of it, `grab` says."""
        self._client = Client(settings)
        self._splitter = Splitter(max_jpeg_bytes)
        self._most = max_jpeg_bytes
        self._misread = 0
        self._pictures = 0
        self._barren = 0
        self._beginning = b""
        self._grabbed: _Shot | None = None
        self._newest = Newest(self._read, "http_mjpeg")
        self._newest.start()

    @property
    def broken(self) -> int:
        """Pictures passed over because they were no whole JPEG, or claimed a size that cannot be."""
        return self._splitter.broken + self._misread

    @property
    def oversized(self) -> int:
        """Pictures passed over because they were larger than `max_jpeg_bytes`."""
        return self._splitter.oversized

    def fileno(self) -> int:
        return self._newest.fileno()

    def grab(self) -> Grabbed | None:
        self._grabbed = self._newest.take()
        return None if self._grabbed is None else self._grabbed.grabbed

    def retrieve(self, into: memoryview) -> int:
        if self._grabbed is None:
            raise SourceError("no frame was grabbed")
        data = self._grabbed.data
        into[: len(data)] = data
        return len(data)

    def pace(self, fps: float | None) -> None:
        """Nothing to save: the camera sends what it sends, and nothing is decoded."""

    def counts(self) -> dict[str, int]:
        return {"broken": self.broken, "oversized": self.oversized}

    def close(self) -> None:
        self._newest.closing.set()
        self._client.interrupt()
        self._newest.close()
        self._grabbed = None

    def _read(self) -> Iterator[_Shot]:
        try:
            self._client.open()
            while shots := self._client.read(self._take):
                yield from shots
            raise self._client.error(
                words.of_end(
                    pictures=self._pictures,
                    is_multipart=self._is_multipart,
                    is_within_picture=self._splitter.is_within_picture,
                )
            )
        finally:
            self._client.close()

    @property
    def _is_multipart(self) -> bool:
        return self._client.content_type.startswith("multipart/")

    def _take(self, chunk: bytes) -> list[_Shot]:
        """Return the pictures that `chunk` completes. SourceError: there have been none for too long.

        An answer that does not call itself a stream is one from its second picture on: the first may be all of it.
        """
        self._barren += len(chunk)
        shots: list[_Shot] = []
        for jpeg in self._splitter.feed(chunk, time.monotonic_ns()):
            grabbed = _grabbed(jpeg)
            if grabbed is None:
                self._misread += 1
                continue
            self._barren = 0
            self._pictures += 1
            if self._pictures > 1 or self._is_multipart:
                shots.append(_Shot(grabbed, jpeg.data))
        if not self._pictures:
            self._beginning = (self._beginning + chunk[:_BEGINNING])[:_BEGINNING]
            if words.is_page(self._client.content_type, self._beginning):
                raise self._client.error(words.of_page())
        if self._barren > PATIENCE * self._most:
            raise self._client.error(
                words.of_barren_bytes(
                    self._barren, oversized=self.oversized, broken=self.broken, max_jpeg_bytes=self._most
                )
            )
        return shots


def _grabbed(jpeg: Jpeg) -> Grabbed | None:
    """Return what is to be known of a picture; None: it is none."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg.data)
    except ValueError:
        return None
    if height * width > MOST_PIXELS:
        return None
    wall_ns = time.time_ns() - (time.monotonic_ns() - jpeg.arrived_ns)
    return Grabbed(jpeg.arrived_ns, wall_ns, width, height, PixelFormat.JPEG, len(jpeg.data))
