"""The place without anybody in it, painted once for each scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from appliance.capture.synthetic import garden, house, place, plants, porch
from appliance.capture.synthetic.canvas import Canvas
from appliance.capture.synthetic.light import as_array, tone
from appliance.capture.synthetic.place import WALL_Z, box

if TYPE_CHECKING:
    from appliance.capture.synthetic.light import Light

_VIGNETTE = 0.30


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The empty scene, with the sun and (`shaded`) without it, uint8 RGB."""

    lit: Any
    shaded: Any
    hides: Any
    """Float32: the z beyond which nothing is seen, for each pixel."""
    places: tuple[Any, Any, Any]
    """Float32 x, y and z of what each fourth pixel of each fourth row shows."""


def paint(width: int, height: int, seed: int, light: Light, *, wet: bool) -> Backdrop:
    finer = 2 if width <= 1280 else 1
    canvas = Canvas(width * finer, height * finer)
    garden.paint_sky(canvas, light, seed)
    garden.paint_distance(canvas, seed)
    garden.paint_ground(canvas, seed, wet=wet)
    garden.paint_houses(canvas, light, seed)
    garden.paint_beyond(canvas, seed)
    garden.paint_street_lamp(canvas, light)
    plants.paint_hedge(canvas, seed)
    _gate(canvas)
    plants.paint_tree(canvas, place.TREE, 5.4, 2.5, seed)
    house.paint_house(canvas, light, seed)
    porch.paint_porch(canvas, seed, wet=wet)
    _porch_shadow(canvas)
    plants.paint_bush(canvas, seed)
    return _develop(canvas, width, height, light)


def hiding(width: int, height: int) -> Any:
    """Return `Backdrop.hides` alone, from outlines: the same for every seed, and quick."""
    canvas = Canvas(width, height)
    plain = (0.0, 0.0, 0.0)
    x, z = place.TREE
    canvas.upright(((x - 0.15, 0, z), (x + 0.15, 0, z), (x + 0.07, 4, z), (x - 0.07, 4, z)), plain)
    for outline in place.hedge_tops():
        canvas.upright(outline, plain)
    for post in _posts():
        canvas.upright(post, plain)
    corner = place.CORNER
    side = canvas.area(place.house_side())
    canvas.fill(side, plain, house.side_depth(side))
    canvas.upright(box(place.WALL_LEFT, corner, 0, place.EAVES_Y, WALL_Z), plain)
    for outline in porch.pillar_outlines():
        canvas.upright(outline, plain)
    canvas.upright(place.bush_outline(), plain)
    return canvas.hides


def _posts() -> tuple[Any, ...]:
    z = place.HEDGE_Z - 0.05
    return tuple(box(x - 0.09, x + 0.09, 0, 1.22, z) for x in (place.GATE_LEFT, place.GATE_RIGHT))


def _gate(canvas: Canvas) -> None:
    for outline in _posts():
        canvas.upright(outline, (0.62, 0.60, 0.57), 0.9)
        (left, _, z), (right, _, _) = outline[:2]
        canvas.upright(box(left - 0.03, right + 0.03, 1.2, 1.28, z), (0.74, 0.72, 0.69), 1.0)
        canvas.upright(box(left + 0.11, right, 0, 1.2, z), (0.48, 0.465, 0.44), 0.6)


def _porch_shadow(canvas: Canvas) -> None:
    """The porch's roof keeps the sun from the upper wall and from most of its floor."""
    everywhere = canvas.rows(0, 9)
    x, y = canvas.view.unproject(everywhere.u, everywhere.v, canvas.depth)
    inside = (
        (canvas.depth > place.FLOOR_FRONT_Z + 0.02)
        & (canvas.depth <= WALL_Z + 0.05)
        & (x < place.FLOOR_RIGHT + 0.1)
        & (y < place.PORCH_ROOF_Y)
    )
    edge = 1.02 + 0.25 * (WALL_Z - canvas.depth) + 0.10 * (x + 2)
    share = np.clip((y - edge) * 9, 0, 1) * inside
    on_floor = inside & (y < 0.2) & (canvas.depth > 6.35)
    shade = np.maximum(share, on_floor * 0.7).astype(np.float32)
    canvas.sun *= 1 - cv2.GaussianBlur(shade, (0, 0), canvas.width / 500)


def _develop(canvas: Canvas, width: int, height: int, light: Light) -> Backdrop:
    def small(layer: Any) -> Any:
        return cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)

    colour, sun, glow = small(canvas.colour), small(canvas.sun), small(canvas.glow)
    depth = cv2.resize(canvas.depth, (width, height), interpolation=cv2.INTER_NEAREST)
    hides = cv2.resize(canvas.hides, (width, height), interpolation=cv2.INTER_NEAREST)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = (columns + 0.5) / width, (rows + 0.5) / width
    x, y = canvas.view.unproject(u, v, np.minimum(depth, 200.0))
    falls = np.stack(light.on(x, y, np.minimum(depth, 200.0)), axis=2)
    shaded = colour * falls
    lit = shaded + colour * as_array(light.sun) * sun[:, :, None]
    dim = vignette(u, v, canvas.view.aspect)[:, :, None]
    pictures = []
    for layer in (lit, shaded):
        picture = tone((layer + glow) * dim)
        grey = picture.mean(axis=2, keepdims=True)
        pictures.append(np.round(np.clip(grey + (picture - grey) * light.colour, 0, 1) * 255).astype(np.uint8))
    places = x[::4, ::4], y[::4, ::4], np.minimum(depth, 200.0)[::4, ::4]
    return Backdrop(pictures[0], pictures[1], hides, places)


def vignette(u: Any, v: Any, aspect: float) -> Any:
    """Return how much of the light gets through the lens at u, v."""
    away = ((u - 0.5) ** 2 + (v - aspect / 2) ** 2) / (0.25 + aspect * aspect / 4)
    return 1 - _VIGNETTE * away**1.4
