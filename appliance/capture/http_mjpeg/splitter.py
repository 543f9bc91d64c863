"""From an MJPEG stream's bytes to its JPEGs: no I/O, bounded memory, and nothing that a camera sends is an error.

A JPEG says itself where it begins and ends. What a camera says of it -- boundary, part headers, Content-Length -- is
wrong too often, so none of that is asked: whatever stands between two pictures is passed over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_START_OR_END = re.compile(rb"\xff(?:\xd8\xff|\xd9)")
_END_OR_START = re.compile(rb"\xff[\xd8\xd9]")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA


class Jpeg(NamedTuple):
    """A picture from its first marker to its last. What is between them may still be nonsense."""

    data: bytearray
    arrived_ns: int
    """When its beginning was fed."""


class Splitter:
    """Finds the JPEGs of a stream. It holds one at most, and never more than `max_jpeg_bytes` and what is fed."""

    def __init__(self, max_jpeg_bytes: int) -> None:
        self.broken = 0
        """Pictures passed over: they began and did not end, or ended and had not begun."""
        self.oversized = 0
        """Pictures passed over: larger than `max_jpeg_bytes`, or without an end for so long."""
        self._most = max_jpeg_bytes
        self._held = bytearray()
        self._found: list[Jpeg] = []
        self._now_ns = self._began_ns = 0
        self._at = self._believed = 0
        self._is_counted = False
        self._step: Callable[[Splitter], bool] = Splitter._seek

    @property
    def is_within_picture(self) -> bool:
        return self._step is not Splitter._seek

    def feed(self, data: bytes, arrived_ns: int) -> list[Jpeg]:
        """Return the pictures that `data` completes. They do not depend on where the stream is cut into `data`."""
        self._held += data
        self._now_ns = arrived_ns
        while self._step(self):
            pass
        found, self._found = self._found, []
        return found

    def _seek(self) -> bool:
        """Between pictures. Returns, as every step does, whether another one can follow before more is fed."""
        held = self._held
        match = _START_OR_END.search(held)
        if match is None:
            del held[:-2]  # these may be the beginning of what is sought
            return False
        start, end = match.span()
        if held[end - 1] == _END:
            self.broken += not self._is_counted
            return self._between(end, is_counted=False)
        del held[:start]
        self._began_ns = self._now_ns
        self._at = self._believed = 2
        self._step = Splitter._walk
        return True

    def _walk(self) -> bool:
        """From segment to segment, up to the first scan: a thumbnail in one of them has a start and an end too."""
        held = self._held
        while (at := self._at) > self._most or len(held) >= at + 4:
            if at > self._most or held[at] != 0xFF:
                return self._break(self._believed)  # the last length was a lie: the next start may lie before here
            code = held[at + 1]
            if code == 0xFF:
                self._at += 1
            else:
                length = int.from_bytes(held[at + 2 : at + 4], "big")
                if code in {0x00, _START, _END}:
                    return self._break(at)
                self._believed = at + 2
                self._at = at + 2 + length
                if code == _SCAN and self._at <= self._most:
                    self._step = Splitter._scan
                    return True
        return False

    def _scan(self) -> bool:
        """Among the coefficients, which never look like a start or an end."""
        held = self._held
        match = _END_OR_START.search(held, self._at)
        reach = match.end() if match else len(held)
        if reach > self._most:
            self.oversized += 1
            del held[: self._at]
            self._step = Splitter._skip
            return True
        if match is None:
            self._at = max(self._at, len(held) - 1)
            return False
        if held[reach - 1] == _START:
            return self._break(match.start())
        self._found.append(Jpeg(self._take(reach), self._began_ns))
        return self._between(0, is_counted=False)

    def _skip(self) -> bool:
        """Among the coefficients of a picture that is too large to be held."""
        held = self._held
        match = _END_OR_START.search(held)
        if match is None:
            del held[:-1]
            return False
        if held[match.end() - 1] == _START:
            return self._between(match.start(), is_counted=True)
        return self._between(match.end(), is_counted=False)

    def _break(self, at: int) -> bool:
        self.broken += 1
        return self._between(at, is_counted=True)

    def _between(self, at: int, *, is_counted: bool) -> bool:
        """Go on from `at`, between pictures; whether what ends next, without having begun, was counted already."""
        del self._held[:at]
        self._is_counted = is_counted
        self._step = Splitter._seek
        return True

    def _take(self, end: int) -> bytearray:
        """Take the picture from what is held; only the smaller of it and the rest is copied."""
        held = self._held
        if end * 2 < len(held):
            data = held[:end]
            del held[:end]
            return data
        self._held = held[end:]
        del held[end:]
        return held
