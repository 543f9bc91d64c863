"""Where things stand, in metres: what the backdrop paints and the visitors walk around."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.capture.synthetic.perspective import Point3D

WALL_Z = 6.5
WALL_LEFT, CORNER = -6.0, -0.62
HOUSE_BACK_Z = 12.0
EAVES_Y = 3.6
FLOOR_Y = 0.15
"""The porch lies one step above the ground."""
FLOOR_LEFT, FLOOR_RIGHT, FLOOR_FRONT_Z = -3.9, -0.72, 5.2
STEP_FRONT_Z = 4.92
DOOR_LEFT, DOOR_RIGHT, DOOR_TOP = -2.84, -1.86, FLOOR_Y + 2.08
MAT: tuple[Point3D, ...] = (
    (-2.75, FLOOR_Y, 5.68),
    (-1.95, FLOOR_Y, 5.68),
    (-1.95, FLOOR_Y, 6.2),
    (-2.75, FLOOR_Y, 6.2),
)
PARCEL_SPOT = (-1.72, 6.08)
PILLAR_LEFT, PILLAR_RIGHT, PILLAR_Z = -1.02, -0.80, 5.3
PORCH_ROOF_Y = 2.78
HEDGE_Z, HEDGE_TOP = 15.0, 0.95
GATE_LEFT, GATE_RIGHT = 3.25, 4.5
PAVEMENT_NEAR, PAVEMENT_FAR, ROAD_FAR = 15.9, 18.0, 24.5
CAR_LANES = (20.2, 22.6)
TREE = (5.9, 10.5)
BUSH = (2.75, 4.35)
POT = (-1.3, 6.22)

PATH: tuple[tuple[float, float, float], ...] = (
    (3.87, 16.0, 0.55), (3.7, 14.0, 0.55), (3.1, 12.0, 0.56), (2.3, 10.2, 0.58), (1.4, 8.7, 0.6), (0.5, 7.2, 0.62),
    (-0.15, 6.1, 0.66), (-0.7, 5.1, 0.85),
)  # fmt: skip
"""The garden path's middle (x, z) and half its width."""
_FORECOURT_LEFT = ((-8.0, 2.6), (-8.0, 5.24), (-0.72, 5.24), (-0.5, 5.7))
_FORECOURT_RIGHT = (1.12, 7.2), (0.1, 5.3), (2.3, 2.6)


def ground_at(x: float, z: float) -> float:
    """Return the height of the ground under somebody's feet; the step up to the porch is taken smoothly."""
    inside = min(x - FLOOR_LEFT, FLOOR_RIGHT - x, z - FLOOR_FRONT_Z + 0.12)
    share = min(1.0, max(0.0, inside / 0.3 + 0.35))
    return FLOOR_Y * share * share * (3 - 2 * share)


def forecourt() -> tuple[tuple[float, float], ...]:
    """Return the outline (x, z) of the paved ground before the house; it swings into the garden path."""
    (x1, z1), (x2, z2), (x3, z3) = _FORECOURT_RIGHT
    bend = ((i / 16, 1 - i / 16) for i in range(17))
    curve = ((b * b * x1 + 2 * a * b * x2 + a * a * x3, b * b * z1 + 2 * a * b * z2 + a * a * z3) for a, b in bend)
    return (*_FORECOURT_LEFT, *curve)


def in_porch(x: float, z: float) -> bool:
    return FLOOR_LEFT < x < FLOOR_RIGHT and FLOOR_FRONT_Z < z < WALL_Z


def house_side() -> tuple[Point3D, ...]:
    back = HOUSE_BACK_Z
    return (CORNER, 0.0, WALL_Z), (CORNER, 0.0, back), (CORNER, EAVES_Y, back), (CORNER, EAVES_Y, WALL_Z)


def hedge_tops() -> tuple[tuple[Point3D, ...], ...]:
    """Return the outlines of the two halves of the hedge, left and right of the gate."""
    return _hedge(-3.0, GATE_LEFT - 0.12), _hedge(GATE_RIGHT + 0.12, 12.5)


def _hedge(left: float, right: float) -> tuple[Point3D, ...]:
    count = round((right - left) / 0.12)
    xs = [left + (right - left) * i / count for i in range(count + 1)]
    top = [(x, HEDGE_TOP + 0.035 * math.sin(7.1 * x) + 0.03 * math.sin(17.3 * x + 1), HEDGE_Z) for x in xs]
    return ((left, 0.0, HEDGE_Z), *top, (right, 0.0, HEDGE_Z))


def bush_outline() -> tuple[Point3D, ...]:
    x, z = BUSH
    return tuple(
        (
            x + 0.76 * math.cos(a) * (1 + 0.04 * math.sin(7 * a) + 0.03 * math.sin(13 * a + 2)),
            0.36 + 0.54 * math.sin(a) * (1 + 0.04 * math.sin(7 * a) + 0.03 * math.sin(13 * a + 2)),
            z,
        )
        for a in (math.tau * i / 72 for i in range(72))
    )


def box(left: float, right: float, bottom: float, top: float, z: float) -> tuple[Point3D, ...]:
    """Return an upright rectangle that faces the camera."""
    return (left, bottom, z), (right, bottom, z), (right, top, z), (left, top, z)


def flat(left: float, right: float, near: float, far: float, y: float = 0.0) -> tuple[Point3D, ...]:
    """Return a level rectangle."""
    return (left, y, near), (right, y, near), (right, y, far), (left, y, far)
