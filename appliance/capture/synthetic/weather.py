"""What lies over a whole picture: the sensor's noise, rain, and the shadows of leaves in the wind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from appliance.capture.synthetic.textures import fractal

if TYPE_CHECKING:
    from appliance.capture.synthetic.backdrop import Backdrop

_SPARE = 64
_LEAVES_PER_M = 46
"""Pixels of the leaves' pattern to a metre."""


def _scrambled(seed: int, t: float, salt: int) -> int:
    """Return 32 bits that look random, always the same for one moment of one scene."""
    value = (round(t * 1e6) * 2654435761 + seed * 40503 + salt * 97) & 0xFFFFFFFF
    for shift in (15, 13, 16):
        value = ((value ^ value >> shift) * 2246822519) & 0xFFFFFFFF
    return value ^ value >> 15


class Grain:
    """Noise of the sensor: mostly in brightness, another piece of one tile for each moment."""

    def __init__(self, width: int, height: int, sigma: float, seed: int) -> None:
        rng = np.random.default_rng(seed + 61)
        shape = (height + _SPARE, width + _SPARE)
        sharp = (
            rng.standard_normal((*shape, 1), np.float32) * 0.85 + rng.standard_normal((*shape, 3), np.float32) * 0.45
        )
        soft = cv2.GaussianBlur(sharp, (0, 0), 0.7)
        tile = soft * np.float32(sigma / soft.std()) + 128
        self._tile = np.clip(np.round(tile), 0, 255).astype(np.uint8)
        self._seed = seed

    def add(self, picture: Any, t: float) -> None:
        bits = _scrambled(self._seed, t, 1)
        x, y = bits % _SPARE, (bits >> 8) % _SPARE
        tile = self._tile[y : y + picture.shape[0], x : x + picture.shape[1]]
        cv2.addWeighted(picture, 1.0, tile, 1.0, -128.0, dst=picture)


