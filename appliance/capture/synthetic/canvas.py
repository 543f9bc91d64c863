"""A picture in the making: the colours of things, how the sun strikes them, what glows, and how far away all is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from appliance.capture.synthetic.light import as_array
from appliance.capture.synthetic.perspective import FOCAL, Perspective

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.capture.synthetic.light import Rgb
    from appliance.capture.synthetic.perspective import Point3D

_SHIFT = 4
FAR = 1e6


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the canvas: `window` is its rectangle, `inside` (bool) its shape within that, u and v its places."""

    window: tuple[slice, slice]
    inside: Any
    u: Any
    v: Any


class Canvas:
    """Float32 layers of one size. Colours are RGB 0..1 in white light; depth is z in metres."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.view = Perspective(height / width)
        self.colour = np.zeros((height, width, 3), np.float32)
        self.sun = np.zeros((height, width), np.float32)
        self.glow = np.zeros((height, width, 3), np.float32)
        self.depth = np.full((height, width), FAR, np.float32)
        self.hides = np.full((height, width), FAR, np.float32)
        """The z beyond which nothing is seen here: as depth, but the ground hides nothing."""

    def pixels(self, points: Sequence[Point3D]) -> Any:
        return self.view.project(points) * self.width

    def rows(self, top: float, bottom: float) -> Area:
        """Return the whole width between two v."""
        y1, y2 = max(0, int(top * self.width)), min(self.height, int(bottom * self.width))
        return self._area(0, y1, self.width, y2, None)

    def area(self, *outlines: Sequence[Point3D]) -> Area:
        """Return what polygons in the scene cover, together."""
        fixed = [np.round(self.pixels(outline) * (1 << _SHIFT)).astype(np.int32) for outline in outlines]
        corners = np.concatenate(fixed) >> _SHIFT
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        x1, y1 = max(0, left - 1), max(0, top - 1)
        x2, y2 = max(x1, min(self.width, right + 2)), max(y1, min(self.height, bottom + 2))
        mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
        if mask.size:
            for points in fixed:
                shifted = points - np.array((x1 << _SHIFT, y1 << _SHIFT), np.int32)
                cv2.fillPoly(mask, [shifted], 255, cv2.LINE_8, _SHIFT)
        return self._area(x1, y1, x2, y2, mask > 0)

    def _area(self, x1: int, y1: int, x2: int, y2: int, inside: Any) -> Area:
        rows, columns = np.mgrid[y1:y2, x1:x2].astype(np.float32)
        everywhere = np.ones((y2 - y1, x2 - x1), bool)
        u, v = (columns + 0.5) / self.width, (rows + 0.5) / self.width
        return Area((slice(y1, y2), slice(x1, x2)), everywhere if inside is None else inside, u, v)

    def fill(self, area: Area, colour: Any, z: Any, sun: float = 0.0, *, hides: bool = True) -> None:
        """Paint a surface; colour and z are one value, or an array over the area's window."""
        chosen = area.inside
        self.colour[area.window][chosen] = colour[chosen] if isinstance(colour, np.ndarray) else colour
        self.sun[area.window][chosen] = sun
        self.depth[area.window][chosen] = z[chosen] if isinstance(z, np.ndarray) else z
        self.hides[area.window][chosen] = (z[chosen] if isinstance(z, np.ndarray) else z) if hides else FAR
        self.glow[area.window][chosen] = 0

    def upright(self, points: Sequence[Point3D], colour: Rgb, sun: float = 0.0) -> Area:
        """Paint a flat polygon in one colour, at the mean of its depths."""
        area = self.area(points)
        self.fill(area, colour, sum(point[2] for point in points) / len(points), sun)
        return area

    def shine(self, area: Area, glow: Any) -> None:
        """Let an area glow; one colour, or an array over its window."""
        self.glow[area.window][area.inside] = (
            glow[area.inside] if isinstance(glow, np.ndarray) and glow.ndim > 1 else glow
        )

    def dim(self, factor: Rgb, soft: float, *outlines: Sequence[Point3D]) -> None:
        """Darken what polygons cover, with edges `soft` (picture widths) wide: for grime and standing shadows."""
        area = self.area(*outlines)
        pad = int(soft * self.width * 2.5) + 1
        (rows, columns), shape = area.window, area.inside.shape
        if 0 in shape:
            return
        y1, x1 = max(0, rows.start - pad), max(0, columns.start - pad)
        y2, x2 = min(self.height, rows.stop + pad), min(self.width, columns.stop + pad)
        share = np.zeros((y2 - y1, x2 - x1), np.float32)
        share[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1] = area.inside
        share = cv2.GaussianBlur(share, (0, 0), max(0.5, soft * self.width), borderType=cv2.BORDER_REPLICATE)
        self.colour[y1:y2, x1:x2] *= 1 + share[:, :, None] * (as_array(factor) - 1)

    def leaves(self, points: Any, sizes: Any, colours: Any, seed: int, sun: Any) -> None:
        """Scatter leaves: points (n, 3), sizes (n) in metres, colours (n, 3), sun (n); the first lies at the back."""
        rng = np.random.default_rng(seed)
        spots = self.view.project(points) * self.width
        sizes = np.maximum(0.75, sizes * FOCAL / points[:, 2] * self.width)
        turns, slim = rng.uniform(0, np.pi, len(sizes)), rng.uniform(0.3, 0.62, len(sizes))
        circle = np.linspace(0, 2 * np.pi, 6, endpoint=False)
        x, y = np.cos(circle)[None, :] * sizes[:, None], np.sin(circle)[None, :] * (sizes * slim)[:, None]
        sin, cos = np.sin(turns)[:, None], np.cos(turns)[:, None]
        outlines = np.stack((spots[:, :1] + x * cos - y * sin, spots[:, 1:] + x * sin + y * cos), axis=2)
        fixed = np.round(outlines * (1 << _SHIFT)).astype(np.int32)
        left, top = np.maximum(0, np.floor(outlines.min(axis=(0, 1))).astype(int))
        right, bottom = np.minimum((self.width, self.height), np.ceil(outlines.max(axis=(0, 1))).astype(int) + 1)
        if left >= right or top >= bottom:
            return
        where = np.zeros((self.height, self.width), np.uint8)
        for outline, colour, lit in zip(fixed, colours.tolist(), sun.tolist(), strict=True):
            cv2.fillConvexPoly(self.colour, outline, colour, cv2.LINE_8, _SHIFT)
            cv2.fillConvexPoly(self.sun, outline, lit, cv2.LINE_8, _SHIFT)
            cv2.fillConvexPoly(where, outline, 255, cv2.LINE_8, _SHIFT)
        window = slice(top, bottom), slice(left, right)
        chosen = where[window] > 0
        self.depth[window][chosen], self.glow[window][chosen] = float(points[:, 2].mean()), 0
