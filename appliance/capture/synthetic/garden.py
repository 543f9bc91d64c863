"""What one walks and drives on, and what lies beyond: lawn, path, street, the houses over there, the sky."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.capture.synthetic import place
from appliance.capture.synthetic.light import STREET_LAMP, as_array
from appliance.capture.synthetic.perspective import FOCAL
from appliance.capture.synthetic.place import box
from appliance.capture.synthetic.plants import paint_tree
from appliance.capture.synthetic.textures import cells, fractal, sample

if TYPE_CHECKING:
    from appliance.capture.synthetic.canvas import Area, Canvas
    from appliance.capture.synthetic.light import Light, Rgb

_WALLS: tuple[Rgb, ...] = (
    (0.78, 0.72, 0.62),
    (0.66, 0.50, 0.42),
    (0.80, 0.79, 0.76),
    (0.62, 0.64, 0.64),
    (0.74, 0.66, 0.52),
)
_ROOFS: tuple[Rgb, ...] = ((0.40, 0.26, 0.22), (0.30, 0.30, 0.33), (0.46, 0.33, 0.26))
_INDOORS: tuple[Rgb, ...] = ((1.0, 0.74, 0.40), (1.0, 0.84, 0.58), (0.66, 0.74, 0.95))


def paint_sky(canvas: Canvas, light: Light, seed: int) -> None:
    """Paint the sky as a glow: no lamp shines on it."""
    area = canvas.rows(0, canvas.view.horizon + 0.004)
    height = np.clip(1 - area.v / canvas.view.horizon, 0, 1)
    top, bottom = (as_array(tones) / 255 for tones in (light.sky_top, light.sky_bottom))
    sky = bottom + (top - bottom) * (height**0.75)[:, :, None]
    away = 1.0 / (height + 0.16)
    field = fractal(seed + 11, 2.4)
    across, down = (area.u - 0.5) * away * 130 + seed * 31, away * 150
    clouds = sample(field, across, down) + 0.22 * sample(field, across * 3.1, down * 3.1)
    share = np.clip((clouds - 0.1) * 0.6, 0, 0.9) * np.clip(height * 6, 0.2, 1)
    puffs = np.minimum(1.0, bottom * 0.5 + float(bottom.mean()) * 0.5 + 0.08)
    belly = puffs * (1 - 0.16 * np.clip(clouds - 0.9, 0, 1))[:, :, None]
    canvas.glow[area.window] = sky + (belly - sky) * share[:, :, None]


def paint_distance(canvas: Canvas, seed: int) -> None:
    """Paint the trees at the horizon."""
    field = fractal(seed + 5, 1.8)
    for z, height, colour in ((75.0, 7.5, (0.44, 0.50, 0.54)), (48.0, 5.0, (0.29, 0.38, 0.31))):
        area = canvas.rows(canvas.view.horizon - 0.14, canvas.view.horizon + 0.03)
        x, y = canvas.view.unproject(area.u, area.v, z)
        edge = height * (0.75 + 0.22 * sample(field, x * 4 + z, x * 0) + 0.06 * sample(field, x * 30, x * 0 + 9))
        grain = 1 + 0.10 * sample(field, x * 22, y * 22)[:, :, None]
        area.inside[:] = (y < edge) & (y > -0.5)
        canvas.fill(area, as_array(colour) * grain, z, 0.6, hides=False)


def paint_houses(canvas: Canvas, light: Light, seed: int) -> None:
    rng = random.Random(f"{seed} houses")
    left = -4.0
    while left < 22:
        wide = rng.uniform(5.5, 8.0)
        _house(canvas, light, rng, (left, left + wide), z=31.0 + rng.uniform(0, 3))
        left += wide + rng.uniform(1.2, 3.0)


def paint_beyond(canvas: Canvas, seed: int) -> None:
    """Paint what stands at the far side of the street."""
    rng = random.Random(f"{seed} beyond")
    z, left = 27.2, -4.0
    while left < 20:
        right = left + rng.uniform(3.5, 6.5)
        if rng.random() < 0.5:
            canvas.upright(box(left, right, 0, 1.15, z), (0.22, 0.31, 0.16), 0.7)
            canvas.upright(box(left, right, 0, 0.55, z), (0.15, 0.22, 0.12), 0.5)
        else:
            tone = rng.uniform(0.62, 0.82)
            canvas.upright(box(left, right, 0, 0.95, z), (tone * 0.80, tone * 0.78, tone * 0.74), 0.8)
            canvas.upright(box(left, right, 0.87, 0.98, z), (tone, tone * 0.98, tone * 0.94), 0.9)
        left = right + rng.choice((0.0, 1.1))
    for x in (0.3, 9.4, 15.8):
        paint_tree(
            canvas, (x + rng.uniform(-0.8, 0.8), 26.4), rng.uniform(4.8, 6.0), rng.uniform(1.7, 2.2), seed + int(x)
        )
    x, y, z = STREET_LAMP
    canvas.upright(box(x - 0.045, x + 0.045, 0, y, z), (0.26, 0.28, 0.28), 0.6)
    canvas.upright(
        ((x - 0.28, y, z), (x + 0.28, y, z), (x + 0.16, y + 0.14, z), (x - 0.16, y + 0.14, z)), (0.24, 0.26, 0.26), 0.6
    )


def paint_street_lamp(canvas: Canvas, light: Light) -> None:
    x, y, z = STREET_LAMP
    head = canvas.upright(box(x - 0.22, x + 0.22, y - 0.09, y, z), (0.80, 0.80, 0.76), 0.6)
    canvas.shine(head, as_array((1.2, 1.15, 0.98)) * light.street)


def _house(canvas: Canvas, light: Light, rng: random.Random, span: tuple[float, float], *, z: float) -> None:
    left, right = span
    eaves, ridge = rng.uniform(4.4, 5.4), rng.uniform(6.8, 7.8)
    canvas.upright(box(left, right, 0, eaves, z), rng.choice(_WALLS), 0.75)
    canvas.dim((0.78, 0.78, 0.80), 0.001, box(left, right, eaves - 0.4, eaves, z))
    inset = rng.choice((0.5, 0.18, 0.18)) * (right - left)
    roof = ((left - 0.35, eaves, z), (right + 0.35, eaves, z), (right - inset, ridge, z), (left + inset, ridge, z))
    canvas.upright(roof, rng.choice(_ROOFS), 0.6)
    chimney = left + (right - left) * rng.uniform(0.3, 0.4)
    canvas.upright(box(chimney, chimney + 0.5, ridge - 1.0, ridge + 0.5, z), (0.45, 0.32, 0.27), 0.6)
    count = max(2, int((right - left) / 2.2))
    for floor in (1.0, 3.1):
        for number in range(count):
            middle = left + (right - left) * (number + 0.5) / count
            canvas.upright(
                box(middle - 0.60, middle + 0.60, floor - 0.1, floor + 1.4, z - 0.02), (0.88, 0.88, 0.86), 0.6
            )
            for half in (-1, 1):
                pane = box(
                    min(middle + half * 0.5, middle + half * 0.04),
                    max(middle + half * 0.5, middle + half * 0.04),
                    floor,
                    floor + 1.3,
                    z,
                )
                area = canvas.upright(pane, (0.20, 0.24, 0.29), 0.2)
                if half < 0:
                    lit, warm = (
                        rng.random() < 0.5,
                        as_array(rng.choice(_INDOORS)) * light.windows * rng.uniform(0.4, 0.8),
                    )
                canvas.shine(area, warm if lit else as_array(light.sky_bottom) / 255 * 0.15)


def paint_ground(canvas: Canvas, seed: int, *, wet: bool) -> None:
    area = canvas.rows(canvas.view.horizon + 0.0008, 9)
    z = canvas.view.ground_depth(area.v)
    x = (area.u - 0.5) * z / FOCAL
    fine, soft = fractal(seed + 1, 0.7), fractal(seed + 2, 1.9)
    fade = np.clip(9.0 / z, 0.15, 1.0)
    blades = sample(fine, x * 130, z * 75) * fade
    patches = sample(soft, x * 26, z * 26)
    mown = np.sign(np.sin((x * 0.8 + z * 0.25) * 2.6)) * 0.022 * np.clip(z / 7, 0, 1)
    level = 0.96 + 0.12 * blades + 0.055 * patches + mown
    lawn = np.stack(((0.335 + 0.025 * patches) * level, 0.425 * level, (0.205 - 0.01 * patches) * level), axis=2)
    area.inside[:] = z < 75
    canvas.fill(area, lawn.astype(np.float32), z, 1.0, hides=False)
    wetness = 0.70 if wet else 1.0
    grain = (0.05 * sample(fine, x * 90, z * 90) * fade + 0.05 * sample(soft, x * 9, z * 9))[:, :, None]
    tar, stone = (as_array(tone) * wetness * (1 + grain) for tone in ((0.40, 0.40, 0.41), (0.66, 0.645, 0.62)))

    def strip(chosen: Any, surface: Any) -> None:
        area.inside[:] = chosen
        canvas.fill(area, surface.astype(np.float32), z, 1.0, hides=False)

    strip((z > place.PAVEMENT_NEAR) & (z < place.PAVEMENT_FAR), stone)
    strip((z > place.PAVEMENT_FAR) & (z < place.ROAD_FAR), tar)
    strip(np.abs(z - place.PAVEMENT_FAR) < 0.11, stone * 1.12)
    strip((z > place.ROAD_FAR) & (z < place.ROAD_FAR + 2.5), stone * 0.96)
    strip((np.abs(z - 21.4) < 0.07) & (np.mod(x, 3.0) < 1.4), stone * 1.3)
    _paint_path(canvas, seed, wetness)


def _paint_path(canvas: Canvas, seed: int, wetness: float) -> None:
    left = [(cx - half, 0.0, cz) for cx, cz, half in place.PATH]
    right = [(cx + half, 0.0, cz) for cx, cz, half in reversed(place.PATH)]
    outlines = [*left, *right], [(x, 0.0, z) for x, z in place.forecourt()]
    canvas.dim(
        (0.66, 0.70, 0.64),
        0.0025,
        [(x - 0.05, y, z) for x, y, z in left] + [(x + 0.05, y, z) for x, y, z in right],
        outlines[1],
    )
    area: Area = canvas.area(*outlines)
    z = canvas.view.ground_depth(area.v)
    x = (area.u - 0.5) * z / FOCAL
    face, joint = cells((x + z * 0.35) * 1.75, (z - x * 0.35) * 2.3, 0.045)
    fade = np.clip(8.0 / z, 0.2, 1.0)
    grain = 0.055 * sample(fractal(seed + 1, 0.7), x * 90, z * 90) * fade + 0.06 * sample(
        fractal(seed + 2, 1.9), x * 14, z * 14
    )
    level = (1 + 0.06 * face * fade) * (1 - 0.28 * joint * fade) + grain
    slabs = as_array((0.68, 0.65, 0.605)) * wetness * level[:, :, None]
    canvas.fill(area, slabs.astype(np.float32), z, 1.0, hides=False)
