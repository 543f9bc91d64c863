"""How a picture lies in a buffer: a JPEG of its own length, or rows that the driver may have padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import simplejpeg

from appliance.messages import PixelFormat

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_TAIL = 64
_LEAST_SIDE = 16
_MOST_SIDE = 8192
_BLOCK = 16
"""The largest unit of a JPEG: some cameras give 1080 rows as 1088."""


class BrokenPictureError(Exception):
    """This one picture cannot be used; the next may well be."""


class Extent(NamedTuple):
    """What a picture has: pixels, and bytes once it is copied."""

    width: int
    height: int
    size: int


@dataclass(frozen=True, slots=True)
class RawPicture:
    """What the driver agreed to. `bytesperline` is the distance from one row to the next; all planes have the same."""

    format: PixelFormat
    width: int
    height: int
    bytesperline: int

    @property
    def row(self) -> int:
        """Bytes of a row without its padding."""
        return self.width * 2 if self.format is PixelFormat.YUYV else self.width

    def check(self, picture: memoryview) -> Extent:
        """Return what a buffer holds. BrokenPictureError: some of it is missing. The last row needs no padding."""
        size = self.format.raw_size(self.width, self.height)
        least = (size // self.row - 1) * self.bytesperline + self.row
        if len(picture) < least:
            raise BrokenPictureError(f"a picture of {len(picture):,} bytes, not {least:,}")
        return Extent(self.width, self.height, size)

    def copy(self, picture: memoryview, size: int, into: memoryview) -> int:
        """Write a checked picture's `size` bytes, without padding; return them."""
        row = self.row
        if self.bytesperline == row:
            into[:size] = picture[:size]
            return size
        for number in range(size // row):
            at = number * self.bytesperline
            into[number * row : (number + 1) * row] = picture[at : at + row]
        return size


class JpegPicture:
    """The JPEGs of one camera. Another size than the driver's, or no end, is taken from a camera that is steady in it:
    damage is not.
    """

    format = PixelFormat.JPEG

    def __init__(self, width: int, height: int) -> None:
        self._expected = (width, height)
        self._other = (0, 0)
        self._has_ends = False

    def check(self, picture: memoryview) -> Extent:
        """Return what a buffer holds, by its header and up to its end. BrokenPictureError: no JPEG, or damaged."""
        if picture[:2] != _SOI:
            raise BrokenPictureError("what is no JPEG")
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(picture)
        except ValueError as error:
            raise BrokenPictureError(f"a broken JPEG ({error})") from error
        self._check_size(width, height)
        return Extent(width, height, self._length(picture))

    def copy(self, picture: memoryview, size: int, into: memoryview) -> int:
        into[:size] = picture[:size]
        return size

    def _check_size(self, width: int, height: int) -> None:
        """Take the driver's size, or another that two pictures in a row agree on."""
        if not (_LEAST_SIDE <= width <= _MOST_SIDE and _LEAST_SIDE <= height <= _MOST_SIDE):
            raise BrokenPictureError(f"a JPEG of {width}x{height}")
        if abs(width - self._expected[0]) < _BLOCK and abs(height - self._expected[1]) < _BLOCK:
            self._other = (0, 0)
            return
        if (width, height) != self._other:
            self._other = (width, height)
            raise BrokenPictureError("a JPEG of {}x{}, not {}x{}".format(width, height, *self._expected))
        self._expected = (width, height)

    def _length(self, picture: memoryview) -> int:
        """Return the bytes up to the end: some drivers count what they left behind it."""
        for tail in (_TAIL, len(picture)):
            at = bytes(picture[-tail:]).rfind(_EOI)
            if at >= 0:
                self._has_ends = True
                return max(len(picture) - tail, 0) + at + len(_EOI)
        if self._has_ends:
            raise BrokenPictureError("a JPEG that is cut off")
        return len(picture)


Picture = RawPicture | JpegPicture
