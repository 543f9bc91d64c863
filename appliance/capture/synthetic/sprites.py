"""Things that move, as polygons in painter's order; how they get into a picture, and how much of them is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from appliance.capture.synthetic.options import Kind

_SHIFT = 4
_SUPERSAMPLING = 2


@dataclass(frozen=True, slots=True)
class Part:
    """A polygon, (n, 2) float with the picture's width as 1, and its colour, RGB 0..255 in white light."""

    outline: Any
    colour: tuple[float, float, float]
    is_shade: bool = False
    """Lies within an earlier part: adds nothing to the outline."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """One thing: its distance, what it is (None: a prop that nobody asks for), and its light, RGB factors."""

    z: float
    kind: Kind | None
    parts: tuple[Part, ...]
    light: tuple[float, float, float]
    softness: float = 0.0
    """The blur within its outline, with the picture's width as 1."""

    @property
    def extent(self) -> tuple[float, float, float, float]:
        points = np.concatenate([part.outline for part in self.parts if not part.is_shade])
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def _fixed(outline: Any, scale: float, left: float, top: float) -> Any:
    return np.round((outline * scale - (left, top)) * (1 << _SHIFT)).astype(np.int32)


def paste(picture: Any, sprite: Sprite, hidden: Any | None) -> None:
    """Draw `sprite` into `picture` (uint8 RGB), but not where `hidden` (uint8, one plane) is set."""
    height, width = picture.shape[:2]
    left, top, right, bottom = (edge * width for edge in sprite.extent)
    x1, y1 = max(0, int(left) - 2), max(0, int(top) - 2)
    x2, y2 = min(width, int(right) + 3), min(height, int(bottom) + 3)
    if x1 >= x2 or y1 >= y2:
        return
    sampling = _SUPERSAMPLING
    canvas = np.zeros(((y2 - y1) * sampling, (x2 - x1) * sampling, 4), np.uint8)
    for part in sprite.parts:
        red, green, blue = (min(255.0, tone * light) for tone, light in zip(part.colour, sprite.light, strict=True))
        points = _fixed(part.outline, width * sampling, x1 * sampling, y1 * sampling)
        cv2.fillPoly(canvas, [points], (red, green, blue, 255), cv2.LINE_8, _SHIFT)
    small = cv2.resize(canvas, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    if sprite.softness * width > 0.3:
        blurred = cv2.GaussianBlur(small, (0, 0), sprite.softness * width)
        small = _soften(small, blurred)
    if hidden is not None:
        small = cv2.bitwise_and(small, small, mask=cv2.bitwise_not(hidden[y1:y2, x1:x2]))
    region = picture[y1:y2, x1:x2]
    behind = cv2.cvtColor(cv2.bitwise_not(small[:, :, 3]), cv2.COLOR_GRAY2RGB)
    cv2.add(cv2.multiply(region, behind, scale=1 / 255), small[:, :, :3], dst=region)


def _soften(sharp: Any, blurred: Any) -> Any:
    """Return the blurred colours within the sharp outline."""
    share = cv2.divide(sharp[:, :, 3], cv2.max(blurred[:, :, 3], 1), scale=128)
    soft = cv2.multiply(blurred, cv2.merge((share, share, share, share)), scale=1 / 128)
    soft[:, :, 3] = sharp[:, :, 3]
    return soft


def outline_mask(sprite: Sprite, width: int) -> tuple[Any, int, int]:
    """Return the whole outline as a mask (uint8, 0 or 255) of its own size, and where its corner lies: x, y."""
    left, top, right, bottom = (edge * width for edge in sprite.extent)
    x1, y1 = int(np.floor(left)) - 1, int(np.floor(top)) - 1
    mask = np.zeros((int(bottom) + 2 - y1, int(right) + 2 - x1), np.uint8)
    for part in sprite.parts:
        if not part.is_shade:
            cv2.fillPoly(mask, [_fixed(part.outline, width, x1, y1)], 255, cv2.LINE_8, _SHIFT)
    return mask, x1, y1
