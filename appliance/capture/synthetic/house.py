"""The house: wall, window, door, number, letter box and lamp."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from appliance.capture.synthetic import place
from appliance.capture.synthetic.light import PORCH_LAMP, as_array
from appliance.capture.synthetic.perspective import FOCAL
from appliance.capture.synthetic.place import FLOOR_Y, WALL_Z, box
from appliance.capture.synthetic.porch import WHITE
from appliance.capture.synthetic.textures import cells, fractal, sample

if TYPE_CHECKING:
    from appliance.capture.synthetic.canvas import Area, Canvas
    from appliance.capture.synthetic.light import Light, Rgb
    from appliance.capture.synthetic.perspective import Point3D

_DOORS: tuple[Rgb, ...] = (
    (0.16, 0.31, 0.29),
    (0.48, 0.13, 0.13),
    (0.15, 0.23, 0.37),
    (0.42, 0.27, 0.16),
    (0.22, 0.24, 0.25),
)
_PLASTER: tuple[Rgb, ...] = ((0.80, 0.755, 0.67), (0.76, 0.77, 0.755), (0.79, 0.71, 0.60), (0.70, 0.745, 0.75))
_BRICKS: tuple[Rgb, ...] = ((0.60, 0.37, 0.29), (0.66, 0.50, 0.38), (0.56, 0.45, 0.40))


def paint_house(canvas: Canvas, light: Light, seed: int) -> None:
    rng = random.Random(f"{seed} house")
    _wall(canvas, rng, seed)
    _window(canvas, light)
    _door(canvas, light, rng.choice(_DOORS))
    _number_and_box(canvas, rng)
    _lamp(canvas, light)


def _wall(canvas: Canvas, rng: random.Random, seed: int) -> None:
    bricks = rng.random() < 0.5
    base = as_array(rng.choice(_BRICKS if bricks else _PLASTER))
    corner, top = place.CORNER, place.EAVES_Y
    side = canvas.area(place.house_side())
    front = canvas.area(box(place.WALL_LEFT, corner, 0, top, WALL_Z))
    canvas.fill(side, _surface(canvas, side, base, seed, bricks=bricks) * 0.80, side_depth(side), 0.1)
    canvas.fill(front, _surface(canvas, front, base, seed, bricks=bricks), WALL_Z, 0.9)
    canvas.dim((0.68, 0.68, 0.69), 0.0003, box(place.WALL_LEFT, corner, 0, 0.42, WALL_Z))
    canvas.dim((0.84, 0.84, 0.85), 0.012, box(place.WALL_LEFT, corner, 0, 0.62, WALL_Z))
    canvas.dim(
        (0.72, 0.72, 0.75), 0.006, box(place.WALL_LEFT, corner, place.PORCH_ROOF_Y - 0.5, place.PORCH_ROOF_Y, WALL_Z)
    )


def side_depth(area: Area) -> Any:
    """Return the z at which the house's side is seen."""
    return (place.CORNER * FOCAL / np.minimum(area.u - 0.5, -0.01)).astype(np.float32)


def _surface(canvas: Canvas, area: Area, base: Any, seed: int, *, bricks: bool) -> Any:
    soft, fine = fractal(seed + 3, 2.0), fractal(seed + 4, 0.9)
    x, y = canvas.view.unproject(area.u, area.v, WALL_Z)
    stains = 0.035 * sample(soft, x * 60, y * 60)
    if not bricks:
        return (base * (1 + stains + 0.025 * sample(fine, x * 150, y * 150))[:, :, None]).astype(np.float32)
    face, joint = cells(x * 4.4, y * 13.5, 0.10)
    level = 1 + 0.10 * face + stains + 0.04 * sample(fine, x * 200, y * 200)
    mortar = as_array((0.64, 0.62, 0.58)) * joint[:, :, None]
    return (base * level[:, :, None] * (1 - joint[:, :, None]) + mortar).astype(np.float32)


