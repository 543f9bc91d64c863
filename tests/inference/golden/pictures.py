"""The pictures of the golden records: made by integer formulas, so that any numpy on any machine makes the same bytes.

numpy's own random generators promise no such thing from one release to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

NANO = 384
"""The side of RF-DETR nano's input."""
SMALL = 96
"""What `predict(shape=...)` also takes: every pixel of many pictures can be recorded in a few kilobytes."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, and the side of the square that the package resizes it to."""

    kind: str
    height: int
    width: int
    side: int

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.height}x{self.width}_to_{self.side}"

    def rgb(self) -> Any:
        """Return uint8 [height, width, 3], RGB; the three channels differ."""
        rows, columns, channels = np.ogrid[0 : self.height, 0 : self.width, 0:3]
        return _KINDS[self.kind](rows, columns, channels).astype(np.uint8)


def _gradient(y: Any, x: Any, channel: Any) -> Any:
    """Slopes, another one in each channel; each wraps once from white to black."""
    return (3 * x * (channel + 1) + 2 * y * (3 - channel)) // 4 % 256


def _noise(y: Any, x: Any, channel: Any) -> Any:
    """Every byte by itself: nothing is smooth, nothing is aligned."""
    mixed = (y * 73_856_093) ^ (x * 19_349_663) ^ ((channel + 1) * 83_492_791)
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39), (15, 1)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) & 0xFFFF_FFFF
    return mixed & 0xFF


def _edges(y: Any, x: Any, channel: Any) -> Any:
    """Black and white and nothing between, in bars and boxes whose widths share no factor with any input side."""
    return ((y // (7 + 4 * channel) + x // (11 - 3 * channel) + (y + x) // 37) % 2) * 255


def _tiles(y: Any, x: Any, channel: Any) -> Any:
    """Tiles of every colour, fifteen by thirteen pixels."""
    return _noise(y // 15, x // 13, channel)


def _dots(y: Any, x: Any, channel: Any) -> Any:
    """Black or white, pixel by pixel: what rounding does worst with."""
    return (_noise(y, x, channel) >> 7) * 255


_KINDS = {"gradient": _gradient, "noise": _noise, "edges": _edges, "tiles": _tiles, "dots": _dots}

SEEN = (
    Picture("edges", 433, 769, NANO),
    Picture("tiles", 211, 333, NANO),
)
"""What the model looked at too: its raw outputs and predict()'s rows are recorded."""

PICTURES = (
    *SEEN,
    Picture("gradient", 480, 640, SMALL),
    Picture("edges", 1080, 1920, SMALL),
    Picture("edges", 61, 97, SMALL),
    Picture("noise", 401, 263, SMALL),
    Picture("noise", 97, 61, SMALL),
    Picture("noise", 37, 311, SMALL),
    Picture("noise", 96, 96, SMALL),  # nothing to resize
    Picture("noise", 192, 192, SMALL),  # exactly half
    Picture("dots", 96, 192, SMALL),  # half along, nothing down
    Picture("dots", 95, 97, SMALL),
    Picture("dots", 131, 113, SMALL),
    Picture("dots", 1, 97, SMALL),
    Picture("dots", 97, 1, SMALL),
    Picture("dots", 1, 1, SMALL),
)
