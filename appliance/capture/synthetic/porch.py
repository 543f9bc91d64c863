"""The porch before the door: its floor with a step and a mat, its pillar, its roof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from appliance.capture.synthetic import place
from appliance.capture.synthetic.light import as_array
from appliance.capture.synthetic.perspective import FOCAL
from appliance.capture.synthetic.place import FLOOR_Y, WALL_Z, box, flat
from appliance.capture.synthetic.plants import paint_pot
from appliance.capture.synthetic.textures import cells, fractal, sample

if TYPE_CHECKING:
    from appliance.capture.synthetic.canvas import Canvas
    from appliance.capture.synthetic.light import Rgb

WHITE: Rgb = (0.87, 0.865, 0.84)


def paint_porch(canvas: Canvas, seed: int, *, wet: bool) -> None:
    _floor(canvas, seed, wet=wet)
    paint_pot(canvas, seed)
    _pillar_and_roof(canvas, seed)


def _floor(canvas: Canvas, seed: int, *, wet: bool) -> None:
    left, right, front = place.FLOOR_LEFT, place.FLOOR_RIGHT, place.FLOOR_FRONT_Z
    floor = canvas.area(flat(left, right, front, WALL_Z, FLOOR_Y))
    z = canvas.view.ground_depth(floor.v, FLOOR_Y)
    x = (floor.u - 0.5) * z / FOCAL
    face, joint = cells(x * 1.6, (z - 0.2) * 2.4, 0.035, bond=0.5)
    grain = 0.05 * sample(fractal(seed + 6, 1.2), x * 90, z * 90)
    tiles = as_array((0.62, 0.57, 0.52)) * ((1 + 0.06 * face + grain) * (1 - 0.3 * joint))[:, :, None]
    if wet:
        tiles = tiles * np.where(z < front + 0.35, 0.78, 1.0)[:, :, None]
    canvas.fill(floor, tiles.astype(np.float32), z, 0.75, hides=False)
    canvas.dim((0.60, 0.60, 0.62), 0.004, flat(left, right, front - 0.16, front))
    for bottom, top, colour in ((0.0, FLOOR_Y, (0.47, 0.44, 0.41)), (FLOOR_Y - 0.035, FLOOR_Y, (0.74, 0.70, 0.64))):
        canvas.fill(canvas.area(box(left, right, bottom, top, front)), colour, front, 0.8, hides=False)
    canvas.dim((0.58, 0.58, 0.60), 0.005, flat(left, right, WALL_Z - 0.12, WALL_Z, FLOOR_Y))
    _mat(canvas, seed)


def _mat(canvas: Canvas, seed: int) -> None:
    canvas.dim((0.72, 0.72, 0.74), 0.003, place.MAT)
    mat = canvas.area(place.MAT)
    z = canvas.view.ground_depth(mat.v, FLOOR_Y)
    x = (mat.u - 0.5) * z / FOCAL
    bristle = 1 + 0.16 * sample(fractal(seed + 7, 0.2), x * 300, z * 300)[:, :, None]
    canvas.fill(mat, (as_array((0.40, 0.30, 0.20)) * bristle).astype(np.float32), z, 0.7, hides=False)
    (left, y, near), (right, _, _), (_, _, far), _ = place.MAT
    for rim in (0.04, 0.07):
        line = canvas.pixels(flat(left + rim, right - rim, near + rim, far - rim, y))
        thick = max(1, canvas.width // 900)
        cv2.polylines(
            canvas.colour, [np.round(line).astype(np.int32)], isClosed=True, color=(0.24, 0.17, 0.12), thickness=thick
        )


def pillar_outlines() -> tuple[Any, ...]:
    left, right, z = place.PILLAR_LEFT, place.PILLAR_RIGHT, place.PILLAR_Z
    return (
        box(left, right, FLOOR_Y, place.PORCH_ROOF_Y, z),
        box(left - 0.05, right + 0.05, FLOOR_Y, FLOOR_Y + 0.16, z),
        box(left - 0.05, right + 0.05, place.PORCH_ROOF_Y - 0.12, place.PORCH_ROOF_Y, z),
    )


def _pillar_and_roof(canvas: Canvas, seed: int) -> None:
    left, right, z = place.PILLAR_LEFT, place.PILLAR_RIGHT, place.PILLAR_Z
    canvas.dim((0.6, 0.6, 0.62), 0.004, flat(left - 0.04, right + 0.12, z - 0.08, z + 0.2, FLOOR_Y))
    for outline in pillar_outlines():
        part = canvas.area(outline)
        x, _ = canvas.view.unproject(part.u, part.v, z)
        across = np.clip((x - left + 0.05) / (right - left + 0.1), 0, 1)
        rounding = 0.60 + 0.44 * np.sin((0.16 + across * 0.80) * np.pi) ** 0.8
        canvas.fill(part, (as_array(WHITE) * rounding[:, :, None]).astype(np.float32), z, 0.85)
    _soffit_and_beam(canvas, seed)


def _soffit_and_beam(canvas: Canvas, seed: int) -> None:
    y, z = place.PORCH_ROOF_Y, place.PILLAR_Z
    under = canvas.area(((-6.2, y, z - 0.1), (-0.55, y, z - 0.1), (-0.55, y, WALL_Z), (-6.2, y, WALL_Z)))
    boards = 0.9 + 0.1 * np.clip(np.abs(np.mod((under.u - 0.5) * 41, 1) - 0.5) * 14, 0, 1)
    canvas.fill(under, (as_array((0.66, 0.645, 0.61)) * boards[:, :, None]).astype(np.float32), 6.0, 0.0)
    beam = canvas.area(box(-6.2, -0.52, y, y + 0.24, z - 0.12))
    wood = 1 + 0.03 * sample(fractal(seed + 8, 1.5), beam.u * 300, beam.v * 3000)[:, :, None]
    canvas.fill(beam, (as_array(WHITE) * 0.96 * wood).astype(np.float32), z - 0.1, 0.95)
    canvas.upright(box(-6.3, -0.44, y + 0.24, y + 0.33, z - 0.2), (0.28, 0.29, 0.31), 0.9)
    roof = canvas.area(
        ((-6.4, y + 0.33, z - 0.2), (-0.4, y + 0.33, z - 0.2), (-0.8, y + 1.5, WALL_Z), (-6.4, y + 1.5, WALL_Z))
    )
    row = roof.v * 62
    stagger = np.mod(roof.u * 48 + 0.5 * np.mod(np.floor(row), 2), 1.0)
    face = np.mod(
        np.sin(np.floor(row) * 91.7 + np.floor(roof.u * 48 + 0.5 * np.mod(np.floor(row), 2)) * 37.3) * 4371.5, 1
    )
    level = (0.80 + 0.22 * np.mod(row, 1.0)) * (0.92 + 0.12 * face) * np.where(stagger < 0.05, 0.8, 1.0)
    canvas.fill(roof, (as_array((0.44, 0.31, 0.265)) * level[:, :, None]).astype(np.float32), z, 0.95)