def _frame(canvas: Canvas, outline: tuple[Point3D, ...], colour: Rgb, rim: float) -> None:
    """Paint a raised rectangle with a lit upper and left edge and a dark lower and right one, `rim` metres wide."""
    red, green, blue = colour
    (left, bottom, z), _, (right, top, _), _ = outline
    canvas.upright(outline, (red * 1.13, green * 1.13, blue * 1.13), 0.5)
    canvas.upright(box(left + rim, right, bottom, top - rim, z), (red * 0.72, green * 0.72, blue * 0.72), 0.4)
    canvas.upright(box(left + rim, right - rim, bottom + rim, top - rim, z), colour, 0.5)


def _window(canvas: Canvas, light: Light) -> None:
    z = WALL_Z - 0.01
    left, right, bottom, top = -4.55, -3.45, 1.05, 2.25
    _frame(canvas, box(left - 0.09, right + 0.09, bottom - 0.09, top + 0.09, z), WHITE, 0.02)
    inside = as_array((1.0, 0.78, 0.46)) * light.windows
    glass = canvas.upright(box(left, right, bottom, top, z), (0.17, 0.20, 0.23), 0.15)
    _, y = canvas.view.unproject(glass.u, glass.v, z)
    share = ((y - bottom) / (top - bottom)).astype(np.float32)[:, :, None]
    canvas.shine(glass, as_array(light.sky_bottom) / 255 * 0.22 * (0.4 + share) + inside * (0.36 + 0.30 * share))
    for a, b in ((left, left + 0.26), (right - 0.24, right)):
        curtain = canvas.upright(box(a, b, bottom, top, z), (0.66, 0.62, 0.56), 0.3)
        x, _ = canvas.view.unproject(curtain.u, curtain.v, z)
        folds = (0.86 + 0.14 * np.sin(x * 90 + np.sin(x * 31)))[:, :, None]
        canvas.colour[curtain.window] *= np.where(curtain.inside[:, :, None], folds, 1)
        canvas.shine(curtain, (inside * 0.40 * folds).astype(np.float32))
    canvas.upright(box((left + right) / 2 - 0.025, (left + right) / 2 + 0.025, bottom, top, z), WHITE, 0.5)
    canvas.upright(box(left - 0.14, right + 0.14, bottom - 0.15, bottom - 0.07, z - 0.03), (0.74, 0.73, 0.70), 0.9)
    canvas.dim((0.72, 0.72, 0.74), 0.002, box(left - 0.14, right + 0.14, bottom - 0.21, bottom - 0.15, z))


def _door(canvas: Canvas, light: Light, colour: Rgb) -> None:
    left, right, top = place.DOOR_LEFT, place.DOOR_RIGHT, place.DOOR_TOP
    z = WALL_Z - 0.01
    _frame(canvas, box(left - 0.11, right + 0.11, FLOOR_Y, top + 0.11, z), WHITE, 0.018)
    canvas.upright(box(left - 0.015, right + 0.015, FLOOR_Y, top + 0.015, z), (0.10, 0.09, 0.09), 0.1)
    leaf = canvas.area(box(left, right, FLOOR_Y + 0.03, top, z))
    x, y = canvas.view.unproject(leaf.u, leaf.v, z)
    grain = 1 + 0.05 * sample(fractal(77, 1.4), x * 260, y * 14)[:, :, None]
    canvas.fill(leaf, (as_array(colour) * grain).astype(np.float32), z, 0.6)
    middle = (left + right) / 2
    panel = colour[0] * 0.92, colour[1] * 0.92, colour[2] * 0.92
    for low, high in ((0.14, 0.68), (0.82, 1.32)):
        for a, b in ((left + 0.11, middle - 0.05), (middle + 0.05, right - 0.11)):
            _frame(canvas, box(a, b, FLOOR_Y + low, FLOOR_Y + high, z), panel, 0.02)
    for a, b in ((left + 0.11, middle - 0.05), (middle + 0.05, right - 0.11)):
        _frame(canvas, box(a, b, FLOOR_Y + 1.46, FLOOR_Y + 1.92, z), colour, 0.02)
        pane = canvas.upright(box(a + 0.035, b - 0.035, FLOOR_Y + 1.495, FLOOR_Y + 1.885, z), (0.26, 0.30, 0.32), 0.2)
        warm = as_array((1.0, 0.80, 0.50)) * light.windows * 0.6
        canvas.shine(pane, warm + as_array(light.sky_bottom) / 255 * 0.12)
    brass: Rgb = (0.78, 0.64, 0.34)
    canvas.upright(box(right - 0.095, right - 0.055, FLOOR_Y + 0.93, FLOOR_Y + 1.12, z - 0.05), brass, 0.5)
    canvas.upright(box(right - 0.17, right - 0.055, FLOOR_Y + 1.03, FLOOR_Y + 1.06, z - 0.06), (0.86, 0.73, 0.42), 0.5)
    canvas.upright(box(middle - 0.13, middle + 0.13, FLOOR_Y + 0.735, FLOOR_Y + 0.775, z), brass, 0.5)
    canvas.upright(box(left - 0.11, right + 0.11, FLOOR_Y, FLOOR_Y + 0.035, z - 0.02), (0.55, 0.53, 0.50), 0.4)


