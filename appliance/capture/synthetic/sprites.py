"""Things that move, as polygons in painter's order; how they get into a picture, and how much of them is seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from appliance.capture.synthetic.light import tone

if TYPE_CHECKING:
    from appliance.capture.synthetic.light import Rgb
    from appliance.capture.synthetic.options import Kind

_SHIFT = 4
_SUPERSAMPLING = 2
_THIN = 6
"""Sampled more finely still where the whole thing is only a few dozen pixels large."""


@dataclass(frozen=True, slots=True)
class Part:
    """A polygon, (n, 2) float with the picture's width as 1, and its colour, RGB 0..255 in white light."""

    outline: Any
    colour: Rgb
    is_shade: bool = False
    """Lies within an earlier part: adds nothing to the outline."""
    glows: bool = False
    """Has its colour in the dark too."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """One thing: its distance, what it is (None: a prop that nobody asks for), its light and its shadow."""

    z: float
    kind: Kind | None
    parts: tuple[Part, ...]
    light: Rgb
    """Factors on the colours."""
    colour: float = 1.0
    """1: full colours, 0: grey."""
    softness: float = 0.0
    """The blur within its outline, with the picture's width as 1."""
    shadow: Shadow | None = None
    extent: tuple[float, float, float, float] = field(init=False)
    """Left, top, right, bottom of the outline, with the picture's width as 1."""

    def __post_init__(self) -> None:
        points = np.concatenate([part.outline for part in self.parts if not part.is_shade])
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        object.__setattr__(self, "extent", (left, top, right, bottom))

    def window(self, width: int) -> tuple[int, int, int, int]:
        """Return x1, y1, x2, y2 in a picture that wide; they may lie beyond its edges."""
        left, top, right, bottom = self.extent
        return int(left * width // 1) - 1, int(top * width // 1) - 1, int(right * width) + 2, int(bottom * width) + 2

    def shown(self) -> list[list[float]]:
        """Return each part's colour as the camera records it, RGB 0..255, and 255."""
        lit = np.array([part.colour for part in self.parts])
        dark = np.array([not part.glows for part in self.parts])
        lit[dark] *= self.light
        colours = np.full((len(lit), 4), 255.0)
        recorded = tone(lit / 255) * 255
        grey = recorded.mean(axis=1, keepdims=True)
        colours[:, :3] = grey + (recorded - grey) * self.colour
        listed: list[list[float]] = colours.tolist()
        return listed

    def fixed(self, scale: float, left: float, top: float) -> list[Any]:
        """Return the parts' outlines for fillPoly, in a window of a picture `scale` wide."""
        points = np.concatenate([part.outline for part in self.parts]) * scale - (left + 0.5, top + 0.5)
        whole = np.round(points * (1 << _SHIFT)).astype(np.int32)
        return np.split(whole, np.cumsum([len(part.outline) for part in self.parts])[:-1])


@dataclass(frozen=True, slots=True)
class Shadow:
    """Where a thing touches the ground, and how dark that is: all lengths with the picture's width as 1."""

    u: float
    v: float
    wide: float
    contact: float
    """How much of the light the thing takes from the ground beneath it, 0..1."""
    sun: float
    """How dark its shadow in the sun is, 0..1."""


def paste(picture: Any, sprite: Sprite, hides: Any) -> None:
    """Draw `sprite` into `picture` (uint8 RGB) where nothing nearer stands: `hides` is the backdrop's."""
    height, width = picture.shape[:2]
    left, top, right, bottom = sprite.window(width)
    x1, y1, x2, y2 = max(0, left), max(0, top), min(width, right), min(height, bottom)
    if x1 >= x2 or y1 >= y2:
        return
    sampling = _THIN if (x2 - x1) * (y2 - y1) < 2500 else _SUPERSAMPLING
    canvas = np.zeros(((y2 - y1) * sampling, (x2 - x1) * sampling, 4), np.uint8)
    outlines = sprite.fixed(width * sampling, x1 * sampling, y1 * sampling)
    for outline, colour in zip(outlines, sprite.shown(), strict=True):
        cv2.fillPoly(canvas, [outline], colour, cv2.LINE_8, _SHIFT)
    small = cv2.resize(canvas, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    box = 2 * round(sprite.softness * width * 1.2) + 1
    if box > 1:
        small = _soften(small, cv2.blur(small, (box, box)))
    hidden = nearer(hides[y1:y2, x1:x2], sprite.z)
    if cv2.countNonZero(hidden):
        seen = cv2.blur(cv2.bitwise_not(hidden), (3, 3))
        small = cv2.multiply(small, cv2.merge((seen, seen, seen, seen)), scale=1 / 255)
    region = picture[y1:y2, x1:x2]
    behind = cv2.cvtColor(cv2.bitwise_not(small[:, :, 3]), cv2.COLOR_GRAY2RGB)
    cv2.add(cv2.multiply(region, behind, scale=1 / 255), cv2.cvtColor(small, cv2.COLOR_RGBA2RGB), dst=region)


def nearer(depths: Any, z: float) -> Any:
    """Return a mask (uint8, 0 or 255) of the depths that are less than `z`."""
    limit: Any = z
    return cv2.compare(depths, limit, cv2.CMP_LT)


def cast_shadow(picture: Any, sprite: Sprite) -> None:
    """Darken the ground under `sprite`, and where it keeps the sun off."""
    shadow = sprite.shadow
    if shadow is None:
        return
    height, width = picture.shape[:2]
    u, v, wide = shadow.u * width, shadow.v * width, shadow.wide * width
    if shadow.sun > 0.03:
        _cast_by_sun(picture, sprite, v, shadow.sun)
    x1, x2 = max(0, int(u - wide * 1.5)), min(width, int(u + wide * 1.5) + 2)
    y1, y2 = max(0, int(v - wide * 0.75)), min(height, int(v + wide * 0.75) + 2)
    if x1 >= x2 or y1 >= y2:
        return
    mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
    axes = max(1, round(wide * 0.8)), max(1, round(wide * 0.26))
    cv2.ellipse(mask, (round(u) - x1, round(v) - y1), axes, 0, 0, 360, round(255 * shadow.contact), -1)
    _darken(picture[y1:y2, x1:x2], _blurred(mask, wide * 0.2))


def _cast_by_sun(picture: Any, sprite: Sprite, v: float, dark: float) -> None:
    """Lay the outline down on the ground, away from the sun: it comes from the left, behind the camera."""
    height, width = picture.shape[:2]
    whole, left, top = outline_mask(sprite, width // 2)
    lean, flat = 0.42, 0.17
    tall = v - top * 2
    x1, x2 = max(0, int(left * 2 - 6)), min(width, int(left * 2 + whole.shape[1] * 2 + tall * lean + 8))
    y1, y2 = max(0, int(v - tall * flat - 6)), min(height, int(v + 8))
    if x1 >= x2 or y1 >= y2:
        return
    # A point of the mask at (a, b) lies at (2 (a + left), 2 (b + top)) in the picture.
    matrix = np.array(
        ((2, -2 * lean, 2 * left + (v - 2 * top) * lean - x1), (0, 2 * flat, v - (v - 2 * top) * flat - y1))
    )
    mask = cv2.warpAffine(whole, matrix, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR)
    _darken(picture[y1:y2, x1:x2], cv2.convertScaleAbs(_blurred(mask, tall * 0.010), alpha=dark))


def _blurred(mask: Any, sigma: float) -> Any:
    """Return nearly a Gaussian blur, for a fraction of its price."""
    box = 2 * max(1, round(sigma * 1.1)) + 1
    return cv2.blur(cv2.blur(mask, (box, box)), (box, box))


def _darken(region: Any, mask: Any) -> None:
    cv2.multiply(region, cv2.cvtColor(cv2.bitwise_not(mask), cv2.COLOR_GRAY2RGB), dst=region, scale=1 / 255)


def outline_mask(sprite: Sprite, width: int) -> tuple[Any, int, int]:
    """Return the whole outline as a mask (uint8, 0 or 255) of its own size, and where its corner lies: x, y."""
    x1, y1, x2, y2 = sprite.window(width)
    mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
    for part, outline in zip(sprite.parts, sprite.fixed(width, x1, y1), strict=True):
        if not part.is_shade:
            cv2.fillPoly(mask, [outline], 255, cv2.LINE_8, _SHIFT)
    return mask, x1, y1


def _soften(sharp: Any, blurred: Any) -> Any:
    """Return the blurred colours within the sharp outline."""
    share = cv2.divide(sharp[:, :, 3], np.maximum(blurred[:, :, 3], 1), scale=128)
    soft = cv2.multiply(blurred, cv2.merge((share, share, share, share)), scale=1 / 128)
    soft[:, :, 3] = sharp[:, :, 3]
    return soft