class Rain:
    """Falling drops as streaks in two distances, and where they hit the ground."""

    def __init__(self, width: int, height: int, seed: int, brightness: float) -> None:
        rng = np.random.default_rng(seed + 71)
        self._width, self._height, self._seed = width, height, seed
        self._layers = [
            (self._tile(rng, count, long, round(bright * (0.35 + 0.65 * brightness)), thick), speed)
            for count, long, bright, thick, speed in (
                (900, 0.022, 26, 1, 1.3),
                (260, 0.055, 40, max(1, round(width / 900)), 2.4),
            )
        ]
        self._bright = 60 + 110 * brightness

    def _tile(self, rng: Any, count: int, long: float, bright: int, thick: int) -> Any:
        width, height = self._width, self._height
        tile = np.zeros((height, width), np.uint8)
        for x, y, share in zip(
            rng.uniform(-0.02, 1, count) * width,
            rng.uniform(0, 1, count) * height,
            rng.uniform(0.5, 1, count),
            strict=True,
        ):
            length = long * width * share
            for wrap in (0, -height):
                ends = [
                    np.round(np.array((x + s * length * 0.10, y + wrap + s * length)) * 16).astype(int).tolist()
                    for s in (0, 1)
                ]
                cv2.line(tile, ends[0], ends[1], bright * float(share), thick, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(tile, (0, 0), 0.6)
        return cv2.cvtColor(np.concatenate((soft, soft)), cv2.COLOR_GRAY2RGB)

    def add(self, picture: Any, t: float) -> None:
        height = self._height
        self._splash(picture, t)
        for tile, speed in self._layers:
            offset = height - 1 - int(t * speed * height * 1.7) % height
            cv2.add(picture, tile[offset : offset + height], dst=picture)

    def _splash(self, picture: Any, t: float) -> None:
        rng = np.random.default_rng(_scrambled(self._seed, math.floor(t * 14) / 14, 2))
        for x, y in rng.uniform((0, 0.60), (1, 1), (26, 2)).tolist():
            size = max(1, round(self._width * 0.0032 * (y - 0.3)))
            at = round(x * self._width), round(y * self._height)
            if y * self._height < self._height * (0.88 if x < 0.40 else 0.6):
                continue
            cv2.ellipse(picture, at, (size, max(1, size // 3)), 0, 0, 360, (self._bright,) * 3, 1, cv2.LINE_AA)


class Leaves:
    """How the leaves of a tree keep the sun from the ground, and sway."""

    def __init__(self, seed: int) -> None:
        field = cv2.GaussianBlur(fractal(seed + 81, 1.5), (0, 0), 1.2)
        self.field = np.clip((field + 0.15) * 1.1, 0, 1).astype(np.float32)

    @staticmethod
    def cover(x: Any, deep: Any) -> Any:
        """Return how thick the leaves are over a place, 0..1; up a wall counts as farther away."""
        near = np.exp(-(((x - 1.6) / 2.6) ** 2) - ((deep - 7.2) / 2.2) ** 2)
        under = np.exp(-(((x - 7.2) / 2.2) ** 2) - ((deep - 11.6) / 1.3) ** 2)
        before_house = np.exp(-(((x + 3.2) / 2.2) ** 2) - ((deep - 5.4) / 1.3) ** 2) * 0.8
        return np.clip(1.25 * np.maximum(np.maximum(near, under), before_house) - 0.1, 0, 0.92)

    @staticmethod
    def sway(t: float) -> tuple[float, float]:
        """Return how far the leaves are out of their place, in pixels of their pattern."""
        gust = 0.6 + 0.4 * math.sin(t * 0.23 + 1)
        across = gust * (7 * math.sin(t * 1.1) + 3 * math.sin(t * 2.7 + 2))
        return across, gust * (4 * math.sin(t * 0.9 + 1) + 2 * math.sin(t * 2.1))

    def at(self, x: float, z: float, t: float) -> float:
        """Return the shade over a place on the ground, 0..1."""
        across, down = self.sway(t)
        column, row = int(x * _LEAVES_PER_M + across) % 511, int(z * _LEAVES_PER_M * 0.8 + down) % 511
        return float(self.field[row, column] * self.cover(x, z))


class Dapples:
    """The shadows of the leaves: where they lie, the backdrop without the sun shows through the one with it."""

    def __init__(self, backdrop: Backdrop, leaves: Leaves) -> None:
        self._backdrop, self._leaves = backdrop, leaves
        x, y, z = backdrop.places
        deep = z + 0.8 * y
        where = leaves.cover(x, deep)
        rows, columns = np.where(where > 0.02)
        window = slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)
        self._where = where[window].astype(np.float32) * 255
        self._a = (x * _LEAVES_PER_M)[window].astype(np.float32)
        self._b = (deep * _LEAVES_PER_M * 0.8)[window].astype(np.float32)
        height, width = backdrop.lit.shape[:2]
        down, across = window
        self._region = (
            slice(down.start * 4, min(height, down.stop * 4)),
            slice(across.start * 4, min(width, across.stop * 4)),
        )

        self._sun = cv2.subtract(backdrop.lit[self._region], backdrop.shaded[self._region])

    def render(self, t: float) -> Any:
        """Return the backdrop at `t`, a picture of its own."""
        across, down = self._leaves.sway(t)
        a, b = np.mod(self._a + np.float32(across), 511), np.mod(self._b + np.float32(down), 511)
        shade = cv2.remap(self._leaves.field, a, b, cv2.INTER_LINEAR) * self._where
        picture = self._backdrop.lit.copy()
        region = picture[self._region]
        full = cv2.resize(shade.astype(np.uint8), (region.shape[1], region.shape[0]), interpolation=cv2.INTER_LINEAR)
        cv2.subtract(region, cv2.multiply(self._sun, cv2.cvtColor(full, cv2.COLOR_GRAY2RGB), scale=1 / 255), dst=region)
        return picture