def _number_and_box(canvas: Canvas, rng: random.Random) -> None:
    z = WALL_Z - 0.02
    _frame(canvas, box(-1.66, -1.38, 1.52, 1.74, z), (0.20, 0.23, 0.28), 0.01)
    text = str(rng.randint(2, 88))
    pixel = FOCAL / z * canvas.width
    ((u, v),) = canvas.pixels([(-1.52, 1.63, z)])
    size = 0.155 * pixel / 21.0
    thick = max(1, round(0.02 * pixel))
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    ink = np.zeros((canvas.height, canvas.width), np.uint8)
    cv2.putText(ink, text, (round(u - wide / 2), round(v + high / 2)), cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick)
    canvas.colour[ink > 127] = (0.9, 0.88, 0.8)
    canvas.upright(box(-1.70, -1.62, 1.17, 1.33, z), (0.24, 0.24, 0.25), 0.4)
    bell = canvas.upright(box(-1.68, -1.64, 1.22, 1.27, z - 0.01), (0.85, 0.85, 0.82), 0.4)
    canvas.shine(bell, (0.10, 0.16, 0.22))
    _frame(canvas, box(-3.32, -3.02, 1.12, 1.52, z), (0.25, 0.28, 0.30), 0.012)
    canvas.upright(box(-3.28, -3.06, 1.42, 1.445, z - 0.01), (0.08, 0.08, 0.08), 0.2)


def _lamp(canvas: Canvas, light: Light) -> None:
    x, y, _ = PORCH_LAMP
    z = WALL_Z - 0.12
    dark: Rgb = (0.12, 0.12, 0.13)
    canvas.upright(box(x - 0.035, x + 0.035, y - 0.02, y + 0.20, z), dark, 0.4)
    canvas.upright(
        ((x - 0.10, y + 0.10, z), (x + 0.10, y + 0.10, z), (x + 0.04, y + 0.19, z), (x - 0.04, y + 0.19, z)), dark, 0.4
    )
    glass = canvas.upright(
        ((x - 0.06, y - 0.16, z), (x + 0.06, y - 0.16, z), (x + 0.085, y + 0.10, z), (x - 0.085, y + 0.10, z)),
        (0.72, 0.72, 0.68),
        0.5,
    )
    canvas.shine(glass, as_array((1.25, 1.08, 0.78)) * light.porch)
    for side in (-0.068, 0.0, 0.068):
        canvas.upright(box(x + side * 0.9 - 0.006, x + side * 0.9 + 0.006, y - 0.16, y + 0.10, z - 0.01), dark, 0.3)
    canvas.upright(box(x - 0.07, x + 0.07, y - 0.185, y - 0.155, z - 0.01), dark, 0.3)
