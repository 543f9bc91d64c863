"""What grows above the ground: trees, hedge, bush and pot, each made of leaves."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.capture.synthetic import place
from appliance.capture.synthetic.place import FLOOR_Y, box, flat

if TYPE_CHECKING:
    from appliance.capture.synthetic.canvas import Canvas
    from appliance.capture.synthetic.light import Rgb
    from appliance.capture.synthetic.perspective import Point3D

_BLOOMS = ((0.82, 0.48, 0.60), (0.88, 0.84, 0.78), (0.64, 0.52, 0.80), (0.86, 0.62, 0.32))


def paint_hedge(canvas: Canvas, seed: int) -> None:
    rng = np.random.default_rng(seed + 21)
    top, z = place.HEDGE_TOP, place.HEDGE_Z
    for outline in place.hedge_tops():
        left, right = outline[0][0], outline[-1][0]
        canvas.dim((0.60, 0.62, 0.60), 0.003, flat(left, right, z - 0.45, z))
        canvas.fill(canvas.area(outline), (0.115, 0.165, 0.085), z, 0.3)
        count = int((right - left) * 700)
        x, y = rng.uniform(left, right, count), top * rng.beta(1.3, 1.0, count) + 0.01
        order = np.argsort(y + rng.normal(0, 0.15, count))
        points = np.stack((x, y, np.full(count, z)), 1)[order]
        _scatter(canvas, points, points[:, 1] / top, rng, size=0.036, tones=((0.17, 0.26, 0.115), (0.37, 0.48, 0.215)))


def paint_tree(canvas: Canvas, foot: tuple[float, float], height: float, spread: float, seed: int) -> None:
    """Paint a tree: clumps of leaves around branches, each lit from above left and dark below."""
    rng = np.random.default_rng(seed + 31)
    x, z = foot
    canvas.dim((0.66, 0.67, 0.66), 0.004, flat(x - 0.55, x + 0.6, z - 0.25, z + 0.2))
    top, wide = height * 0.8, 0.028 * height
    canvas.upright(
        (
            (x - wide * 1.5, 0, z),
            (x + wide * 1.5, 0, z),
            (x + wide, 0.5, z),
            (x + wide * 0.5, top, z),
            (x - wide * 0.5, top, z),
            (x - wide, 0.5, z),
        ),
        (0.31, 0.26, 0.215),
        0.55,
    )
    canvas.upright(
        ((x + wide * 0.2, 0, z), (x + wide * 1.5, 0, z), (x + wide, 0.5, z), (x + wide * 0.5, top, z)),
        (0.22, 0.185, 0.155),
        0.2,
    )
    for side, low in ((-1, 0.42), (1, 0.48), (-1, 0.56)):
        tip = x + side * spread * 0.55
        canvas.upright(
            (
                (x - wide * 0.4, height * low, z),
                (x + wide * 0.4, height * low + 0.1, z),
                (tip, height * (low + 0.26), z),
            ),
            (0.25, 0.21, 0.175),
            0.3,
        )
    centre, clumps = height * 0.72, 46
    angles, far = rng.uniform(0, 2 * np.pi, clumps), np.sqrt(rng.uniform(0.02, 1, clumps))
    cx, cy = x + np.cos(angles) * far * spread * 0.86, centre + np.sin(angles) * far * spread * 0.66
    size = spread * rng.uniform(0.19, 0.33, clumps)
    order = np.argsort(cy - 0.25 * cx + rng.normal(0, 0.5, clumps))
    fine = 0.066 if z < 15 else 0.10
    many = 210 if z < 15 else 42
    for one in order:
        turn, out = rng.uniform(0, 2 * np.pi, many), np.sqrt(rng.uniform(0, 1, many)) * rng.uniform(0.8, 1.15, many)
        px, py = cx[one] + np.cos(turn) * out * size[one], cy[one] + np.sin(turn) * out * size[one] * 0.74
        inside = (py - cy[one]) / size[one] - 0.45 * (px - cx[one]) / size[one]
        whole = (cy[one] - centre) / spread - 0.35 * (cx[one] - x) / spread
        high = 0.42 + 0.30 * inside + 0.26 * whole
        nearest = np.argsort(high + rng.normal(0, 0.18, many))
        points = np.stack((px, py, np.full(many, z)), 1)[nearest]
        _scatter(canvas, points, high[nearest], rng, size=fine, tones=((0.125, 0.195, 0.085), (0.43, 0.53, 0.235)))


def paint_bush(canvas: Canvas, seed: int) -> None:
    rng = np.random.default_rng(seed + 41)
    outline = place.bush_outline()
    x, z = place.BUSH
    canvas.dim((0.55, 0.56, 0.55), 0.010, flat(x - 0.7, x + 0.8, z - 0.25, z + 0.25))
    canvas.fill(canvas.area(outline), (0.095, 0.14, 0.08), z, 0.2)
    points = _ball(rng, (x, 0.36, z), 0.78, 0.56, 3400)
    _scatter(
        canvas,
        points,
        (points[:, 1] - 0.05) * 0.75 - (points[:, 0] - x) * 0.25,
        rng,
        size=0.027,
        tones=((0.13, 0.205, 0.11), (0.35, 0.46, 0.245)),
    )
    bloom = points[rng.choice(len(points), 90, replace=False)]
    tones = np.array(random.Random(f"{seed} bloom").choice(_BLOOMS)) * rng.uniform(0.8, 1.12, (90, 1))
    canvas.leaves(bloom, np.full(90, 0.021), np.clip(tones, 0, 1), seed, np.full(90, 0.8))


def paint_pot(canvas: Canvas, seed: int) -> None:
    rng = np.random.default_rng(seed + 51)
    (x, z), floor = place.POT, FLOOR_Y
    canvas.dim((0.52, 0.52, 0.54), 0.004, flat(x - 0.2, x + 0.24, z - 0.1, z + 0.12, floor))
    for left, right, tone in ((-1.0, 1.0, 1.0), (0.25, 1.0, 0.84), (0.65, 1.0, 0.82)):
        low, high = 0.12, 0.165
        foot, rim = box(x + left * low, x + right * low, floor, floor, z), floor + 0.34
        outline = *foot[:2], (x + right * high, rim, z), (x + left * high, rim, z)
        canvas.upright(outline, (0.58 * tone, 0.36 * tone, 0.265 * tone), 0.6 * tone)
    canvas.upright(box(x - 0.18, x + 0.18, floor + 0.31, floor + 0.37, z), (0.64, 0.41, 0.305), 0.7)
    points = _ball(rng, (x, floor + 0.64, z), 0.25, 0.29, 1300)
    _scatter(
        canvas,
        points,
        (points[:, 1] - floor - 0.42) * 1.7 - (points[:, 0] - x) * 0.8,
        rng,
        size=0.019,
        tones=((0.10, 0.17, 0.10), (0.32, 0.43, 0.22)),
    )


def _ball(rng: Any, centre: Point3D, wide: float, high: float, count: int) -> Any:
    """Return (count, 3) points within an upright ellipse, the lowest first, about."""
    angles, far = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    edge = 1 + 0.05 * np.sin(angles * 7) + 0.04 * np.sin(angles * 13 + 2)
    x, y = centre[0] + wide * far * edge * np.cos(angles), centre[1] + high * far * edge * np.sin(angles)
    order = np.argsort(y - 0.3 * x + rng.normal(0, 0.25 * high, count))
    return np.stack((x, y, np.full(count, centre[2])), 1)[order]


def _scatter(canvas: Canvas, points: Any, high: Any, rng: Any, *, size: float, tones: tuple[Rgb, Rgb]) -> None:
    """Scatter leaves of about `size` metres: where `high` is 1 they are pale and sunny, at 0 dark."""
    dark, pale = np.array(tones[0]), np.array(tones[1])
    count = len(points)
    share = np.clip(high + rng.normal(0, 0.15, count), 0, 1)
    colours = (dark + (pale - dark) * share[:, None]) * rng.uniform(0.9, 1.1, (count, 1))
    sizes = size * rng.uniform(0.6, 1.3, count)
    canvas.leaves(points, sizes, np.clip(colours, 0, 1), int(rng.integers(1 << 30)), 0.25 + 0.7 * share)
